/**
 * HMAC of eight messages at once, by OpenSSL's multi-block functions: three calls, and nothing allocated.
 *
 *   1. the whole blocks of each message, where it lies
 *   2. what is left of it, with the padding that ends a hash, in a place of its own: right behind a message stands another one
 *   3. the outer hash, whose message is what came of the inner one
 *
 * Either hash begins with what the key's block leaves: see {@link OpenSslHmac}, which does the same for one message.
 */
import { HASH_BLOCK, LEAST_PADDING, writePadding } from './hash-padding.ts';
import { LANES, type MultiBlock, type MultiBlockHash, STATES_LENGTH } from './openssl-multi-block.ts';

/** What is left of a message, and its padding. */
const TAIL_ROOM = 2 * HASH_BLOCK;

/** Memory that all keys of an arena share, one at a time. */
export class MultiBlockHmacRoom {
  readonly calls: MultiBlock;
  readonly #tails: number;
  readonly #outerBlocks: Readonly<Record<MultiBlockHash, number>>;
  /** Of the messages whose padding stands in the tails. */
  #length = -1;

  /** @param hashLengths in bytes */
  constructor(calls: MultiBlock, hashLengths: Readonly<Record<MultiBlockHash, number>>) {
    const { arena } = calls;
    this.calls = calls;
    this.#tails = arena.allocate(LANES * TAIL_ROOM);
    const outerBlocks = (hashLength: number) => {
      const blocks = arena.allocate(LANES * HASH_BLOCK);
      for (let block = blocks; block < blocks + LANES * HASH_BLOCK; block += HASH_BLOCK) {
        writePadding(arena.view, block + hashLength, block + HASH_BLOCK, HASH_BLOCK + hashLength, false);
      }
      return blocks;
    };
    this.#outerBlocks = { sha1: outerBlocks(hashLengths.sha1), sha256: outerBlocks(hashLengths.sha256) };
  }

  /** Where a lane's message for the outer hash lies; its padding is there. */
  outerBlock(hash: MultiBlockHash, lane: number): number {
    return this.#outerBlocks[hash] + lane * HASH_BLOCK;
  }

  /** Where the end of a lane's message lies, which is to be put there, with the padding that messages of this length have behind it. */
  tail(lane: number, length: number): number {
    if (this.#length !== length) this.#writePaddings(length);
    return this.#tails + lane * TAIL_ROOM;
  }

  #writePaddings(length: number): void {
    const rest = length % HASH_BLOCK;
    for (let lane = 0; lane < LANES; lane++) {
      const tail = this.#tails + lane * TAIL_ROOM;
      writePadding(this.calls.arena.view, tail + rest, tail + tailBlocks(length) * HASH_BLOCK, HASH_BLOCK + length, false);
    }
    this.#length = length;
  }
}

function tailBlocks(length: number): 1 | 2 {
  return (length % HASH_BLOCK) + LEAST_PADDING > HASH_BLOCK ? 2 : 1;
}

/** One key. */
export class MultiBlockHmac {
  readonly #room: MultiBlockHmacRoom;
  readonly #hash: MultiBlockHash;
  readonly #words: number;
  /** The states behind the key's block, of all lanes. */
  readonly #inner: Uint8Array;
  readonly #outer: Uint8Array;

  /** @param inner and `outer`: what hashing the key's block leaves, in words */
  constructor(room: MultiBlockHmacRoom, hash: MultiBlockHash, inner: Int32Array, outer: Int32Array) {
    this.#room = room;
    this.#hash = hash;
    this.#words = inner.length;
    this.#inner = this.#ofAllLanes(inner);
    this.#outer = this.#ofAllLanes(outer);
  }

  /**
   * Makes the MACs of `count` messages of `length` bytes, one in each lane, for {@link writeMac}.
   *
   * @param list where 32-bit words say what each is found by: it begins `shift` bytes behind that
   */
  makeMacs(list: number, count: number, shift: number, length: number): void {
    const { calls } = this.#room;
    const { arena } = calls;
    arena.bytes.set(this.#inner, calls.states);
    this.#hashMessages(list, count, shift, length);
    for (let lane = 0; lane < count; lane++) {
      const block = this.#room.outerBlock(this.#hash, lane);
      for (let i = 0; i < this.#words; i++) arena.view.setInt32(block + i * 4, calls.word(lane, i));
      calls.setMessage(lane, block, 1);
    }
    arena.bytes.set(this.#outer, calls.states);
    calls.hash(this.#hash, count);
  }

  #hashMessages(list: number, count: number, shift: number, length: number): void {
    const { calls } = this.#room;
    const { bytes, view } = calls.arena;
    const blocks = Math.floor(length / HASH_BLOCK);
    const whole = blocks * HASH_BLOCK;
    for (let lane = 0; lane < count; lane++) {
      const start = view.getInt32(list + lane * 4, true) + shift;
      bytes.copyWithin(this.#room.tail(lane, length), start + whole, start + length);
      calls.setMessage(lane, start, blocks);
    }
    if (blocks > 0) calls.hash(this.#hash, count);
    for (let lane = 0; lane < count; lane++) calls.setMessage(lane, this.#room.tail(lane, length), tailBlocks(length));
    calls.hash(this.#hash, count);
  }

  /** Writes the first `length` bytes, a multiple of four, of a lane's MAC to `out`. */
  writeMac(lane: number, out: number, length: number): void {
    const { calls } = this.#room;
    for (let i = 0; i < length / 4; i++) calls.arena.view.setInt32(out + i * 4, calls.word(lane, i));
  }

  /** Wipes what the key left. Safe to call twice. */
  close(): void {
    const { arena, states } = this.#room.calls;
    this.#inner.fill(0);
    this.#outer.fill(0);
    arena.bytes.fill(0, states, states + STATES_LENGTH); // lanes that took no part last time are there as they began
  }

  #ofAllLanes(words: Int32Array): Uint8Array {
    const { calls } = this.#room;
    for (let lane = 0; lane < LANES; lane++) for (const [i, word] of words.entries()) calls.setWord(lane, i, word);
    const states = Uint8Array.from(calls.arena.bytes.subarray(calls.states, calls.states + STATES_LENGTH));
    calls.arena.bytes.fill(0, calls.states, calls.states + STATES_LENGTH);
    return states;
  }
}
