/** Sealed records that came before the keys to open them, as they do when datagrams change places. Bounded: anyone can send such records. */
import { copyOf } from '../wire/copy.ts';

const MAX_RECORDS = 8;

/** Finished is shorter than 100 bytes; data as large as a packet may be among them. */
const MAX_RECORD_LENGTH = 2_048;

export class EarlyRecords {
  #records: Uint8Array[] = [];

  /** Keeps a copy. False if there is no room for it. */
  add(record: Uint8Array): boolean {
    if (this.#records.length >= MAX_RECORDS || record.length > MAX_RECORD_LENGTH) return false;
    this.#records.push(copyOf(record));
    return true;
  }

  /** Gives them back in the order in which they came, and keeps none. */
  takeAll(): readonly Uint8Array[] {
    const records = this.#records;
    this.#records = [];
    return records;
  }
}
