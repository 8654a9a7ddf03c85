/** Numbers and protects outgoing records: two epochs, each with its own sequence, so that no nonce is ever used twice. */
import { MisuseError } from '../errors.ts';
import { type Epoch, MAX_SEQUENCE } from './record.ts';
import { PlainProtection, type RecordProtection } from './record-protection.ts';
import type { SuiteRecordProtection } from './suite-protection.ts';

export class RecordWriter {
  readonly #plain: PlainProtection;
  #sealed: SuiteRecordProtection | undefined;
  readonly #next: [number, number] = [0, 0];

  constructor(version: number) {
    this.#plain = new PlainProtection(version);
  }

  /** The version that records in the clear say from now on. */
  set plainVersion(version: number) {
    this.#plain.version = version;
  }

  /** Keys for epoch 1: from now on {@link epoch} is 1. */
  protect(protection: SuiteRecordProtection): void {
    this.#sealed = protection;
  }

  get protection(): SuiteRecordProtection | undefined {
    return this.#sealed;
  }

  /** The epoch of what is sent now; flights repeat their earlier messages in the epoch they had. */
  get epoch(): Epoch {
    return this.#sealed === undefined ? 0 : 1;
  }

  /** The sequence number that the next record of an epoch will have. Never lowered. */
  next(epoch: Epoch): number {
    return this.#next[epoch];
  }

  skipTo(epoch: Epoch, sequence: number): void {
    this.#next[epoch] = Math.max(this.#next[epoch], sequence);
  }

  /** True when the sequence space is used up: nothing can be sent any more (RFC 6347 §4.1). */
  isExhausted(epoch: Epoch): boolean {
    return this.#next[epoch] > MAX_SEQUENCE;
  }

  /** The most bytes by which a record of this epoch is longer than its plaintext. */
  overhead(epoch: Epoch): number {
    return this.#protection(epoch).maxOverhead;
  }

  /** Writes a record to the start of `room`; returns its length. The caller has seen to it that the epoch is not exhausted. */
  seal(epoch: Epoch, type: number, plaintext: Uint8Array, room: Uint8Array): number {
    return this.#protection(epoch).seal(type, this.#next[epoch]++, plaintext, room);
  }

  #protection(epoch: Epoch): RecordProtection {
    if (epoch === 0) return this.#plain;
    if (this.#sealed === undefined) throw new MisuseError('There are no keys to seal records of epoch 1 with.');
    return this.#sealed;
  }
}
