import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checksumOf, sumWords } from '../../../src/core/ip/checksum.ts';
import { checksumReference } from '../../reference/internet-checksum.ts';

describe('Internet checksum', () => {
  it('is that of RFC 1071 §3', () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    assert.equal(checksumOf(sumWords(bytes, 0, 8)), ~0xddf2 & 0xffff);
  });

  it('is what the obvious version says, wherever the bytes lie', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3_000 }), fc.nat(9), (bytes, offset) => {
        const buffer = new Uint8Array(offset + bytes.length + 8).fill(0xa5);
        buffer.set(bytes, offset);
        assert.equal(checksumOf(sumWords(buffer, offset, offset + bytes.length)), checksumReference(bytes));
      }),
    );
  });

  it('does not overflow on the largest packet', () => {
    const bytes = new Uint8Array(65_535).fill(0xff);
    assert.equal(checksumOf(sumWords(bytes, 0, bytes.length, 2 ** 20)), checksumOf(2 ** 20 + (0xffff * 32_767 + 0xff00)));
  });

  it('can be summed in parts of even length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), fc.nat(250), (bytes, half) => {
        const cut = Math.min(2 * half, bytes.length & ~1);
        assert.equal(checksumOf(sumWords(bytes, cut, bytes.length, sumWords(bytes, 0, cut))), checksumReference(bytes));
      }),
    );
  });
});
