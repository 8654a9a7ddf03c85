import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { SipHash } from '../../../src/core/ip/siphash.ts';

/** Of the paper's reference, appendix A and `vectors_sip64`: key 00 … 0f, message of so many bytes 00, 01, …; results little-endian. */
const VECTORS: readonly (readonly [length: number, hash: string])[] = [
  [0, '310e0edd47db6f72'],
  [1, 'fd67dc93c539f874'],
  [7, '37d1018bf50002ab'],
  [8, '6224939a79f5f593'],
  [15, 'e545be4961ca29a1'],
];

describe('SipHash-2-4', () => {
  const hash = new SipHash(Uint8Array.from({ length: 16 }, (_, i) => i));

  for (const [length, expected] of VECTORS) {
    it(`is that of the paper for ${length} bytes`, () => {
      const message = Uint8Array.from({ length }, (_, i) => i);
      assert.equal(Buffer.from(hash.hash(message)).toString('hex'), expected);
      assert.equal(hash.hash32(message) >>> 0, Buffer.from(expected, 'hex').readUInt32LE());
    });
  }

  it('hashes a part of a buffer', () => {
    const message = Uint8Array.from({ length: 40 }, (_, i) => i);
    assert.equal(hash.hash32(message, 8, 30), hash.hash32(message.subarray(8, 30)));
  });

  it('takes a key of 16 bytes only', () => {
    assert.throws(() => new SipHash(new Uint8Array(15)), MisuseError);
  });
});
