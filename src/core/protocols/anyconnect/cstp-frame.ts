/**
 * CSTP frames: the packets of an AnyConnect tunnel inside its TLS stream.
 *
 * Read first: spec "AnyConnect", section 5 "CSTP framing".
 *
 *   0      3   4      6      7      8
 *   +------+---+------+------+------+----------
 *   | STF  | 1 | len  | type |  0   | payload…
 *   +------+---+------+------+------+----------
 *
 * When sending, one frame is exactly one TLS record: peers drop the session otherwise. When receiving, the bytes are a stream.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import { copyOf, joined } from '../../wire/copy.ts';
import { toHex } from '../../wire/text.ts';

export const CSTP_TYPES = {
  data: 0x00,
  dpdRequest: 0x03,
  dpdResponse: 0x04,
  disconnect: 0x05,
  keepalive: 0x07,
  compressed: 0x08,
  terminate: 0x09,
} as const;

export const CSTP_HEADER_LENGTH = 8;
/** Where the payload's length is, big endian. */
export const CSTP_LENGTH_FIELD = { offset: 4, width: 2 } as const;
export const CSTP_TYPE_OFFSET = 6;

/** Largest payload accepted: what fits one TLS record (spec 5.1). Peers may exceed the negotiated MTU. */
export const MAX_CSTP_PAYLOAD = 16_384;

const MAGIC = [0x53, 0x54, 0x46, 0x01] as const;

/** First byte of the payload of a client's disconnect: the user ends the session, its cookie dies (spec 5.4). */
export const BYE_REASON_CODE = 0xb0;

/** Writes a frame's header at `at`; the payload of `length` bytes follows it. */
export function writeCstpHeader(bytes: Uint8Array, at: number, type: number, length: number): void {
  bytes[at] = MAGIC[0];
  bytes[at + 1] = MAGIC[1];
  bytes[at + 2] = MAGIC[2];
  bytes[at + 3] = MAGIC[3];
  bytes[at + 4] = length >>> 8;
  bytes[at + 5] = length;
  bytes[at + 6] = type;
  bytes[at + 7] = 0;
}

/** Commits one frame as one TLS record. */
export function sendCstpFrame(out: LayerSink, type: number, payload: Uint8Array): void {
  const length = CSTP_HEADER_LENGTH + payload.length;
  const room = out.reserve(length);
  writeCstpHeader(room, 0, type, payload.length);
  room.set(payload, CSTP_HEADER_LENGTH);
  out.commit(length);
}

/**
 * Cuts a stream into frames. After {@link push}, call {@link next} until it says false; between the calls `type`, `bytes`, `start` and `end` describe the frame.
 * A view of the pushed bytes is kept only for a frame that is cut short, as a copy.
 */
export class CstpDeframer {
  /** The frame's type byte; unknown ones are carried as they are. */
  type = 0;
  /** The payload is `bytes` from `start` to `end`. */
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  #partial: Uint8Array = EMPTY;
  #at = 0;

  push(bytes: Uint8Array): void {
    const left = this.#partial.length - this.#at;
    this.#partial = left === 0 ? bytes : joined(this.#partial.subarray(this.#at), bytes);
    this.#at = 0;
  }

  /** Moves to the next whole frame. Throws {@link PeerMisbehavedError} for bytes that are no frame. */
  next(): boolean {
    const bytes = this.#partial;
    const at = this.#at;
    const available = bytes.length - at;
    this.#checkMagic(bytes, at, Math.min(available, MAGIC.length));
    if (available < CSTP_HEADER_LENGTH) return this.#keepPartial();
    const length = ((bytes[at + 4] ?? 0) << 8) | (bytes[at + 5] ?? 0);
    if (length > MAX_CSTP_PAYLOAD) throw new PeerMisbehavedError(`CSTP length: at most ${MAX_CSTP_PAYLOAD}, got ${length}`);
    if (bytes[at + 7] !== 0) throw new PeerMisbehavedError(`CSTP reserved byte: expected 0, got ${bytes[at + 7]}`);
    if (available < CSTP_HEADER_LENGTH + length) return this.#keepPartial();
    this.type = bytes[at + 6] ?? 0;
    this.bytes = bytes;
    this.start = at + CSTP_HEADER_LENGTH;
    this.end = this.start + length;
    this.#at = this.end;
    return true;
  }

  /** Takes what has come of the next frame, which somebody else goes on with. */
  takePartial(): Uint8Array {
    const partial = copyOf(this.#partial.subarray(this.#at));
    this.#partial = EMPTY;
    this.#at = 0;
    return partial;
  }

  #checkMagic(bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (bytes[at + i] === MAGIC[i]) continue;
      throw new PeerMisbehavedError(`CSTP magic: expected 53544601, got ${toHex(bytes.subarray(at, at + length))}`);
    }
  }

  /** The pushed bytes are the caller's: what is needed later is copied. At most one frame's worth is ever held. */
  #keepPartial(): false {
    this.#partial = this.#at < this.#partial.length ? copyOf(this.#partial.subarray(this.#at)) : EMPTY;
    this.#at = 0;
    return false;
  }
}

const EMPTY = new Uint8Array(0);
