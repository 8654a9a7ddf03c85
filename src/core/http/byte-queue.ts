/** Bytes that have come and are not read yet: pushed at the end in any slices, taken from the front as lines and runs. */
import { checkHttpLimit } from './limits.ts';

const LF = 0x0a;
const CR = 0x0d;

export class ByteQueue {
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  /** How many of the waiting bytes are known to hold no line end, so that a slow line is scanned only once. */
  #scanned = 0;

  get length(): number {
    return this.#end - this.#start;
  }

  push(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length);
    this.#bytes.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /**
   * The next line without its line end (CRLF, or LF alone), as a view until the next push; undefined while it is not all there.
   * Throws {@link PeerMisbehavedError} when it is longer than `limit` bytes, whether it is all there or not.
   */
  line(limit: number, what: string): Uint8Array | undefined {
    const waiting = this.#bytes.subarray(this.#start, this.#end);
    const lineEnd = waiting.indexOf(LF, this.#scanned);
    if (lineEnd < 0) {
      this.#scanned = waiting.length;
      checkHttpLimit(waiting.length, limit + 1, what); // one more for the CR that may be its last byte
      return undefined;
    }
    const length = lineEnd > 0 && waiting[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    checkHttpLimit(length, limit, what);
    this.#drop(lineEnd + 1);
    return waiting.subarray(0, length);
  }

  /** Up to `most` bytes, as a view until the next push. */
  take(most: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#start, Math.min(this.#end, this.#start + most));
    this.#drop(taken.length);
    return taken;
  }

  #drop(length: number): void {
    this.#start += length;
    this.#scanned = 0;
  }

  #makeRoom(length: number): void {
    if (this.#end + length <= this.#bytes.length) return;
    const waiting = this.#bytes.subarray(this.#start, this.#end);
    const needed = waiting.length + length;
    // Moving is paid for by the bytes that were taken since; growing doubles, so a line in small slices costs its length.
    if (needed > this.#bytes.length / 2) this.#bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length, 1024));
    this.#bytes.set(waiting);
    this.#start = 0;
    this.#end = waiting.length;
  }
}
