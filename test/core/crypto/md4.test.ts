import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { md4 } from '../../../src/core/crypto/md4.ts';
import { toHex, utf8 } from '../../../src/core/wire/text.ts';

/** RFC 1320, appendix A.5. */
const RFC_1320_SUITE: readonly (readonly [message: string, digest: string])[] = [
  ['', '31d6cfe0d16ae931b73c59d7e0c089c0'],
  ['a', 'bde52cb31de33e46245e05fbdbd6fb24'],
  ['abc', 'a448017aaf21d8525fc10ae87aa6729d'],
  ['message digest', 'd9130a8164549fe818874806e1c7014b'],
  ['abcdefghijklmnopqrstuvwxyz', 'd79e1c308aa5bbcdeea8ed63df412da9'],
  ['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789', '043f8582f241db351ce627e153e7f0e4'],
  ['12345678901234567890123456789012345678901234567890123456789012345678901234567890', 'e33b4ddc9c38f2199c3e7b164fcc0536'],
];

describe('MD4', () => {
  for (const [message, digest] of RFC_1320_SUITE) {
    it(`hashes "${message}" as RFC 1320 does`, () => assert.equal(toHex(md4(utf8(message))), digest));
  }

  it('pads messages of every length around a block, each to another digest', () => {
    const lengths = Array.from({ length: 131 }, (_, length) => length);
    const digests = lengths.map((length) => toHex(md4(new Uint8Array(length))));
    assert.equal(new Set(digests).size, lengths.length);
  });

  it('hashes a view into a larger buffer by its own bytes only', () => {
    assert.deepEqual(md4(utf8('xxabcxx').subarray(2, 5)), md4(utf8('abc')));
  });
});
