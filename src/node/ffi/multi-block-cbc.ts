/** AES-CBC encryption of eight records at once, by OpenSSL's multi-block functions, under one key. */
import type { MultiBlock } from './openssl-multi-block.ts';

export class MultiBlockCbc {
  readonly #calls: MultiBlock;
  readonly #schedule: Uint8Array;

  /** @throws Error if OpenSSL refuses the key */
  constructor(calls: MultiBlock, key: Uint8Array) {
    this.#calls = calls;
    this.#schedule = calls.expandKey(key);
  }

  /** Encrypts `length` bytes of whole blocks behind each of `count` IVs, one in each lane. @param list where 32-bit words say where they lie */
  encrypt(list: number, count: number, length: number): void {
    const calls = this.#calls;
    for (let lane = 0; lane < count; lane++) calls.setRecord(lane, calls.arena.view.getInt32(list + lane * 4, true), length);
    calls.encrypt(this.#schedule, count);
  }

  /** Wipes the key. Safe to call twice. */
  close(): void {
    this.#calls.forgetKey(this.#schedule);
    this.#schedule.fill(0);
  }
}
