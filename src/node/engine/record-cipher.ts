/** One key in one direction, working on records in the arena. */

/** See record-form.ts for where a record's parts lie. */
export interface RecordCipher {
  /**
   * Seals a plaintext of so many bytes in place, at the latest before its burst leaves; the record's header is complete. False: the record must not leave,
   * and this key must not be used again.
   */
  seal(record: number, length: number): boolean;
  /** Opens a record of so many bytes in place. The plaintext's length, or -1: it is not authentic. */
  open(record: number, recordLength: number): number;
  /** Wipes the key. Safe to call twice. */
  close(): void;
}
