/**
 * Text in the locale's character set: arguments, terminal, files that people type. Node decodes everything as UTF-8 and so destroys
 * arguments in other character sets before any program of ours runs; Linux still has their bytes.
 *
 * Read first: POSIX "Base Definitions", section 8.2 (which variable wins); the Encoding Standard of WHATWG (the names TextDecoder knows).
 */
import { readFileSync } from 'node:fs';

/** Name that stands for US-ASCII, the character set of the locales C and POSIX. */
const ASCII = 'us-ascii';
const LATIN1 = 'iso-8859-1';
const UTF8 = 'utf-8';

/** How C libraries write the names that TextDecoder knows only in another spelling; compared without case, dashes and underscores. */
const SPELLINGS: ReadonlyMap<string, string> = new Map([
  ['utf8', UTF8],
  ['ansix3.41968', ASCII],
  ['usascii', ASCII],
  ['iso88591', LATIN1],
  ['koi8r', 'koi8-r'],
  ['koi8u', 'koi8-u'],
  ['eucjp', 'euc-jp'],
  ['euckr', 'euc-kr'],
  ['euccn', 'gbk'],
  ['big5hkscs', 'big5'],
  ['tis620', 'windows-874'],
]);

/**
 * The character set of the locale that the environment names. A locale without one is UTF-8, as on every system of today; the
 * locale need not be installed. A character set that this platform cannot decode counts as US-ASCII: its bytes pass through as Latin-1.
 */
export function localeCharset(environment: NodeJS.ProcessEnv = process.env): string {
  if (process.platform === 'win32') return UTF8; // arguments and console are UTF-16 there
  const locale = environment.LC_ALL || environment.LC_CTYPE || environment.LANG || 'C';
  const [, name = '', codeset, modifier] = /^([^.@]*)(?:\.([^@]*))?(?:@(.*))?$/.exec(locale) ?? [];
  if (codeset !== undefined) return charsetNamed(codeset);
  if (name === 'C' || name === 'POSIX') return ASCII;
  return modifier === 'euro' ? 'iso-8859-15' : UTF8;
}

function charsetNamed(codeset: string): string {
  const spelled = SPELLINGS.get(codeset.toLowerCase().replace(/[-_]/g, ''));
  if (spelled !== undefined) return spelled;
  try {
    return new TextDecoder(codeset).encoding;
  } catch {
    return ASCII; // a character set that only the C library knows
  }
}

/** Bytes that a person typed, as text. Bytes that are wrong in the character set are read as Latin-1, so that none is lost. */
export function decodeLocale(bytes: Uint8Array, charset: string = localeCharset()): string {
  // In the C locale nobody has said what the bytes above 0x7f are: UTF-8 does not fit by chance.
  const assumed = charset === ASCII ? UTF8 : charset;
  if (assumed !== LATIN1) {
    try {
      return new TextDecoder(assumed, { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      // not that character set
    }
  }
  return Buffer.from(bytes).toString('latin1');
}

/** Text for the terminal: characters that the character set does not have become `?`. */
export function encodeLocale(text: string, charset: string = localeCharset()): Uint8Array {
  return encodeBy(text, charset, () => QUESTION_MARK) ?? new Uint8Array(0);
}

/** Text in a character set, or undefined if a character of it is missing there. */
export function encodeExactly(text: string, charset: string): Uint8Array | undefined {
  return encodeBy(text, charset, () => undefined);
}

const QUESTION_MARK: readonly number[] = [0x3f];

function encodeBy(text: string, charset: string, substitute: () => readonly number[] | undefined): Uint8Array | undefined {
  if (charset === UTF8) return Buffer.from(text, 'utf8');
  const codes = codesOf(charset);
  const bytes: number[] = [];
  for (const character of text) {
    const code = codes.get(character) ?? substitute();
    if (code === undefined) return undefined;
    bytes.push(...code);
  }
  return Uint8Array.from(bytes);
}

const codesByCharset = new Map<string, ReadonlyMap<string, readonly number[]>>();

/** The platform only decodes these character sets; what decodes to a character encodes it. One or two bytes a character are enough for all in use. */
function codesOf(charset: string): ReadonlyMap<string, readonly number[]> {
  const known = codesByCharset.get(charset);
  if (known !== undefined) return known;

  const codes = new Map<string, readonly number[]>();
  const decode = decoderOf(charset);
  const learn = (...code: number[]) => {
    const [character, ...others] = decode(Uint8Array.from(code));
    if (character === undefined || others.length > 0 || character === '\ufffd') return false;
    if (!codes.has(character)) codes.set(character, code);
    return true;
  };
  for (let lead = 0; lead <= 0xff; lead++) {
    if (learn(lead) || lead < 0x80) continue;
    for (let trail = 0x40; trail <= 0xfe; trail++) learn(lead, trail);
  }
  codesByCharset.set(charset, codes);
  return codes;
}

function decoderOf(charset: string): (bytes: Uint8Array) => string {
  if (charset === ASCII) return (bytes) => (bytes.every((byte) => byte < 0x80) ? Buffer.from(bytes).toString('latin1') : '\ufffd');
  // The Encoding Standard decodes the label iso-8859-1 as windows-1252, which differs from 0x80 to 0x9f.
  if (charset === LATIN1) return (bytes) => Buffer.from(bytes).toString('latin1');
  const decoder = new TextDecoder(charset);
  return (bytes) => decoder.decode(bytes);
}

/**
 * The arguments after the script's name as the bytes that the caller gave; undefined where the system does not tell (only Linux does)
 * or where what it tells is not what this process was started with.
 */
export function rawArguments(): Buffer[] | undefined {
  let commandLine: Buffer;
  try {
    commandLine = readFileSync('/proc/self/cmdline');
  } catch {
    return undefined; // not Linux
  }
  const texts = process.argv.slice(2);
  const all = splitAtZero(commandLine);
  const raw = all.slice(all.length - texts.length);
  // A changed process title overwrites this memory: believe it only if it says what Node read at the start.
  const agrees =
    raw.length === texts.length && raw.every((bytes, i) => withoutDamage(bytes.toString('utf8')) === withoutDamage(texts[i] ?? ''));
  return agrees ? raw : undefined;
}

/** The arguments after the script's name, decoded by the locale: what a command line parser should read in place of `process.argv`. */
export function localeArguments(charset: string = localeCharset()): string[] {
  return rawArguments()?.map((bytes) => decodeLocale(bytes, charset)) ?? process.argv.slice(2);
}

function splitAtZero(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0, from);
    const to = end < 0 ? bytes.length : end;
    parts.push(bytes.subarray(from, to));
    from = to + 1;
  }
  return parts;
}

/** Decoders differ in how many replacement characters they write for one damaged spot. */
function withoutDamage(text: string): string {
  return text.replace(/\ufffd+/g, '\ufffd');
}
