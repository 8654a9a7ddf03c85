/** A gateway's TLS that is none: open from the first byte on, and what is carried is what is said. */
import type { InnerTlsServer } from '../../src/core/auth/inner-tls.ts';
import { joined } from '../../src/core/wire/copy.ts';

const NONE = new Uint8Array(0);

export class NoTls implements InnerTlsServer {
  readonly client = {};
  isOpen = false;
  #records: Uint8Array = NONE;
  #received: Uint8Array = NONE;

  receive(records: Uint8Array): void {
    this.isOpen ||= records.length > 0;
    this.#received = joined(this.#received, records);
  }

  write(bytes: Uint8Array): void {
    this.#records = joined(this.#records, bytes);
  }

  async settle(): Promise<void> {}

  takeRecords(): Uint8Array {
    const records = this.#records;
    this.#records = NONE;
    return records;
  }

  takeReceived(): Uint8Array {
    const received = this.#received;
    this.#received = NONE;
    return received;
  }

  close(): void {}
}
