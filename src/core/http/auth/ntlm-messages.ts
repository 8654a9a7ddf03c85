/**
 * The three messages of NTLM as bytes. All numbers are little-endian; a field is a length (twice) and an offset into the payload.
 *
 * Read first: [MS-NLMP] section 2.2.1.
 *
 *              0         8      12
 *   negotiate  NTLMSSP\0 | 1 | flags | domain | workstation                                                    (client)
 *   challenge  NTLMSSP\0 | 2 | target name | flags | challenge(8) | 0(8) | target info | version(8) | …        (server)
 *   authenticate         | 3 | LM | NT | domain | user | workstation | session key | flags [| version(8) | MIC(16)] | …
 */
import { PeerMisbehavedError, TruncatedError } from '../../errors.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { utf8 } from '../../wire/text.ts';

/** [MS-NLMP] section 2.2.2.5: the flags we send or look at. */
export const NTLM_FLAGS = {
  unicode: 0x0000_0001,
  requestTarget: 0x0000_0004,
  ntlm: 0x0000_0200,
  alwaysSign: 0x0000_8000,
  extendedSessionSecurity: 0x0008_0000,
  targetInfo: 0x0080_0000,
  key128: 0x2000_0000,
} as const;

/** [MS-NLMP] section 2.2.2.1: the attribute-value pairs that matter to a client. */
export const AV_IDS = { end: 0, flags: 6, timestamp: 7 } as const;

export interface NtlmNegotiate {
  readonly flags: number;
}

export interface NtlmChallenge {
  readonly flags: number;
  /** 8 bytes. */
  readonly serverChallenge: Uint8Array;
  /** Attribute-value pairs as they came; empty if the server sent none. */
  readonly targetInfo: Uint8Array;
}

export interface NtlmAuthenticate {
  readonly flags: number;
  readonly lmResponse: Uint8Array;
  readonly ntResponse: Uint8Array;
  readonly domain: string;
  readonly user: string;
  readonly workstation: string;
  /** 16 bytes: over all three messages, this one with zeros in its place. Undefined: the message has no room for one. */
  readonly mic: Uint8Array | undefined;
}

const SIGNATURE = utf8('NTLMSSP\0');
const TYPES = { negotiate: 1, challenge: 2, authenticate: 3 } as const;
const NEGOTIATE_LENGTH = 32;
const CHALLENGE_LENGTH = 48;
const AUTHENTICATE_LENGTH = 64;
const MIC_OFFSET = 72;
export const MIC_LENGTH = 16;

export function encodeNtlmNegotiate({ flags }: NtlmNegotiate): Uint8Array {
  const message = new MessageWriter(TYPES.negotiate, NEGOTIATE_LENGTH);
  message.u32(12, flags);
  message.field(16, new Uint8Array(0));
  message.field(24, new Uint8Array(0));
  return message.finish();
}

/** Throws {@link PeerMisbehavedError}. */
export function decodeNtlmNegotiate(bytes: Uint8Array): NtlmNegotiate {
  return { flags: new MessageReader(bytes, TYPES.negotiate).u32(12, 'flags') };
}

export function encodeNtlmChallenge({ flags, serverChallenge, targetInfo }: NtlmChallenge): Uint8Array {
  const message = new MessageWriter(TYPES.challenge, CHALLENGE_LENGTH);
  message.field(12, new Uint8Array(0));
  message.u32(20, flags);
  message.bytes(24, serverChallenge);
  message.field(40, targetInfo);
  return message.finish();
}

/** Throws {@link PeerMisbehavedError}. */
export function decodeNtlmChallenge(bytes: Uint8Array): NtlmChallenge {
  const message = new MessageReader(bytes, TYPES.challenge);
  const flags = message.u32(20, 'flags');
  return {
    flags,
    serverChallenge: message.bytes(24, 8, 'server challenge'),
    // Servers older than NTLMv2 end the message before this field.
    targetInfo: (flags & NTLM_FLAGS.targetInfo) === 0 ? new Uint8Array(0) : message.field(40, 'target info'),
  };
}

export function encodeNtlmAuthenticate(fields: NtlmAuthenticate): Uint8Array {
  const { mic } = fields;
  const message = new MessageWriter(TYPES.authenticate, mic === undefined ? AUTHENTICATE_LENGTH : MIC_OFFSET + MIC_LENGTH);
  message.field(28, utf16(fields.domain));
  message.field(36, utf16(fields.user));
  message.field(44, utf16(fields.workstation));
  message.field(12, fields.lmResponse);
  message.field(20, fields.ntResponse);
  message.field(52, new Uint8Array(0)); // no session key is exchanged: nothing is signed or sealed after the log-in
  message.u32(60, fields.flags);
  if (mic !== undefined) message.bytes(MIC_OFFSET, mic);
  return message.finish();
}

