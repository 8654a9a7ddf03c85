import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeLz4, Lz4Encoder } from '../../../src/core/compress/lz4.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { referenceDecodeLz4 } from '../../reference/lz4.ts';
import { compressibleBytes, mutationsOf } from '../../support/packets.ts';
import { sized } from '../../support/size.ts';

const MAX = 16_384;

/** Spec "AnyConnect", section 13.3: what ocserv sent, and the packet in it. */
const OCSERV_PAYLOAD = '806000000000240001070008020028ff020e00fa0400163a000502000001008f006f89000000010424005001ff000001';
const OCSERV_PACKET =
  '600000000024000100000000000000000000000000000000ff0200000000000000000000000000163a000502000001008f006f890000000104000000ff0200000000000000000001ff000001';

function decode(input: Uint8Array, maxOutput = MAX): Uint8Array | undefined {
  const output = new Uint8Array(maxOutput);
  const length = decodeLz4(input, output);
  return length < 0 ? undefined : output.slice(0, length);
}

describe('LZ4', () => {
  const encoder = new Lz4Encoder(MAX);
  const encode = (input: Uint8Array) => encoder.encode(input, Number.POSITIVE_INFINITY)?.slice() ?? utf8('');

  it('decodes what ocserv sent', () => {
    assert.equal(toHex(decode(fromHex(OCSERV_PAYLOAD)) ?? utf8('')), OCSERV_PACKET);
  });

  it('makes that packet as short as ocserv does', () => {
    assert.ok(encode(fromHex(OCSERV_PACKET)).length <= OCSERV_PAYLOAD.length / 2);
  });

  it('writes literals alone where nothing repeats', () => {
    assert.equal(toHex(encode(utf8(''))), '00');
    assert.equal(toHex(encode(utf8('abc'))), '30616263');
    assert.equal(toHex(encode(Uint8Array.from({ length: 15 }, (_, i) => i))), `f000${toHex(Uint8Array.from({ length: 15 }, (_, i) => i))}`);
  });

  it('ends with five literals, and begins no match in the last twelve bytes', () => {
    // 1 literal, then 14 bytes from 1 back (token 1 | 10), then 5 literals.
    assert.equal(toHex(encode(utf8('a'.repeat(20)))), '1a61010050' + '6161616161');
    assert.equal(toHex(encode(utf8('a'.repeat(12)))), `c0${'61'.repeat(12)}`);
  });

  it('extends lengths in steps of 255', () => {
    const noise = Uint8Array.from({ length: 300 }, (_, i) => (i * i * 7 + (i >> 4)) & 0xff);
    const input = Uint8Array.of(...noise, ...noise, ...noise, 1, 2, 3, 4, 5);
    assert.deepEqual(decode(encode(input)), input);
    assert.ok(encode(input).length < 320);
    assert.equal(decode(fromHex('1f610100ffff00' + '00'))?.length, 1 + 4 + 15 + 510);
  });

  it('gives up when the result is not shorter than the limit', () => {
    assert.equal(encoder.encode(utf8('abcdefghijklmnopqrst')), undefined);
    assert.equal(encoder.encode(utf8('a'.repeat(20)), 10), undefined);
    assert.equal(encoder.encode(utf8('a'.repeat(20)), 11)?.length, 10);
  });

  it('leaves input alone that is longer than it was made for', () => {
    assert.equal(new Lz4Encoder(40).encode(new Uint8Array(41)), undefined);
    assert.notEqual(new Lz4Encoder(40).encode(new Uint8Array(40)), undefined);
  });

  it('refuses a copy from before the packet, an offset of zero, and a block that is cut short', () => {
    assert.equal(decode(fromHex('1061020000')), undefined, 'offset 2 after one byte');
    assert.equal(decode(fromHex('1061000000')), undefined, 'offset 0');
    assert.equal(decode(fromHex('10610100')), undefined, 'ends with a match');
    assert.equal(decode(fromHex('106101')), undefined, 'half an offset');
    assert.equal(decode(fromHex('f0')), undefined, 'no length');
    assert.equal(decode(fromHex('2061')), undefined, 'one literal of two');
    assert.equal(decode(utf8('')), undefined, 'nothing');
  });

  it('stops at the output limit, in literals and in copies', () => {
    assert.equal(decode(fromHex('20' + '6161'), 1), undefined);
    assert.equal(decode(fromHex('1f610100ffff0000'), 529), undefined);
    assert.equal(decode(fromHex('1f610100ffff0000'), 530)?.length, 530);
  });

  it('reads back whatever it writes, and so does the obvious decoder', () => {
    fc.assert(
      fc.property(fc.oneof(compressibleBytes(6000), fc.uint8Array({ maxLength: 300 })), (input) => {
        const block = encode(input);
        assert.deepEqual(decode(block), input);
        assert.deepEqual(referenceDecodeLz4(block, MAX), input);
      }),
      { numRuns: sized(300, 20_000) },
    );
  });

  it('decodes random and damaged bytes as the obvious decoder does', () => {
    const damaged = mutationsOf(compressibleBytes(400).map(encode));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), fc.integer({ min: 0, max: 500 }), (input, maxOutput) => {
        assert.deepEqual(decode(input, maxOutput), referenceDecodeLz4(input, maxOutput));
      }),
      { numRuns: sized(500, 20_000) },
    );
  });
});
