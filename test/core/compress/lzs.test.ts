import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeLzs, LZS_MAX_CANDIDATES, LzsEncoder } from '../../../src/core/compress/lzs.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { referenceDecodeLzs, referenceEncodeLzs } from '../../reference/lzs.ts';
import { compressibleBytes, mutationsOf } from '../../support/packets.ts';
import { sized } from '../../support/size.ts';

const MAX = 16_384;
const runs = { numRuns: sized(300, 20_000) };

/** Spec "AnyConnect", section 13.2. */
const VECTORS: readonly (readonly [name: string, input: Uint8Array, output: string])[] = [
  ['nothing', utf8(''), 'c000'],
  ['one literal', utf8('A'), '20e000'],
  ['two literals', utf8('AB'), '2090b000'],
  ['a copy of two', utf8('ABAB'), '2090b04600'],
  ['copies that overlap themselves', utf8('ABAAAAAACABABABA'), '209088381c21e25c1580'],
  ['two equal bytes, too few for a copy', utf8('aa'), '30987000'],
  ['length 2', utf8('a'.repeat(3)), '30e04c00'],
  ['length 3', utf8('a'.repeat(4)), '30e05c00'],
  ['length 4', utf8('a'.repeat(5)), '30e06c00'],
  ['length 5', utf8('a'.repeat(6)), '30e07300'],
  ['length 7', utf8('a'.repeat(8)), '30e07b00'],
  ['length 8', utf8('a'.repeat(9)), '30e07c3000'],
  ['length 9', utf8('a'.repeat(10)), '30e07c7000'],
  ['length 22, the last below a full group', utf8('a'.repeat(23)), '30e07fb000'],
  ['length 23, one full group', utf8('a'.repeat(24)), '30e07fc300'],
  ['length 38, two full groups', utf8('a'.repeat(39)), '30e07ffc3000'],
  ['length 59', utf8('a'.repeat(60)), '30e07fffdb00'],
  ['length 299', utf8('a'.repeat(300)), '30e07fffffffffffffffffffdb00'],
  [
    'a packet of zeros and a repeated word',
    Uint8Array.of(0x45, ...Array(39).fill(0), ...utf8('ABCDABCDABCDABCD')),
    '2280303ffe0412110c8984f4c000',
  ],
];

const OCSERV_PACKET =
  '600000000024000100000000000000000000000000000000ff0200000000000000000000000000163a000502000001008f006f890000000104000000ff0200000000000000000001ff000001';
const OCSERV_PAYLOAD = '30003028900001c3d81f47f80b1fea161d0000b9274e23c006f44e410081349ec017fe11c000';

function decode(input: Uint8Array, maxOutput = MAX): Uint8Array | undefined {
  const output = new Uint8Array(maxOutput);
  const length = decodeLzs(input, output);
  return length < 0 ? undefined : output.slice(0, length);
}

describe('LZS', () => {
  const encoder = new LzsEncoder(MAX);
  const encode = (input: Uint8Array) => encoder.encode(input, Number.POSITIVE_INFINITY)?.slice();

  for (const [name, input, output] of VECTORS) {
    it(`encodes and decodes ${name}`, () => {
      assert.equal(toHex(encode(input) ?? utf8('')), output);
      assert.deepEqual(decode(fromHex(output)), input);
    });
  }

  it('uses the long offset from 128 bytes on', () => {
    const input = Uint8Array.of(...Array(128).keys(), 0, 1, 2);
    const output = encode(input) ?? utf8('');
    assert.equal(output.length, 147);
    assert.match(toHex(output), /4fc7f840380$/);
    assert.deepEqual(decode(output), input);
  });

  it('decodes what ocserv sent', () => {
    assert.equal(toHex(decode(fromHex(OCSERV_PAYLOAD)) ?? utf8('')), OCSERV_PACKET);
  });

  it('copies from 2047 bytes back and no further', () => {
    const input = (distance: number) => Uint8Array.of(1, 2, 3, ...Array(distance - 3).fill(0), 1, 2, 3);
    const far = encode(input(2047)) ?? utf8('');
    assert.deepEqual(decode(far), input(2047));
    assert.equal((encode(input(2048)) ?? utf8('')).length > far.length, true);
  });

  it('gives up when the result is not shorter than the limit', () => {
    assert.equal(encoder.encode(utf8('ABCDEFGH')), undefined);
    assert.equal(encoder.encode(utf8('a'.repeat(10)), 5), undefined);
    assert.equal(encoder.encode(utf8('a'.repeat(10)), 6)?.length, 5);
  });

  it('leaves input alone that is longer than it was made for', () => {
    assert.equal(new LzsEncoder(40).encode(new Uint8Array(41)), undefined);
    assert.notEqual(new LzsEncoder(40).encode(new Uint8Array(40)), undefined);
  });

  it('refuses a copy from before the packet, a long offset of zero, and a missing endmark', () => {
    assert.equal(decode(fromHex('c0a0')), undefined, 'offset 1 with nothing written');
    assert.equal(decode(fromHex('20c000c000')), undefined, 'long offset 0');
    for (const [, , output] of VECTORS) assert.equal(decode(fromHex(output).subarray(0, -2)), undefined);
  });

  it('stops at the output limit, in literals and in copies', () => {
    assert.equal(decode(fromHex('2090b000'), 1), undefined);
    assert.equal(decode(fromHex('30e07fffffffffffffffffffdb00'), 299), undefined);
    assert.equal(decode(fromHex('30e07fffffffffffffffffffdb00'), 300)?.length, 300);
  });

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(fc.oneof(compressibleBytes(4000), fc.uint8Array({ maxLength: 300 })), (input) => {
        assert.deepEqual(decode(encode(input) ?? utf8('')), input);
      }),
      runs,
    );
  });

  it('writes what the obvious encoder writes', () => {
    fc.assert(
      fc.property(compressibleBytes(3000), (input) => {
        assert.deepEqual(encode(input), referenceEncodeLzs(input, LZS_MAX_CANDIDATES));
      }),
      { numRuns: sized(60, 2000) },
    );
  });

  it('decodes random and damaged bytes as the obvious decoder does', () => {
    const damaged = mutationsOf(compressibleBytes(400).map((input) => encode(input) ?? utf8('')));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), fc.integer({ min: 0, max: 500 }), (input, maxOutput) => {
        assert.deepEqual(decode(input, maxOutput), referenceDecodeLzs(input, maxOutput));
      }),
      { numRuns: sized(500, 20_000) },
    );
  });
});
