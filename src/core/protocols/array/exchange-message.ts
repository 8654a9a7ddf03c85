/**
 * The two questions of a tunnel and their answers: a header, then nothing, opaque bytes, or JSON.
 *
 * Read first: spec "Array", sections 4.1 to 4.3 and 10.
 *
 *   0        4              12       16
 *   +--------+--------------+--------+----------
 *   | type   |      0       | length | payload…        both little endian; answers of appliances may have anything in the header
 *   +--------+--------------+--------+----------
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { copyOf, joined } from '../../wire/copy.ts';
import { fromHex, fromUtf8, utf8 } from '../../wire/text.ts';

const HEADER_LENGTH = 16;
const LENGTH_OFFSET = 12;

export const MESSAGE_TYPES = { options: 0x50, optionsAnswer: 0x51, settings: 0x54, settingsAnswer: 0x55 } as const;

/** Spec 10: what a client takes, and how deep its JSON may be. */
const MAX_ANSWER_LENGTH = 65_536;
const MAX_DEPTH = 16;
/** What one record holds: openconnect reads no more of an answer (spec 4). */
const MAX_RENDERED_LENGTH = 16_384;
/** Spec 4.3: whatever stands behind the second question's header is of no meaning. */
const MAX_REQUEST_PAYLOAD = 4096;

/** Asks for the tunnel's options. */
export const OPTIONS_REQUEST: Uint8Array = fromHex('50000000000000000000000000000000');

/** Asks for the network's settings. Observed: appliances take these frozen values, which say nothing of the client (spec 4.3). */
export const SETTINGS_REQUEST: Uint8Array = fromHex(
  '54000000000000000000000020000000010000000a00020f00000000000000000000000000000000525400dea2a60000',
);

/** One record. Undefined if it would not fit. */
export function renderAnswer(type: number, value: unknown): Uint8Array | undefined {
  const json = utf8(JSON.stringify(value));
  const bytes = new Uint8Array(HEADER_LENGTH + json.length);
  if (bytes.length > MAX_RENDERED_LENGTH) return undefined;
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(LENGTH_OFFSET, json.length, true);
  bytes.set(json, HEADER_LENGTH);
  return bytes;
}

/** Collects what came until it is whole. */
class Collected {
  #bytes: Uint8Array = new Uint8Array(0);

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  push(bytes: Uint8Array): void {
    this.#bytes = joined(this.#bytes, bytes);
  }

  /** What stands behind the first `length` bytes; they are forgotten with it. */
  cut(length: number): Uint8Array {
    const rest = this.#bytes.subarray(length);
    this.#bytes = new Uint8Array(0);
    return copyOf(rest);
  }
}

/** Reads the answers of one connection: each is over where its JSON object is, whatever the header says (spec 4.1). */
export class AnswerReader {
  readonly #collected = new Collected();
  /** Bytes that were looked at, and what they said of where the object is over. */
  #at = HEADER_LENGTH;
  #depth = 0;
  #isInText = false;
  #isEscaped = false;

  /** The object, and what came behind it; undefined until it is whole. Throws {@link PeerMisbehavedError} for what is none, or too large. */
  push(bytes: Uint8Array): { readonly value: Readonly<Record<string, unknown>>; readonly rest: Uint8Array } | undefined {
    this.#collected.push(bytes);
    const all = this.#collected.bytes;
    for (; this.#at < all.length; this.#at++) {
      if (this.#at >= MAX_ANSWER_LENGTH) throw new PeerMisbehavedError(`The gateway's answer has more than ${MAX_ANSWER_LENGTH} bytes.`);
      if (!this.#closesWith(all[this.#at] ?? 0)) continue;
      const value = parseObject(all.subarray(HEADER_LENGTH, this.#at + 1));
      const rest = this.#collected.cut(this.#at + 1);
      this.#at = HEADER_LENGTH;
      return { value, rest };
    }
    return undefined;
  }

  /** Counts brackets outside of texts. */
  #closesWith(byte: number): boolean {
    if (this.#at === HEADER_LENGTH && byte !== BRACE) throw new PeerMisbehavedError('The gateway answered with something else than JSON.');
    if (this.#isInText) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isInText = false;
      return false;
    }
    if (byte === QUOTE) this.#isInText = true;
    else if (byte === BRACE || byte === BRACKET) {
      if (++this.#depth > MAX_DEPTH) throw new PeerMisbehavedError(`The gateway's JSON is more than ${MAX_DEPTH} deep.`);
    } else if (byte === BRACE + 2 || byte === BRACKET + 2) return --this.#depth === 0;
    return false;
  }
}

const QUOTE = 0x22;
const BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const BRACE = 0x7b;

/** Not JSON's own error, which quotes what it has read. */
function parseObject(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch {
    throw new PeerMisbehavedError('The gateway answered with JSON that is none.');
  }
  if (!isObject(value)) throw new PeerMisbehavedError('The gateway answered with JSON that is no object.');
  return value;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Reads the two questions of a client, one after the other. */
export class RequestReader {
  readonly #collected = new Collected();

  /** What came behind a whole question of this type; undefined until it is whole. Throws {@link PeerMisbehavedError} for another. */
  push(type: number, bytes: Uint8Array): Uint8Array | undefined {
    this.#collected.push(bytes);
    const all = this.#collected.bytes;
    if (all.length > 0 && all[0] !== type) throw new PeerMisbehavedError('The client asks for something else than its configuration.');
    if (all.length < HEADER_LENGTH) return undefined;
    const view = new DataView(all.buffer, all.byteOffset, all.length);
    const length = view.getUint32(LENGTH_OFFSET, true);
    if (view.getUint32(0, true) !== type || length > MAX_REQUEST_PAYLOAD) {
      throw new PeerMisbehavedError('The client asks for something else than its configuration.');
    }
    return all.length < HEADER_LENGTH + length ? undefined : this.#collected.cut(HEADER_LENGTH + length);
  }
}
