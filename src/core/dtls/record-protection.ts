/** What protects records: seals a plaintext into a record and opens one in place. One object for each epoch and direction. */
import { RECORD_HEADER_LENGTH, writeRecordHeader } from './record.ts';

export interface RecordProtection {
  /** Where the plaintext of an opened record stands, from the record's first byte. */
  readonly plaintextOffset: number;
  /** The most bytes by which a record is longer than its plaintext, header included. */
  readonly maxOverhead: number;
  /** Writes a whole record to the start of `room`, which has `maxOverhead` bytes more than the plaintext. Returns the record's length. */
  seal(type: number, sequence: number, plaintext: Uint8Array, room: Uint8Array): number;
  /** Opens a whole record in place. Returns the length of the plaintext, or -1 if the record is not authentic: then its bytes are of no use. */
  open(record: Uint8Array): number;
  /** Overwrites the keys, as far as they are ours to overwrite. */
  wipe(): void;
}

/** Epoch 0: in the clear. */
export class PlainProtection implements RecordProtection {
  readonly plaintextOffset: number = RECORD_HEADER_LENGTH;
  readonly maxOverhead: number = RECORD_HEADER_LENGTH;
  /** The record version: a first hello may say another than what follows. */
  version: number;

  constructor(version: number) {
    this.version = version;
  }

  seal(type: number, sequence: number, plaintext: Uint8Array, room: Uint8Array): number {
    writeRecordHeader(room, type, this.version, 0, sequence, plaintext.length);
    room.set(plaintext, RECORD_HEADER_LENGTH);
    return RECORD_HEADER_LENGTH + plaintext.length;
  }

  open(record: Uint8Array): number {
    return record.length - RECORD_HEADER_LENGTH;
  }

  wipe(): void {
    // There are no keys.
  }
}
