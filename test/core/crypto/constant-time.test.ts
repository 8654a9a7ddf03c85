import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { equalInConstantTime } from '../../../src/core/crypto/constant-time.ts';

describe('equalInConstantTime', () => {
  it('says what a plain comparison says', () => {
    const pairs = fc.oneof(
      fc.tuple(fc.uint8Array(), fc.uint8Array()),
      fc.uint8Array().map((bytes): [Uint8Array, Uint8Array] => [bytes, bytes.slice()]),
    );
    fc.assert(fc.property(pairs, ([a, b]) => assert.equal(equalInConstantTime(a, b), Buffer.compare(a, b) === 0)));
  });

  it('sees a difference in any one bit', () => {
    const a = new Uint8Array(20);
    for (let bit = 0; bit < 160; bit++) {
      const b = a.slice();
      b[bit >>> 3] = 1 << (bit & 7);
      assert.equal(equalInConstantTime(a, b), false);
    }
  });
});
