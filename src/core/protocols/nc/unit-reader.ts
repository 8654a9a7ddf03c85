/**
 * Cuts a stream into units that say their own length: records, and the messages in them.
 *
 * A unit that lies whole in what came is handed on where it lies; one that was cut is put together first.
 */
import { copyOf } from '../../wire/copy.ts';

export interface UnitFormat {
  readonly headerLength: number;
  /** Bytes of the whole unit whose header begins at `at`. */
  readonly lengthAt: (bytes: Uint8Array, at: number) => number;
}

/** False: nothing more is wanted of this stream. */
export type UnitSink = (bytes: Uint8Array, start: number, end: number) => boolean;

const NO_BYTES = new Uint8Array(0);

export class UnitReader {
  readonly #format: UnitFormat;
  readonly #sink: UnitSink;
  /** The beginning of a unit, in {@link #room}. */
  #held = 0;
  #room: Uint8Array = NO_BYTES;

  constructor(format: UnitFormat, sink: UnitSink) {
    this.#format = format;
    this.#sink = sink;
  }

  /** False: the sink wants no more. */
  push(bytes: Uint8Array, start = 0, end: number = bytes.length): boolean {
    const { headerLength, lengthAt } = this.#format;
    let at = start;
    while (at < end) {
      if (this.#held > 0) {
        at = this.#complete(bytes, at, end);
        const length = this.#held < headerLength ? Number.POSITIVE_INFINITY : lengthAt(this.#room, 0);
        if (this.#held < length) continue;
        const room = this.#room;
        this.#held = 0;
        this.#room = NO_BYTES; // whoever was given it may be looking at it still
        if (!this.#sink(room, 0, length)) return false;
        continue;
      }
      const available = end - at;
      const length = available < headerLength ? Number.POSITIVE_INFINITY : lengthAt(bytes, at);
      if (available < length) {
        this.#room = copyOf(bytes.subarray(at, end));
        this.#held = available;
        return true;
      }
      if (!this.#sink(bytes, at, at + length)) return false;
      at += length;
    }
    return true;
  }

  /** Nothing of a unit is held. */
  get isEmpty(): boolean {
    return this.#held === 0;
  }

  /** The beginning of a unit, which is somebody else's to complete from now on. */
  takePartial(): Uint8Array {
    const partial = this.#room.subarray(0, this.#held);
    this.#held = 0;
    this.#room = NO_BYTES;
    return partial;
  }

  /** Adds what the header, or the whole unit, still lacks; where it stopped. */
  #complete(bytes: Uint8Array, at: number, end: number): number {
    const { headerLength, lengthAt } = this.#format;
    const wanted = this.#held < headerLength ? headerLength : lengthAt(this.#room, 0);
    if (this.#room.length < wanted) {
      const room = new Uint8Array(wanted);
      room.set(this.#room.subarray(0, this.#held));
      this.#room = room;
    }
    const taken = Math.min(wanted - this.#held, end - at);
    this.#room.set(bytes.subarray(at, at + taken), this.#held);
    this.#held += taken;
    return at + taken;
  }
}