/** Throws {@link PeerMisbehavedError}. */
export function decodeNtlmAuthenticate(bytes: Uint8Array): NtlmAuthenticate {
  const message = new MessageReader(bytes, TYPES.authenticate);
  return {
    lmResponse: message.field(12, 'LM response'),
    ntResponse: message.field(20, 'NT response'),
    domain: fromUtf16(message.field(28, 'domain')),
    user: fromUtf16(message.field(36, 'user')),
    workstation: fromUtf16(message.field(44, 'workstation')),
    flags: message.u32(60, 'flags'),
    mic: message.payloadStart < MIC_OFFSET + MIC_LENGTH ? undefined : message.bytes(MIC_OFFSET, MIC_LENGTH, 'MIC'),
  };
}

/** UTF-16, low byte first: how NTLM writes text, and what it hashes. */
export function utf16(text: string): Uint8Array {
  const view = new DataView(new ArrayBuffer(2 * text.length));
  for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), true);
  return new Uint8Array(view.buffer);
}

function fromUtf16(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i + 1 < bytes.length; i += 2) text += String.fromCharCode((bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8));
  return text;
}

export interface AvPair {
  readonly id: number;
  readonly value: Uint8Array;
}

/** The attribute-value pairs of a target info, without the one that ends them. Throws {@link TruncatedError}. */
export function decodeAvPairs(bytes: Uint8Array): AvPair[] {
  const view = viewOf(bytes);
  const pairs: AvPair[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) throw new TruncatedError('NTLM attribute-value pair: its header is cut short');
    const id = view.getUint16(at, true);
    const end = at + 4 + view.getUint16(at + 2, true);
    if (end > bytes.length) throw new TruncatedError('NTLM attribute-value pair: its value is cut short');
    if (id === AV_IDS.end) break;
    pairs.push({ id, value: bytes.subarray(at + 4, end) });
    at = end;
  }
  return pairs;
}

export function encodeAvPairs(pairs: readonly AvPair[]): Uint8Array {
  const writer = new ByteWriter();
  const u16 = (value: number) => writer.u8(value & 0xff).u8(value >>> 8);
  for (const { id, value } of [...pairs, { id: AV_IDS.end, value: new Uint8Array(0) }]) {
    u16(id);
    u16(value.length);
    writer.bytes(value);
  }
  return writer.finish();
}

class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Where the first of the fields read so far begins: the fixed part ends there. */
  payloadStart: number;

  constructor(bytes: Uint8Array, type: number) {
    this.#bytes = bytes;
    this.payloadStart = bytes.length;
    this.#view = viewOf(bytes);
    const signature = this.bytes(0, SIGNATURE.length, 'signature');
    if (signature.some((byte, i) => byte !== SIGNATURE[i])) throw new PeerMisbehavedError('NTLM message has another signature');
    if (this.u32(8, 'type') !== type) throw new PeerMisbehavedError(`NTLM message is not of type ${type}`);
  }

  u32(at: number, name: string): number {
    this.bytes(at, 4, name);
    return this.#view.getUint32(at, true);
  }

  bytes(at: number, length: number, name: string): Uint8Array {
    if (at + length > this.#bytes.length) throw new TruncatedError(`NTLM ${name}: wanted ${length} bytes at ${at}, the message has fewer`);
    return this.#bytes.subarray(at, at + length);
  }

  /** What a field of the fixed part points to. */
  field(at: number, name: string): Uint8Array {
    this.bytes(at, 8, name);
    const length = this.#view.getUint16(at, true);
    const offset = this.#view.getUint32(at + 4, true);
    if (length > 0) this.payloadStart = Math.min(this.payloadStart, offset);
    return this.bytes(offset, length, name);
  }
}

class MessageWriter {
  readonly #fixed: Uint8Array;
  readonly #view: DataView;
  readonly #payload = new ByteWriter();

  constructor(type: number, fixedLength: number) {
    this.#fixed = new Uint8Array(fixedLength);
    this.#view = viewOf(this.#fixed);
    this.#fixed.set(SIGNATURE);
    this.u32(8, type);
  }

  u32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  bytes(at: number, value: Uint8Array): void {
    this.#fixed.set(value, at);
  }

  field(at: number, value: Uint8Array): void {
    this.#view.setUint16(at, value.length, true);
    this.#view.setUint16(at + 2, value.length, true);
    this.#view.setUint32(at + 4, this.#fixed.length + this.#payload.length, true);
    this.#payload.bytes(value);
  }

  finish(): Uint8Array {
    return new ByteWriter().bytes(this.#fixed).bytes(this.#payload.finish()).finish();
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
