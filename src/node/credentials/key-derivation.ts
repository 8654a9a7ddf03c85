/**
 * The key derivations that node:crypto does not have: those of old encryptions. (PBKDF2 is node:crypto's.)
 *
 * Read first: RFC 7292, appendix B.2 (PKCS #12); RFC 8018, section 5.1 (PBKDF1); OpenSSL's manual page EVP_BytesToKey (traditional PEM).
 */
import { hash } from 'node:crypto';
import { iteratedSha1 } from './iterated-sha1.ts';

export type DigestName = 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512';

/** What is derived (RFC 7292, appendix B.3): the same password and salt give three unrelated keys. */
export const PKCS12_PURPOSE = { key: 1, iv: 2, mac: 3 } as const;

/** RFC 7292, appendix B.2. @param password as big-endian UTF-16 */
export function pkcs12Key(
  digest: DigestName,
  purpose: (typeof PKCS12_PURPOSE)[keyof typeof PKCS12_PURPOSE],
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
): Uint8Array {
  // The letters are the RFC's.
  const v = digest === 'sha384' || digest === 'sha512' ? 128 : 64;
  const D = new Uint8Array(v).fill(purpose);
  const I = Buffer.concat([repeated(salt, v), repeated(password, v)]);
  const derived: Uint8Array[] = [];
  for (let have = 0; have < length; ) {
    const A = iterated(digest, Buffer.concat([D, I]), iterations);
    derived.push(A);
    have += A.length;
    const B = new Uint8Array(v).map((_, i) => A[i % A.length] as number); // i % length is inside
    for (let from = 0; from < I.length; from += v) addPlusOne(I.subarray(from, from + v), B);
  }
  return Buffer.concat(derived).subarray(0, length);
}

/** RFC 8018, section 5.1. */
export function pbkdf1(digest: 'md5', password: Uint8Array, salt: Uint8Array, iterations: number): Uint8Array {
  return iterated(digest, Buffer.concat([password, salt]), iterations);
}

/** EVP_BytesToKey with MD5 and one iteration, as the traditional PEM encryption uses it; the salt is the beginning of the IV. */
export function pemKey(password: Uint8Array, iv: Uint8Array, length: number): Uint8Array {
  const salt = iv.subarray(0, 8);
  let derived: Uint8Array = new Uint8Array(0);
  let last: Uint8Array = new Uint8Array(0);
  while (derived.length < length) {
    last = hash('md5', Buffer.concat([last, password, salt]), 'buffer');
    derived = Buffer.concat([derived, last]);
  }
  return derived.subarray(0, length);
}

function iterated(digest: DigestName, input: Uint8Array, iterations: number): Uint8Array {
  let output: Uint8Array = hash(digest, input, 'buffer');
  if (digest === 'sha1') return iteratedSha1(output, iterations - 1);
  for (let i = 1; i < iterations; i++) output = hash(digest, output, 'buffer');
  return output;
}

/** The bytes over and over, cut at the next multiple of the block; nothing if there are none. */
function repeated(bytes: Uint8Array, block: number): Uint8Array {
  return new Uint8Array(Math.ceil(bytes.length / block) * block).map((_, i) => bytes[i % bytes.length] as number); // i % length is inside
}

/** number = (number + addend + 1) mod 2^bits, in place, both big-endian and as long. */
function addPlusOne(number: Uint8Array, addend: Uint8Array): void {
  let carry = 1;
  for (let i = number.length - 1; i >= 0; i--) {
    carry += (number[i] ?? 0) + (addend[i] ?? 0);
    number[i] = carry & 0xff;
    carry >>>= 8;
  }
}
