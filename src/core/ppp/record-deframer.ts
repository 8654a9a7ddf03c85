import type { PppDeframer } from './deframer.ts';

const EMPTY = new Uint8Array(0);

/** Every record is a frame: there is nothing in it that says where it ends (spec 2.5). */
export class RecordDeframer implements PppDeframer {
  bytes: Uint8Array = EMPTY;
  readonly start = 0;
  end = 0;
  readonly malformed = 0;
  #isNew = false;

  push(bytes: Uint8Array): void {
    this.bytes = bytes;
    this.end = bytes.length;
    this.#isNew = bytes.length > 0;
  }

  next(): boolean {
    const isNew = this.#isNew;
    this.#isNew = false;
    return isNew;
  }

  endDatagram(): void {
    this.#isNew = false;
  }

  takePartial(): Uint8Array {
    return EMPTY;
  }
}
