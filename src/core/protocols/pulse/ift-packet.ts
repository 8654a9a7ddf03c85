/**
 * IF-T packets: all that is said between a Pulse client and its gateway, once HTTP has been left.
 *
 * Read first: spec "Pulse", section 3.
 *
 *   0        4       8        12         16
 *   +--------+-------+--------+----------+----------
 *   | vendor | type  | length | sequence | payload…
 *   +--------+-------+--------+----------+----------
 *
 * The length counts the header. When sending, one packet is exactly one TLS record: clients drop the session otherwise. When receiving, the bytes are a
 * stream.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import { copyOf, joined } from '../../wire/copy.ts';

export const IFT_HEADER_LENGTH = 16;
/** Where the packet's length is. */
export const IFT_LENGTH_FIELD = { offset: 8, width: 4, add: 16 } as const;
/** Where its number is, which no receiver looks at (spec 3). */
export const IFT_SEQUENCE_FIELD = { offset: 12, length: 4 } as const;

/** Spec 3.1: what fits one TLS record. */
export const MAX_IFT_PACKET = 16_384;

const VENDOR_TCG = 0x5597;
const VENDOR_JUNIPER = 0x0a4c;

/** Vendor and type of a packet in one number. */
function kindOf(vendor: number, type: number): number {
  return vendor * 0x1_0000_0000 + type;
}

export type IftKind =
  | 'versionRequest'
  | 'versionResponse'
  | 'authChallenge'
  | 'authResponse'
  | 'authSuccess'
  | 'configuration'
  | 'data'
  | 'textControl'
  | 'clientInformation'
  | 'logOut'
  | 'endOfConfiguration'
  | 'fatalError'
  | 'licence';

export const IFT_KINDS: Readonly<Record<IftKind, number>> = {
  versionRequest: kindOf(VENDOR_TCG, 1),
  versionResponse: kindOf(VENDOR_TCG, 2),
  authChallenge: kindOf(VENDOR_TCG, 5),
  authResponse: kindOf(VENDOR_TCG, 6),
  authSuccess: kindOf(VENDOR_TCG, 7),
  configuration: kindOf(VENDOR_JUNIPER, 0x01),
  data: kindOf(VENDOR_JUNIPER, 0x04),
  textControl: kindOf(VENDOR_JUNIPER, 0x05),
  clientInformation: kindOf(VENDOR_JUNIPER, 0x88),
  logOut: kindOf(VENDOR_JUNIPER, 0x89),
  endOfConfiguration: kindOf(VENDOR_JUNIPER, 0x8f),
  fatalError: kindOf(VENDOR_JUNIPER, 0x93),
  licence: kindOf(VENDOR_JUNIPER, 0x96),
};

export function writeIftHeader(bytes: Uint8Array, kind: number, payloadLength: number, sequence: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, IFT_HEADER_LENGTH);
  view.setUint32(0, Math.floor(kind / 0x1_0000_0000));
  view.setUint32(4, kind % 0x1_0000_0000);
  view.setUint32(8, IFT_HEADER_LENGTH + payloadLength);
  view.setUint32(12, sequence);
}

/** Numbers the packets that it makes (spec 3: receivers do not look at the numbers). */
export class IftWriter {
  #sequence: number;

  constructor(first = 0) {
    this.#sequence = first;
  }

  packet(kind: number, payload: Uint8Array = NO_BYTES): Uint8Array {
    const bytes = new Uint8Array(IFT_HEADER_LENGTH + payload.length);
    this.#write(bytes, kind, payload);
    return bytes;
  }

  /** Commits a packet as one record. */
  send(out: LayerSink, kind: number, payload: Uint8Array = NO_BYTES): void {
    const length = IFT_HEADER_LENGTH + payload.length;
    this.#write(out.reserve(length), kind, payload);
    out.commit(length);
  }

  #write(room: Uint8Array, kind: number, payload: Uint8Array): void {
    writeIftHeader(room, kind, payload.length, this.#sequence);
    this.#sequence = (this.#sequence + 1) % 0x1_0000_0000;
    room.set(payload, IFT_HEADER_LENGTH);
  }
}

/**
 * Cuts a stream into packets. After {@link push}, call {@link next} until it says false; between the calls `kind`, `bytes`, `start` and `end` describe the
 * packet. A view of the pushed bytes is kept only for a packet that is cut short, as a copy.
 */
export class IftDeframer {
  /** One of {@link IFT_KINDS}, or another. */
  kind = 0;
  /** The payload is `bytes` from `start` to `end`. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  #partial: Uint8Array = NO_BYTES;
  #at = 0;

  get payload(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }

  push(bytes: Uint8Array): void {
    const left = this.#partial.length - this.#at;
    this.#partial = left === 0 ? bytes : joined(this.#partial.subarray(this.#at), bytes);
    this.#at = 0;
  }

  /** Moves to the next whole packet. Throws {@link PeerMisbehavedError} for a length that cannot be. */
  next(): boolean {
    const bytes = this.#partial;
    const at = this.#at;
    if (bytes.length - at < IFT_HEADER_LENGTH) return this.#keepPartial();
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, IFT_HEADER_LENGTH);
    const length = view.getUint32(8);
    if (length < IFT_HEADER_LENGTH || length > MAX_IFT_PACKET) {
      throw new PeerMisbehavedError(`IF-T length: expected ${IFT_HEADER_LENGTH} to ${MAX_IFT_PACKET}, got ${length}`);
    }
    if (bytes.length - at < length) return this.#keepPartial();
    this.kind = kindOf(view.getUint32(0), view.getUint32(4));
    this.bytes = bytes;
    this.start = at + IFT_HEADER_LENGTH;
    this.end = at + length;
    this.#at = this.end;
    return true;
  }

  /** Takes what has come of the next packet, which somebody else goes on with. */
  takePartial(): Uint8Array {
    const partial = copyOf(this.#partial.subarray(this.#at));
    this.#partial = NO_BYTES;
    this.#at = 0;
    return partial;
  }

  /** The pushed bytes are the caller's: what is needed later is copied. At most one packet's worth is ever held. */
  #keepPartial(): false {
    this.#partial = this.#at < this.#partial.length ? copyOf(this.#partial.subarray(this.#at)) : NO_BYTES;
    this.#at = 0;
    return false;
  }
}

const NO_BYTES = new Uint8Array(0);
