/**
 * Users' one-time codes in the file format of mod-authn-otp: what one line says, and which code fits it.
 *
 *   HOTP[/E|/T30][/6]  user  PIN  hex-key  [counter or offset  [last code  time of it]]
 *   HOTP/T30 alice - 3132333435363738393031323334353637383930 0 692553 2026-11-23T12:36:14L
 *
 * Read first: spec "Gateway contract", section 3 (`plain`), and RFC 4226 §7.2 to §7.4, RFC 6238 §5.2.
 */
import { SoftToken } from '../../core/auth/tokens.ts';
import { equalInConstantTime } from '../../core/crypto/constant-time.ts';
import { fromHex, utf8 } from '../../core/wire/text.ts';

/** Codes that are tried after the one that is expected, and on both sides of the present one. Observed: ocserv takes so many. */
const WINDOW = 20;

const DEFAULT_DIGITS = 6;
const MAX_KEY_HEX = 512;
const MAX_PERIOD = 86_400;
/** More than any token counts. */
const MAX_COUNTER = 2 ** 47;

export interface OtpRecord {
  /** As it stands in the file. */
  readonly type: string;
  /** Undefined: the code counts events, not time. */
  readonly period?: number;
  readonly digits: number;
  readonly user: string;
  /** As it stands in the file: `-` none, `+` checked elsewhere. */
  readonly pin: string;
  readonly keyHex: string;
  /** The counter of the last code that was taken, or how many periods it was off. */
  readonly position: number;
  readonly lastCode?: string;
  /** Milliseconds since 1970. */
  readonly lastTime?: number;
}

/** Reads a line; undefined if it is a comment or nothing that we know. */
export function parseOtpLine(line: string): OtpRecord | undefined {
  const [type = '', user, pin, keyHex, position = '0', lastCode, lastTime] = line.trim().split(/\s+/);
  const kind = /^HOTP(?:\/(?:E|T(\d{1,5})))?(?:\/([6-8]))?$/.exec(type);
  if (kind === null || user === undefined || pin === undefined || keyHex === undefined) return undefined;
  if (!/^(?:[0-9a-f]{2})+$/i.test(keyHex) || keyHex.length > MAX_KEY_HEX || !/^-?\d{1,15}$/.test(position)) return undefined;
  const period = kind[1] === undefined ? undefined : Number(kind[1]);
  if (period !== undefined && (period === 0 || period > MAX_PERIOD)) return undefined;
  const time = lastTime === undefined ? Number.NaN : Date.parse(lastTime.replace(/L$/, ''));
  return {
    type,
    ...(period !== undefined && { period }),
    digits: kind[2] === undefined ? DEFAULT_DIGITS : Number(kind[2]),
    user,
    pin,
    keyHex,
    position: Math.min(Number(position), MAX_COUNTER),
    ...(lastCode !== undefined && /^\d{6,8}$/.test(lastCode) && { lastCode }),
    ...(!Number.isNaN(time) && { lastTime: time }),
  };
}

/** The line of a record. Observed: tabs, and the local time with an L behind it. */
export function renderOtpLine(record: OtpRecord): string {
  const words = [record.type, record.user, record.pin, record.keyHex, String(record.position)];
  if (record.lastCode !== undefined && record.lastTime !== undefined) words.push(record.lastCode, localTime(record.lastTime));
  return words.join('\t');
}

function localTime(time: number): string {
  const date = new Date(time);
  const local = new Date(time - date.getTimezoneOffset() * 60_000);
  return `${local.toISOString().slice(0, 19)}L`;
}

/** The record as it is after this answer; undefined if the answer is wrong, or was right once already. `now`: milliseconds since 1970. */
export function acceptOtp(record: OtpRecord, answer: string, now: number): OtpRecord | undefined {
  const code = codeOf(record, answer);
  const token = tokenOf(record);
  const { first, last, zero } = record.period === undefined ? eventWindow(record) : timeWindow(token, record, now);
  let found: number | undefined;
  for (let at = first; at <= last; at++) if (matches(codeAt(token, at), code) && found === undefined) found = at;
  return found === undefined ? undefined : { ...record, position: found - zero, lastCode: code, lastTime: Math.floor(now / 1000) * 1000 };
}

/** What is tried: numbers of codes, and the one that the file's position counts from. */
interface Window {
  readonly first: number;
  readonly last: number;
  readonly zero: number;
}

/** Observed: the file has the counter of the last code, and before the first one nothing or 0. */
function eventWindow({ position, lastCode }: OtpRecord): Window {
  const expected = Math.max(0, position);
  return { first: lastCode === undefined ? expected : expected + 1, last: expected + WINDOW, zero: 0 };
}

/**
 * RFC 6238 §5.2: no code twice, and so none of the same or an earlier period. Which period the last code was of is not in the file (Observed: ocserv
 * writes there how far off its codes were, added up), but can be found again.
 */
function timeWindow(token: SoftToken, { lastCode, lastTime }: OtpRecord, now: number): Window {
  const present = token.stepAt(now);
  let first = Math.max(0, present - WINDOW);
  if (lastCode !== undefined && lastTime !== undefined) {
    const then = token.stepAt(lastTime);
    for (let at = Math.max(0, then - WINDOW); at <= then + WINDOW; at++)
      if (codeAt(token, at) === lastCode) first = Math.max(first, at + 1);
  }
  return { first, last: present + WINDOW, zero: present };
}

/** Observed: ocserv does not ask for the PIN. Here it may stand before the code, as mod-authn-otp has it. */
function codeOf({ pin, digits }: OtpRecord, answer: string): string {
  return pin !== '-' && pin !== '+' && answer.length === pin.length + digits && answer.startsWith(pin) ? answer.slice(pin.length) : answer;
}

function tokenOf({ period, digits, keyHex }: OtpRecord): SoftToken {
  const mode = period === undefined ? 'hotp' : 'totp';
  return new SoftToken({ mode, key: fromHex(keyHex), hash: 'sha1', digits, period: period ?? 0, counter: 0 });
}

function codeAt(token: SoftToken, at: number): string {
  return token.codeAt(at).reveal();
}

function matches(expected: string, given: string): boolean {
  return equalInConstantTime(utf8(expected), utf8(given));
}
