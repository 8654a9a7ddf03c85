/**
 * Parts of frames that a peer has cut: the rest of one stands where the next frame's first part would.
 *
 *   | frame | part | pa        a frame that ends in the middle of a part
 *   | frame | rt | part        the next one
 *
 * This follows where they end, to the byte; what is in them is the machine's, which has to put them together.
 */
export class CutParts {
  /** Of the part that is cut in its header: what has come of that, where it stands in a frame header. */
  readonly #header: Uint8Array;
  readonly #start: number;
  #known: number;
  /** Bytes of the part behind its header that are still to come. */
  #owed = 0;

  /** @param start where in a frame header a part's begins @param end where it ends */
  constructor(start: number, end: number) {
    this.#header = new Uint8Array(end);
    this.#start = start;
    this.#known = start;
  }

  /** The next frame begins in the middle of a part. */
  get isOpen(): boolean {
    return this.#owed > 0 || this.#known > this.#start;
  }

  /**
   * Goes over what is in a frame. False: it is not parts.
   *
   * @param lengthOf bytes that follow a part's header, which stands in a frame header that is there up to `known`; negative if that is none
   */
  follow(bytes: Uint8Array, start: number, end: number, lengthOf: (header: Uint8Array, known: number) => number): boolean {
    const header = this.#header;
    for (let at = start; at < end; ) {
      if (this.#owed > 0) {
        const taken = Math.min(this.#owed, end - at);
        this.#owed -= taken;
        at += taken;
        continue;
      }
      while (at < end && this.#known < header.length) header[this.#known++] = bytes[at++] ?? 0;
      const length = lengthOf(header, this.#known);
      if (length < 0) return false;
      if (this.#known < header.length) break;
      this.#known = this.#start;
      this.#owed = length;
    }
    return true;
  }
}
