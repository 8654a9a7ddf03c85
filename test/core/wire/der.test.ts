import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import forge from 'node-forge';
import { DER_TAGS, der, derObjectIdentifier } from '../../../src/core/wire/der.ts';
import { toHex } from '../../../src/core/wire/text.ts';

describe('DER', () => {
  it('writes lengths in the shortest form', () => {
    for (const [length, header] of [
      [0, '3000'],
      [0x7f, '307f'],
      [0x80, '308180'],
      [0xff, '3081ff'],
      [0x100, '30820100'],
      [0xffff, '3082ffff'],
      [0x1_0000, '3083010000'],
    ] as const) {
      const value = der(DER_TAGS.sequence, new Uint8Array(length));
      assert.equal(toHex(value.subarray(0, header.length / 2)), header);
      assert.equal(value.length, header.length / 2 + length);
    }
  });

  it('writes object identifiers as X.690 says', () => {
    for (const dotted of ['1.2.840.113549.1.7.2', '2.5.4.3', '0.9.2342.19200300.100.1.1']) {
      const expected = forge.asn1.oidToDer(dotted).toHex();
      assert.equal(toHex(derObjectIdentifier(dotted)).slice(4), expected, dotted);
    }
  });
});
