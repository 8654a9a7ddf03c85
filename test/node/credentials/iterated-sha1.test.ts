import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { iteratedSha1 } from '../../../src/node/credentials/iterated-sha1.ts';

/** The slow and obvious one. */
function reference(digest: Uint8Array, times: number): Uint8Array {
  let output = digest;
  for (let i = 0; i < times; i++) output = hash('sha1', output, 'buffer');
  return output;
}

describe('iterated SHA-1', () => {
  it('is what node:crypto makes of it, step by step', () => {
    const digests = fc.uint8Array({ minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(digests, fc.nat({ max: 200 }), (digest, times) => {
        assert.deepEqual(Buffer.from(iteratedSha1(digest, times)), Buffer.from(reference(digest, times)));
      }),
    );
  });

  it('takes a digest that is a part of a larger buffer, and leaves it alone', () => {
    const buffer = Buffer.from(Array.from({ length: 40 }, (_, i) => i));
    const before = Buffer.from(buffer);
    const digest = buffer.subarray(7, 27);
    assert.deepEqual(Buffer.from(iteratedSha1(digest, 3)), Buffer.from(reference(digest, 3)));
    assert.deepEqual(buffer, before);
  });
});
