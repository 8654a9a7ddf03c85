/** Datagrams that wait to be taken: bounded by bytes; what comes when it is full is dropped. */
import type { Endpoint } from '../wire/ip-address.ts';

export interface Datagram {
  readonly from: Endpoint;
  readonly bytes: Uint8Array;
}

/** What a datagram costs beside its bytes, about. */
const OVERHEAD = 128;

export class DatagramQueue {
  readonly #limit: number;
  #datagrams: Datagram[] = [];
  #taken = 0;
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False: it is full. */
  push(datagram: Datagram): boolean {
    const cost = datagram.bytes.length + OVERHEAD;
    if (this.#bytes + cost > this.#limit) return false;
    this.#datagrams.push(datagram);
    this.#bytes += cost;
    return true;
  }

  take(): Datagram | undefined {
    const datagram = this.#datagrams[this.#taken];
    if (datagram === undefined) return undefined;
    this.#taken++;
    this.#bytes -= datagram.bytes.length + OVERHEAD;
    if (this.#taken === this.#datagrams.length) {
      this.#datagrams = [];
      this.#taken = 0;
    }
    return datagram;
  }

  clear(): void {
    this.#datagrams = [];
    this.#taken = this.#bytes = 0;
  }
}
