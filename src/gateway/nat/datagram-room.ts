/** Bytes of datagrams that Node has and the system does not have yet, of all flows together: a way out that is slower than the clients must not fill memory. */
export class DatagramRoom {
  readonly #size: number;
  #used = 0;

  /** @param size in bytes */
  constructor(size: number) {
    this.#size = size;
  }

  get used(): number {
    return this.#used;
  }

  /** False: there is no room for so many. */
  take(bytes: number): boolean {
    if (this.#used + bytes > this.#size) return false;
    this.#used += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}
