/**
 * The secret of a software token as people write it (read first: spec "Client command line", section 3.2, `--token-secret`).
 *
 *   secret := [ sha1: | sha256: | sha512: ] key [ , counter ]        the counter with HOTP only
 *   key    := 0xHEX | base32:BASE32 | the bytes of the text
 *   secret := a PSKC document (pskc.ts)
 */
import { Secret as OtpSecret } from 'otpauth';
import { MisuseError } from '../errors.ts';
import { Secret } from '../secret.ts';
import { fromHex, utf8 } from '../wire/text.ts';
import { parsePskc } from './pskc.ts';
import { DEFAULT_TOKEN_DIGITS, DEFAULT_TOKEN_PERIOD, MAX_TOKEN_COUNTER, SoftToken, type TokenHash, type TokenMode } from './tokens.ts';

/** Of a secret or a PSKC file; real ones have a few thousand characters. */
const MAX_SECRET_LENGTH = 65_536;

/** A token, and the text that its secret came in. */
export interface ParsedTokenSecret {
  readonly token: SoftToken;
  /** The text with the token's present counter: what a file has to hold for the next log-in. For TOTP, the text as it was. */
  render(): Secret;
}

/** Throws {@link MisuseError} (its message never shows the secret) or {@link UnsupportedError} for a secret that cannot be used. */
export function parseTokenSecret(mode: TokenMode, secret: Secret): ParsedTokenSecret {
  const text = secret.reveal();
  if (text.length > MAX_SECRET_LENGTH) throw new MisuseError(`the token secret is longer than ${MAX_SECRET_LENGTH} characters`);
  return /^\s*</.test(text) ? parsePskcSecret(mode, text) : parsePlainSecret(mode, text);
}

function parsePskcSecret(mode: TokenMode, text: string): ParsedTokenSecret {
  const pskc = parsePskc(mode, text);
  const token = new SoftToken(pskc.parameters);
  return { token, render: () => new Secret(mode === 'hotp' ? pskc.render(token.counter) : text) };
}

function parsePlainSecret(mode: TokenMode, text: string): ParsedTokenSecret {
  const lineEnd = /[\r\n]*$/.exec(text)?.[0] ?? ''; // of a file
  const line = text.slice(0, text.length - lineEnd.length);
  const counter = mode === 'hotp' ? /,(\d+)$/.exec(line) : null;
  const written = counter === null ? line : line.slice(0, counter.index);
  const token = new SoftToken({
    mode,
    key: keyOf(written),
    hash: (/^(sha1|sha256|sha512):/.exec(written)?.[1] ?? 'sha1') as TokenHash, // the pattern has no others
    digits: DEFAULT_TOKEN_DIGITS,
    period: DEFAULT_TOKEN_PERIOD,
    counter: counterOf(counter?.[1] ?? '0'),
  });
  return { token, render: () => new Secret(mode === 'hotp' ? `${written},${token.counter}${lineEnd}` : text) };
}

function counterOf(digits: string): number {
  const counter = Number(digits);
  if (counter > MAX_TOKEN_COUNTER) throw new MisuseError('the counter of the token secret is too large');
  return counter;
}

function keyOf(written: string): Uint8Array {
  const text = written.replace(/^sha(?:1|256|512):/, '');
  const key = text.startsWith('0x') ? fromHexKey(text.slice(2)) : text.startsWith('base32:') ? fromBase32(text.slice(7)) : utf8(text);
  if (key.length === 0) throw new MisuseError('the token secret is empty');
  return key;
}

function fromHexKey(digits: string): Uint8Array {
  if (digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) throw new MisuseError('the token secret begins with 0x but is not hex');
  return fromHex(digits);
}

/** RFC 4648 §6. As people type it: in either case, with or without padding, in groups with blanks or hyphens between them. */
function fromBase32(text: string): Uint8Array {
  const digits = text.replace(/[\s-]/g, '').replace(/=+$/, '').toUpperCase();
  // 1, 3 and 6 digits over make no whole byte.
  if (!/^[A-Z2-7]*$/.test(digits) || [1, 3, 6].includes(digits.length % 8)) {
    throw new MisuseError('the token secret begins with base32: but is not base32');
  }
  return OtpSecret.fromBase32(digits).bytes;
}
