/**
 * OpenSSL's multi-block functions, which take eight messages at once through AES-CBC encryption or through a hash.
 *
 * In both each block waits for the one before it, so one message after the other leaves most of the processor idle; side by side they do not wait for each
 * other. Of 1,472 bytes, on one machine: AES-256-CBC takes 294 ns each where one alone takes 1,700, SHA-256 490 where one alone takes 990, SHA-1 530 for 930.
 *
 * OpenSSL made them for long writes of TLS (since 1.0.2). Node's executable exports them, but no header has them, so nothing is taken on trust: see
 * `bind-multi-block.ts`.
 *
 *   HASH_DESC     | message 8 | blocks 4 | - 4 |                                        a lane of a hash
 *   CIPH_DESC     | in 8 | out 8 | blocks 4 | - 4 | IV 16 |                             a lane of AES-CBC
 *   SHA_MB_CTX    | word 0 of all lanes 32 | word 1 of all lanes 32 | …                 all lanes' states
 *
 * A lane without blocks takes no part.
 */
import type { EspMac } from '../../core/tunnel/traffic.ts';
import { type Arena, KeptAddress } from './arena.ts';
import { HASH_BLOCK } from './hash-padding.ts';
import type { NativeFunction, NativeLibrary } from './koffi.ts';

/** Messages at once. */
export const LANES = 8;

/** A hash that has a multi-block function. */
export type MultiBlockHash = Exclude<EspMac, 'md5'>;

/** Of AES, in bytes. */
export const AES_BLOCK = 16;

/** Where the fields of HASH_DESC and CIPH_DESC lie. */
const MESSAGE = { blocks: 8, length: 16 } as const;
const RECORD = { out: 8, blocks: 16, iv: 24, length: 40 } as const;

/** Of SHA-256; SHA-1 has five words instead of eight. */
const MOST_WORDS = 8;
export const STATES_LENGTH: number = MOST_WORDS * LANES * 4;

/** AES_KEY: 15 round keys and their number. */
const SCHEDULE_LENGTH = 244;

export class MultiBlock {
  readonly arena: Arena;
  /** All lanes' states: {@link STATES_LENGTH} bytes, which {@link hash} changes. */
  readonly states: number;
  readonly #schedule: number;
  /** The key whose AES_KEY lies there. */
  #loaded: Uint8Array | undefined;
  readonly #messages: number;
  readonly #records: number;
  /** What a lane points to that takes no part. */
  readonly #nothing: number;
  readonly #addresses: Readonly<Record<'states' | 'schedule' | 'messages' | 'records', KeptAddress>>;
  readonly #hashes: Readonly<Record<MultiBlockHash, NativeFunction>>;
  readonly #setKey: NativeFunction;
  readonly #encrypt: NativeFunction;

  /** @throws Error where the executable lacks one */
  constructor(arena: Arena, library: NativeLibrary) {
    this.#hashes = {
      sha1: library.func('void sha1_multi_block(uintptr_t, uintptr_t, int)'),
      sha256: library.func('void sha256_multi_block(uintptr_t, uintptr_t, int)'),
    };
    this.#setKey = library.func('int aesni_set_encrypt_key(uintptr_t, int, uintptr_t)');
    this.#encrypt = library.func('void aesni_multi_cbc_encrypt(uintptr_t, uintptr_t, int)');
    this.arena = arena;
    this.states = arena.allocate(STATES_LENGTH);
    this.#schedule = arena.allocate(SCHEDULE_LENGTH);
    this.#messages = arena.allocate(LANES * MESSAGE.length);
    this.#records = arena.allocate(LANES * RECORD.length);
    this.#nothing = arena.allocate(HASH_BLOCK);
    const address = () => new KeptAddress(arena);
    this.#addresses = { states: address(), schedule: address(), messages: address(), records: address() };
  }

  /** A key's AES_KEY, for {@link encrypt}. @throws Error if OpenSSL refuses it */
  expandKey(key: Uint8Array): Uint8Array {
    const { arena, states } = this;
    this.forgetKey(this.#loaded);
    arena.bytes.set(key, states);
    const result = this.#setKey(arena.address(states), key.length * 8, arena.address(this.#schedule));
    arena.bytes.fill(0, states, states + key.length);
    if (result !== 0) throw new Error('OpenSSL refused the key of a record cipher');
    this.#loaded = Uint8Array.from(arena.bytes.subarray(this.#schedule, this.#schedule + SCHEDULE_LENGTH));
    return this.#loaded;
  }

  /** Wipes what is left here of a key. */
  forgetKey(schedule: Uint8Array | undefined): void {
    if (schedule === undefined || this.#loaded !== schedule) return;
    this.arena.bytes.fill(0, this.#schedule, this.#schedule + SCHEDULE_LENGTH);
    this.#loaded = undefined;
  }

  /** What a lane encrypts by the next {@link encrypt}: `length` bytes of whole blocks in place, behind their IV. */
  setRecord(lane: number, iv: number, length: number): void {
    const { arena } = this;
    const { view } = arena;
    const at = this.#records + lane * RECORD.length;
    arena.writeAddress(at, iv + AES_BLOCK);
    arena.writeAddress(at + RECORD.out, iv + AES_BLOCK);
    view.setInt32(at + RECORD.blocks, length / AES_BLOCK, true);
    for (let i = 0; i < AES_BLOCK; i += 4) view.setInt32(at + RECORD.iv + i, view.getInt32(iv + i));
  }

  /** Encrypts the records of the first `count` lanes. */
  encrypt(schedule: Uint8Array, count: number): void {
    if (this.#loaded !== schedule) {
      this.arena.bytes.set(schedule, this.#schedule);
      this.#loaded = schedule;
    }
    for (let lane = count; lane % HALF !== 0; lane++) this.setRecord(lane, this.#nothing, 0);
    const { records, schedule: key } = this.#addresses;
    this.#encrypt(records.of(this.#records), key.of(this.#schedule), halves(count));
  }

  /** A word of a lane's state. */
  word(lane: number, index: number): number {
    return this.arena.view.getInt32(this.states + (index * LANES + lane) * 4, true);
  }

  setWord(lane: number, index: number, word: number): void {
    this.arena.view.setInt32(this.states + (index * LANES + lane) * 4, word, true);
  }

  /** What a lane hashes by the next {@link hash}: whole blocks. */
  setMessage(lane: number, start: number, blocks: number): void {
    const at = this.#messages + lane * MESSAGE.length;
    this.arena.writeAddress(at, start);
    this.arena.view.setInt32(at + MESSAGE.blocks, blocks, true);
  }

  /** Takes the messages of the first `count` lanes into their {@link states}. */
  hash(hash: MultiBlockHash, count: number): void {
    for (let lane = count; lane % HALF !== 0; lane++) this.setMessage(lane, this.#nothing, 0);
    const { states, messages } = this.#addresses;
    this.#hashes[hash](states.of(this.states), messages.of(this.#messages), halves(count));
  }
}

/** The functions take four lanes or eight. */
const HALF = LANES / 2;
function halves(count: number): number {
  return count > HALF ? 2 : 1;
}
