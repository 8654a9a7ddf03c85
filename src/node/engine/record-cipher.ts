/** One key in one direction, working on records in the arena. */

/** See record-form.ts for where a record's parts lie. */
export interface RecordCipher {
  /**
   * Seals a plaintext of so many bytes in place, at the latest before its burst leaves; the record's header is complete. False: the record must not leave,
   * and this key must not be used again.
   */
  seal(record: number, length: number): boolean;
  /**
   * Makes the MACs of records of one length that lie one behind the other, and are opened next, in turn: it costs less for several at once.
   *
   * @returns of how many, from the first one on; 0: each is made when its record is opened
   */
  makeMacs?(first: number, recordLength: number, count: number): number;
  /**
   * Opens a record of so many bytes in place. The plaintext's length, or -1: it is not authentic.
   *
   * @param made which of the MACs that were made last is its own; {@link NOT_MADE}: none
   */
  open(record: number, recordLength: number, made: number): number;
  /** Wipes the key. Safe to call twice. */
  close(): void;
}

/** No MAC was made of a record yet. */
export const NOT_MADE = -1;
