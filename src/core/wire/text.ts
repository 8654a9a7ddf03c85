/** Text and bytes in the encodings that protocols write: UTF-8, hex, base64; and text from a peer made fit for a terminal. */
import { PeerMisbehavedError } from '../errors.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Decodes UTF-8; bytes that are not UTF-8 become U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Lower-case hex, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX_OF_BYTE[byte];
  return text;
}

/** Reads hex of either case; white space between digits is ignored. Throws {@link PeerMisbehavedError} for anything else. */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '');
  if (digits.length % 2 !== 0) throw new PeerMisbehavedError(`hex text has an odd number of digits (${digits.length})`);
  if (!/^[0-9a-f]*$/i.test(digits)) throw new PeerMisbehavedError('hex text has a character that is not a hex digit');
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

const BASE64_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** Standard base64 with padding (RFC 4648 §4). */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const group = ((bytes[i] ?? 0) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    text += BASE64_ALPHABET.charAt(group >>> 18) + BASE64_ALPHABET.charAt((group >>> 12) & 63);
    text += left > 1 ? BASE64_ALPHABET.charAt((group >>> 6) & 63) : '=';
    text += left > 2 ? BASE64_ALPHABET.charAt(group & 63) : '=';
  }
  return text;
}

/** Reads standard base64, padded or not, white space ignored. Throws {@link PeerMisbehavedError} for anything else. */
export function fromBase64(text: string): Uint8Array {
  const digits = text.replace(/\s+/g, '').replace(/={1,2}$/, '');
  if (digits.length % 4 === 1 || !/^[A-Za-z0-9+/]*$/.test(digits)) throw new PeerMisbehavedError('text is not base64');
  const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const digit of digits) {
    bits = ((bits << 6) | BASE64_ALPHABET.indexOf(digit)) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = (bits >>> held) & 0xff;
    }
  }
  return bytes;
}

/**
 * A peer's text made safe to show: control characters and escape sequences are removed, line feeds and tabs stay.
 * Bidirectional overrides go too: they can make a prompt read as another one.
 */
export function printable(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '');
}
