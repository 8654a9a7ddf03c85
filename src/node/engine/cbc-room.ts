/** What all CBC ciphers of an arena share, one at a time: fresh IVs, and room for MACs. */
import { randomFillSync } from 'node:crypto';
import { MAX_SAVED_BYTES } from '../../core/dtls/cbc-padding.ts';
import type { Arena } from '../ffi/arena.ts';
import { LANES } from '../ffi/openssl-multi-block.ts';
import { BLOCK_LENGTH } from './record-form.ts';

/** So many IVs by one call of the random generator. */
const IVS = 256;

/** A whole MAC: SHA-256 has the longest. */
export const MAC_ROOM = 32;

const ROOMS = new WeakMap<Arena, CbcRoom>();

export class CbcRoom {
  /** Of two whole MACs: one to compare with, one that nobody asks for. */
  readonly mac: number;
  readonly unusedMac: number;
  /** Of the MACs of a run's records, each {@link MAC_ROOM} bytes: see {@link RecordCipher.makeMacs}. */
  readonly macs: number;
  /** Where the records lie whose MACs are made at once: 32-bit words. */
  readonly list: number;
  /** Bytes that mean nothing, to be hashed for the time that it takes. */
  readonly dummy: number;
  readonly #arena: Arena;
  readonly #ivs: number;
  #used = IVS;

  static of(arena: Arena): CbcRoom {
    const known = ROOMS.get(arena);
    if (known !== undefined) return known;
    const room = new CbcRoom(arena);
    ROOMS.set(arena, room);
    return room;
  }

  private constructor(arena: Arena) {
    this.#arena = arena;
    this.mac = arena.allocate(MAC_ROOM);
    this.unusedMac = arena.allocate(MAC_ROOM);
    this.macs = arena.allocate(LANES * MAC_ROOM);
    this.list = arena.allocate(LANES * 4);
    this.dummy = arena.allocate(MAX_SAVED_BYTES);
    this.#ivs = arena.allocate(IVS * BLOCK_LENGTH);
  }

  /** Writes a fresh random IV to `at`. */
  writeIv(at: number): void {
    const { bytes } = this.#arena;
    if (this.#used === IVS) {
      randomFillSync(bytes, this.#ivs, IVS * BLOCK_LENGTH);
      this.#used = 0;
    }
    const iv = this.#ivs + this.#used * BLOCK_LENGTH;
    bytes.copyWithin(at, iv, iv + BLOCK_LENGTH);
    this.#used++;
  }

  /** Whether a MAC that was made begins with the `length` bytes at `received`. Takes the same time whatever they are. @param made where it lies */
  isMac(received: number, length: number, made: number = this.mac): boolean {
    const { bytes } = this.#arena;
    let differs = 0;
    for (let i = 0; i < length; i++) differs |= (bytes[made + i] ?? 0) ^ (bytes[received + i] ?? 0);
    return differs === 0;
  }
}
