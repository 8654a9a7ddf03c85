/**
 * Checks and opens incoming records, one after the other. What it found stands in its fields until the next call, so that a record costs no object.
 *
 * The steps, each with its counter: frame → version → epoch → replay window → open → mark the number. A record's number is marked only after the record
 * proved authentic (RFC 6347 §4.1.2.6); in the clear there is no window, as a forger would only have to send a high number to shut it.
 */
import { MAX_PLAINTEXT_LENGTH } from '../tls-messages/extensions.ts';
import { ReplayWindow } from '../tunnel/replay-window.ts';
import { acceptsRecordVersion, type Dialect } from './dialect.ts';
import { EarlyRecords } from './early-records.ts';
import { type Epoch, MAX_PAYLOAD_LENGTH, RECORD_HEADER_LENGTH, readSequence, readU16 } from './record.ts';
import type { CounterStore } from './state.ts';
import type { SuiteRecordProtection } from './suite-protection.ts';

export class RecordReader {
  /** The record that {@link open} opened: its content type, epoch and number, and where its plaintext stands in the datagram. */
  type = 0;
  epoch: Epoch = 0;
  sequence = 0;
  start = 0;
  end = 0;

  readonly #dialect: Dialect;
  readonly #counters: CounterStore;
  readonly #window = new ReplayWindow();
  readonly #early = new EarlyRecords();
  #sealed: SuiteRecordProtection | undefined;

  constructor(dialect: Dialect, counters: CounterStore) {
    this.#dialect = dialect;
    this.#counters = counters;
  }

  get protection(): SuiteRecordProtection | undefined {
    return this.#sealed;
  }

  /** Keys for epoch 1; epoch 0 is over. Returns the records that came before their keys. */
  protect(protection: SuiteRecordProtection): readonly Uint8Array[] {
    this.#sealed = protection;
    return this.#early.takeAll();
  }

  /** The number of the next record of epoch 1 if none is lost. */
  get next(): number {
    return this.#window.next;
  }

  /** From now on everything of epoch 1 below `next` counts as seen. */
  moveTo(next: number): void {
    this.#window.moveTo(next);
  }

  /** Where the record that begins at `at` ends; undefined if there is no whole record. */
  endOf(datagram: Uint8Array, at: number): number | undefined {
    const end = at + RECORD_HEADER_LENGTH + readU16(datagram, at + 11);
    if (end <= datagram.length && end <= at + RECORD_HEADER_LENGTH + MAX_PAYLOAD_LENGTH) return end;
    this.#counters.malformed++;
    return undefined;
  }

  /** Opens the record from `at` to `end` in place. False if it is dropped (or kept for later). */
  open(datagram: Uint8Array, at: number, end: number): boolean {
    const epoch = readU16(datagram, at + 3);
    if (!acceptsRecordVersion(this.#dialect, readU16(datagram, at + 1), epoch)) {
      this.#counters.wrongVersion++;
      return false;
    }
    this.type = datagram[at] ?? 0;
    this.sequence = readSequence(datagram, at);
    if (epoch === 1) return this.#openSealed(datagram, at, end);
    if (epoch !== 0 || this.#sealed !== undefined) {
      this.#counters.wrongEpoch++;
      return false;
    }
    this.epoch = 0;
    this.start = at + RECORD_HEADER_LENGTH;
    this.end = end;
    return true;
  }

  #openSealed(datagram: Uint8Array, at: number, end: number): boolean {
    const record = datagram.subarray(at, end);
    if (this.#sealed === undefined) {
      if (!this.#early.add(record)) this.#counters.tooEarly++;
      return false;
    }
    if (!this.#window.allows(this.sequence)) {
      this.#counters.replayed++;
      return false;
    }
    const length = this.#sealed.open(record);
    if (length < 0) {
      this.#counters.forged++;
      return false;
    }
    this.#window.mark(this.sequence);
    if (length > MAX_PLAINTEXT_LENGTH) {
      this.#counters.malformed++;
      return false;
    }
    this.#counters.opened++;
    this.epoch = 1;
    this.start = at + this.#sealed.plaintextOffset;
    this.end = this.start + length;
    return true;
  }
}
