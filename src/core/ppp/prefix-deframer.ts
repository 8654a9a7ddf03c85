/** Frames with a length in front, out of a stream in any slices, or out of datagrams. */
import { PeerMisbehavedError } from '../errors.ts';
import type { FrameHeader } from '../tunnel/traffic.ts';
import { copyOf, joined } from '../wire/copy.ts';
import { toHex } from '../wire/text.ts';
import type { PppDeframer } from './deframer.ts';

import { MAX_FRAME } from './limits.ts';

const EMPTY = new Uint8Array(0);

export class PrefixDeframer implements PppDeframer {
  bytes: Uint8Array = EMPTY;
  start = 0;
  end = 0;
  malformed = 0;
  readonly #prefix: FrameHeader;
  /** Which bytes of the prefix are fixed. */
  readonly #isFixed: readonly boolean[];
  #pending: Uint8Array = EMPTY;
  #at = 0;

  constructor(prefix: FrameHeader) {
    this.#prefix = prefix;
    this.#isFixed = Array.from(prefix.bytes, (_, i) => !prefix.lengths.some(({ offset, width }) => i >= offset && i < offset + width));
  }

  push(bytes: Uint8Array): void {
    const left = this.#pending.length - this.#at;
    this.#pending = left === 0 ? bytes : joined(this.#pending.subarray(this.#at), bytes);
    this.#at = 0;
  }

  next(): boolean {
    const bytes = this.#pending;
    const at = this.#at;
    const { length } = this.#prefix.bytes;
    const available = bytes.length - at;
    this.#checkFixed(bytes, at, Math.min(available, length));
    if (available < length) return this.#keepPartial();
    const payload = this.#payloadLength(bytes, at);
    if (available < length + payload) return this.#keepPartial();
    this.bytes = bytes;
    this.start = at + length;
    this.end = this.start + payload;
    this.#at = this.end;
    return true;
  }

  endDatagram(): void {
    if (this.#at < this.#pending.length) this.malformed++;
    this.#pending = EMPTY;
    this.#at = 0;
  }

  takePartial(): Uint8Array {
    const partial = copyOf(this.#pending.subarray(this.#at));
    this.#pending = EMPTY;
    this.#at = 0;
    return partial;
  }

  #checkFixed(bytes: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) {
      if (this.#isFixed[i] !== true || bytes[at + i] === this.#prefix.bytes[i]) continue;
      throw new PeerMisbehavedError(
        `PPP frame header: expected ${toHex(this.#prefix.bytes)} but for lengths, got ${toHex(bytes.subarray(at, at + length))}`,
      );
    }
  }

  #payloadLength(bytes: Uint8Array, at: number): number {
    let payload: number | undefined;
    for (const { offset, width, add } of this.#prefix.lengths) {
      let length = -add;
      for (let i = 0; i < width; i++) length += (bytes[at + offset + i] ?? 0) * 256 ** (width - 1 - i);
      if (length < 0 || length > MAX_FRAME) throw new PeerMisbehavedError(`PPP frame length: at most ${MAX_FRAME}, got ${length}`);
      if (payload !== undefined && payload !== length) throw new PeerMisbehavedError(`PPP frame lengths: ${payload} and ${length} differ`);
      payload = length;
    }
    return payload ?? 0;
  }

  /** The pushed bytes are the caller's: what is needed later is copied. At most one frame's worth is ever held. */
  #keepPartial(): false {
    this.#pending = this.#at < this.#pending.length ? copyOf(this.#pending.subarray(this.#at)) : EMPTY;
    this.#at = 0;
    return false;
  }
}
