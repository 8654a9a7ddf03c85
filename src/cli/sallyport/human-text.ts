/** Numbers as people read them: amounts of data, durations, the names of ciphers. */
import type { Transport } from '../../client/vpn-status.ts';
import type { Millis } from '../../core/tunnel/packet.ts';

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** `0 B`, `999 B`, `1.2 kB`, `34 MB`: powers of ten, at most three digits. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1000 is one of the next unit.
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return `${digits} ${BYTE_UNITS[unit]}`;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `8 s`, `2 min 5 s`, `3 h 10 min`, `2 days 4 h`: the two largest units. */
export function durationText(duration: Millis): string {
  const time = Math.max(0, Math.round(duration / SECOND) * SECOND);
  const two = (large: string, rest: number, small: string) => (rest === 0 ? large : `${large} ${rest} ${small}`);
  if (time < MINUTE) return `${time / SECOND} s`;
  if (time < HOUR) return two(`${Math.floor(time / MINUTE)} min`, (time % MINUTE) / SECOND, 's');
  if (time < DAY) return two(`${Math.floor(time / HOUR)} h`, Math.floor((time % HOUR) / MINUTE), 'min');
  const days = Math.floor(time / DAY);
  return two(`${days} ${days === 1 ? 'day' : 'days'}`, Math.floor((time % DAY) / HOUR), 'h');
}

/** `2026-12-07 12:56`, in the machine's own zone: day and month cannot be taken for each other. */
export function dateText(date: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** `0:04:31`, `27:00:00`: counts up in place. */
export function clockText(duration: Millis): string {
  const seconds = Math.max(0, Math.floor(duration / SECOND));
  const two = (number: number) => String(number).padStart(2, '0');
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

/**
 * `DTLS 1.2, AES-256-GCM` of `DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384`, `ESP, AES-256-CBC` of `ESP-AES-256-CBC-SHA256`; the transport's name alone where the
 * suite is not known.
 */
export function transportText(transport: Transport, cipherSuite: string | undefined): string {
  const name = transport.toUpperCase();
  const ofEsp = /^ESP-(AES-\d+-CBC)-/.exec(cipherSuite ?? '')?.[1];
  if (ofEsp !== undefined) return `${name}, ${ofEsp}`;
  const [, version, suite = ''] = /^D?TLSv(\d(?:\.\d)?)-(.+)$/.exec(cipherSuite ?? '') ?? [];
  if (version === undefined) return cipherSuite === undefined ? name : `${name}, ${cipherSuite}`;
  const [, cipher, bits, mode] = /(AES)_(\d+)_(GCM|CBC|CCM)/.exec(suite) ?? [];
  const words = cipher === undefined ? (suite.includes('CHACHA20') ? 'ChaCha20-Poly1305' : suite) : `${cipher}-${bits}-${mode}`;
  return `${name} ${version}, ${words}`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listText(items: readonly string[]): string {
  const last = items.at(-1) ?? '';
  return items.length < 2 ? last : `${items.slice(0, -1).join(', ')} and ${last}`;
}
