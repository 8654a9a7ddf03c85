/**
 * CBC encryption of many records side by side.
 *
 * In CBC each block waits for the one before it, so one record after the other leaves most of the processor idle. Records of a burst do not wait for each
 * other: OpenSSL's multi-block functions take eight at once ({@link LaneOwner.sealMany}). Where there are none, the n-th blocks of all are encrypted by
 * one call, in a buffer, and between two calls a kernel puts the ciphertext in its place and adds the next plaintext (src/kernels/lanes.ts): that costs less
 * than half of the time from some tens of records on, and more than one by one for a few.
 *
 *   buffer:   | block n of record 1 | block n of record 2 | …       encrypted with ECB, which is what CBC does with each
 *
 * The story of a record: its cipher lays it out and adds it → it waits for others of the same key and length, if it is not shorter than those that wait
 * already → {@link CbcLanes.finish} encrypts them and lets the cipher authenticate each. Nobody may send a record before.
 */
import { type Arena, KeptAddress } from '../ffi/arena.ts';
import { LANES } from '../ffi/openssl-multi-block.ts';
import type { PacketKernels } from './packet-kernels.ts';
import { BLOCK_LENGTH } from './record-form.ts';

/** A burst's worth: every step of all lanes is a call, however many they are. */
export const MAX_LANES = 128;

/** Fewer records are encrypted one by one. Measured: AES-128 breaks even at 16, AES-256 at 10. */
const MIN_LANES = 16;

/** A key that seals. Each answers false where OpenSSL refused. */
export interface LaneOwner {
  /** Encrypts whole blocks, each by itself. */
  encryptEach(address: number, length: number): boolean;
  /** Encrypts `length` bytes behind random ones that become the IV. */
  encrypt(iv: number, length: number): boolean;
  /** It is encrypted: what stands behind it is to be written. */
  authenticate(iv: number, length: number): boolean;
  /** Whether it has {@link sealMany}. */
  readonly sealsMany: boolean;
  /** Encrypts and authenticates up to {@link LANES} records. @param list where 32-bit words say where their IVs lie */
  sealMany(list: number, count: number, length: number): void;
  /** It could not be sealed: nothing of it may leave, and it is made what `isUnsealed` (record-form.ts) knows. */
  fail(iv: number, length: number): void;
}

export class CbcLanes {
  readonly #arena: Arena;
  readonly #kernels: PacketKernels;
  readonly #list: number;
  readonly #buffer: number;
  readonly #bufferAddress: KeptAddress;
  #owner: LaneOwner | undefined;
  #count = 0;
  /** Of each record, behind its IV. */
  #length = 0;
  #hasFailed = false;

  constructor(arena: Arena, kernels: PacketKernels) {
    this.#arena = arena;
    this.#kernels = kernels;
    this.#list = arena.allocate(MAX_LANES * 4);
    this.#buffer = arena.allocate(MAX_LANES * BLOCK_LENGTH);
    this.#bufferAddress = new KeptAddress(arena);
  }

  /** Takes a record with random bytes in its IV's place. It is sealed after {@link finish}, or before. */
  add(owner: LaneOwner, iv: number, length: number): void {
    if (this.#owner === owner && length < this.#length) {
      // As the last packet of a large one is, with another one behind it: those that wait go on waiting for that.
      this.#sealAlone(owner, iv, length);
      return;
    }
    if (this.#count === MAX_LANES || this.#owner !== owner || this.#length !== length) this.finish();
    this.#arena.view.setInt32(this.#list + this.#count * 4, iv, true);
    this.#owner = owner;
    this.#length = length;
    this.#count++;
  }

  /** Seals what waits. */
  finish(): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    const [count, length] = [this.#count, this.#length];
    this.#owner = undefined;
    this.#count = 0;
    if (owner.sealsMany && count > 1) {
      for (let i = 0; i < count; i += LANES) owner.sealMany(this.#list + i * 4, Math.min(LANES, count - i), length);
      return;
    }
    if (count < MIN_LANES) {
      for (let i = 0; i < count; i++) this.#sealAlone(owner, this.#start(i), length);
      return;
    }
    const isEncrypted = this.#encryptAll(owner, count, length);
    for (let i = 0; i < count; i++) {
      const iv = this.#start(i);
      if (!isEncrypted || !owner.authenticate(iv, length)) this.#fail(owner, iv, length);
    }
  }

  /** Whether one has failed since this was last asked. */
  takeFailure(): boolean {
    const hasFailed = this.#hasFailed;
    this.#hasFailed = false;
    return hasFailed;
  }

  #sealAlone(owner: LaneOwner, iv: number, length: number): void {
    if (!owner.encrypt(iv, length) || !owner.authenticate(iv, length)) this.#fail(owner, iv, length);
  }

  #encryptAll(owner: LaneOwner, count: number, length: number): boolean {
    const { bytes } = this.#arena;
    for (let i = 0; i < count; i++) {
      const iv = this.#start(i);
      bytes.copyWithin(this.#buffer + i * BLOCK_LENGTH, iv, iv + BLOCK_LENGTH);
    }
    const address = this.#bufferAddress.of(this.#buffer);
    // The last step takes a plaintext that is none from behind the record, and nobody encrypts it.
    for (let offset = BLOCK_LENGTH; offset <= length + BLOCK_LENGTH; offset += BLOCK_LENGTH) {
      if (!owner.encryptEach(address, count * BLOCK_LENGTH)) return false;
      this.#kernels.laneStep(this.#list, count, offset, this.#buffer);
    }
    return true;
  }

  #fail(owner: LaneOwner, iv: number, length: number): void {
    this.#hasFailed = true;
    owner.fail(iv, length);
  }

  #start(index: number): number {
    return this.#arena.view.getInt32(this.#list + index * 4, true);
  }
}
