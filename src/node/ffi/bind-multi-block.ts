/**
 * Whether OpenSSL's multi-block functions can be used: where the processor has what they are made for, and they are seen to do what they should.
 *
 * They are no part of OpenSSL's interface, so another build may have others. Where one is missing or wrong, callers work on one message at a time.
 */
import type { Arena } from './arena.ts';
import { HASH_BLOCK, writePadding } from './hash-padding.ts';
import type { NativeLibrary } from './koffi.ts';
import { AES_BLOCK, LANES, MultiBlock, type MultiBlockHash } from './openssl-multi-block.ts';

/** OPENSSL_INFO_CPU_SETTINGS, and the bit of AES instructions in the first number that it names (OPENSSL_ia32cap(3)). */
const CPU_SETTINGS = 1008;
const AES_BIT = 57n;

/** Undefined: callers work on one message at a time. */
export function bindMultiBlock(arena: Arena, library: NativeLibrary): MultiBlock | undefined {
  try {
    if (!hasAesInstructions(library)) return undefined;
    const calls = new MultiBlock(arena, library);
    return encryptsRight(calls) && hashesRight(calls) ? calls : undefined;
  } catch {
    return undefined; // a symbol is missing
  }
}

/** @throws Error where the executable does not say */
function hasAesInstructions(library: NativeLibrary): boolean {
  const settings = library.func('str OPENSSL_info(int)') as unknown as (type: number) => string | null;
  const word = /OPENSSL_ia32cap=(0x[0-9a-f]+)/.exec(settings(CPU_SETTINGS) ?? '')?.[1];
  return word !== undefined && ((BigInt(word) >> AES_BIT) & 1n) === 1n;
}

/** With which of the lanes they are tried: a half, more than that, all. */
const COUNTS = [1, 4, 5, LANES];

/** NIST SP 800-38A, F.2.1 and F.2.5: two blocks with a key of 128 bits, and of 256. */
const CBC_VECTORS = {
  iv: '000102030405060708090a0b0c0d0e0f',
  plaintext: '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51',
  keys: [
    {
      key: '2b7e151628aed2a6abf7158809cf4f3c',
      ciphertext: '7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2',
    },
    {
      key: '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4',
      ciphertext: 'f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d',
    },
  ],
} as const;

/** Whether each lane encrypts what it should, and no other. */
function encryptsRight(calls: MultiBlock): boolean {
  const { arena } = calls;
  const { iv, plaintext, keys } = CBC_VECTORS;
  const record = Buffer.from(iv + plaintext, 'hex');
  const places = Array.from({ length: LANES }, () => arena.allocate(record.length));
  return keys.every(({ key, ciphertext }) => {
    const schedule = calls.expandKey(Buffer.from(key, 'hex'));
    return COUNTS.every((count) => {
      for (const place of places) arena.bytes.set(record, place);
      for (let lane = 0; lane < count; lane++) calls.setRecord(lane, places[lane] ?? 0, record.length - AES_BLOCK);
      calls.encrypt(schedule, count);
      const expected = (lane: number) => iv + (lane < count ? ciphertext : plaintext);
      return places.every((place, lane) => arena.bytes.toString('hex', place, place + record.length) === expected(lane));
    });
  });
}

const ABC = 'abc';

/** FIPS 180-4, sections 5.3.1 and 5.3.3, and what the message "abc" makes of it. */
const HASH_VECTORS: Readonly<Record<MultiBlockHash, { readonly first: string; readonly last: string }>> = {
  sha1: {
    first: '67452301efcdab8998badcfe10325476c3d2e1f0',
    last: 'a9993e364706816aba3e25717850c26c9cd0d89d',
  },
  sha256: {
    first: '6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19',
    last: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  },
};

/** Whether each lane's state becomes what it should, and no other. */
function hashesRight(calls: MultiBlock): boolean {
  const { arena } = calls;
  const message = arena.allocate(HASH_BLOCK);
  const { length } = ABC;
  arena.bytes.write(ABC, message, 'latin1');
  writePadding(arena.view, message + length, message + HASH_BLOCK, length, false);
  return Object.entries(HASH_VECTORS).every(([hash, { first, last }]) => {
    const before = words(first);
    return COUNTS.every((count) => {
      for (let lane = 0; lane < LANES; lane++) for (const [i, word] of before.entries()) calls.setWord(lane, i, word);
      for (let lane = 0; lane < count; lane++) calls.setMessage(lane, message, 1);
      calls.hash(hash as MultiBlockHash, count);
      const states = Array.from({ length: LANES }, (_, lane) => before.map((_, i) => calls.word(lane, i)));
      return states.every((state, lane) => `${state}` === `${words(lane < count ? last : first)}`);
    });
  });
}

function words(hex: string): number[] {
  const bytes = Buffer.from(hex, 'hex');
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32BE(i * 4));
}
