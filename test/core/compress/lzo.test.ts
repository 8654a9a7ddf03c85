import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeLzo } from '../../../src/core/compress/lzo.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { randomLzo, referenceDecodeLzo } from '../../reference/lzo.ts';
import { mutationsOf } from '../../support/packets.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';

const MAX = 65_536;
const hex = (text: string) => fromHex(text.replaceAll(' ', ''));
const range = (length: number) => Uint8Array.from({ length }, (_, i) => i % 251);
const zeros = (length: number) => new Uint8Array(length);

/** Spec "ESP", section 6.2. */
const VECTORS: readonly (readonly [name: string, block: string, packet: Uint8Array])[] = [
  ['three literals', '14 616263 110000', utf8('abc')],
  ['twenty literals', '25 000102030405060708090a0b0c0d0e0f10111213 110000', range(20)],
  ['a copy that overlaps itself', '12 41 c000 110000', utf8('A'.repeat(8))],
  ['literals alone', '19 4141414141414141 110000', utf8('A'.repeat(8))],
  ['an extended copy', '12 00 201e0000 110000', zeros(64)],
  ['runs before and behind a copy', '02 0000000000 200b1000 0c 000000000000000000000000000000 110000', zeros(64)],
  ['a copy from twelve back', '1d 68656c6c6f20776f726c6420 20032c00 110000', utf8('hello world '.repeat(4))],
  ['a length of several bytes', '12 00 20 0000000000bf 0000 110000', zeros(1500)],
  [
    'a packet',
    '21 4500007800014000400125bc0a630002 4e00 0141 20420000 110000',
    Uint8Array.of(...hex('4500007800014000400125bc0a6300020a630001'), ...new Uint8Array(100).fill(0x41)),
  ],
  ['a long run of literals', `00f3 ${toHex(range(261))} 110000`, range(261)],
  ['a copy of the whole period', `00e9 ${toHex(range(251))} 2010e803 110000`, range(300)],
];

function decode(input: Uint8Array, maxOutput = MAX): Uint8Array | undefined {
  const output = new Uint8Array(maxOutput);
  const length = decodeLzo(input, output);
  return length < 0 ? undefined : output.slice(0, length);
}

/** Blocks of any instructions; how many literals come with them is the seed's. */
const blocks = fc
  .record({ seed: fc.nat(), size: fc.integer({ min: 1, max: 60 }) })
  .map(({ seed, size }) => randomLzo(new SeededRandom(seed), size));

describe('LZO', () => {
  for (const [name, block, packet] of VECTORS) {
    it(`decodes ${name}`, () => {
      assert.deepEqual(decode(hex(block)), packet);
      assert.deepEqual(referenceDecodeLzo(hex(block), MAX), packet);
    });
  }

  for (const [name, block] of [
    ['that does not end', '14 616263'],
    ['with a byte behind its end', '14 616263 110000 00'],
    ['that copies from before the packet', '12 41 2001ff00 110000'],
    ['with fewer literals than it says', 'ff 00'],
    ['whose end is cut', '12 1100'],
    ['without anything', ''],
    ['whose end has literals', '12 41 110100'],
    ['whose end has another length', '12 41 120000 110000'],
    ['that goes on with a short copy behind its first literals', '12 41 0000 110000'],
    ['whose extended length does not end', '12 41 20 000000'],
    ['whose run does not end', '00 000000'],
  ] as const) {
    it(`refuses a block ${name}`, () => {
      assert.equal(decode(hex(block)), undefined);
      assert.equal(referenceDecodeLzo(hex(block), MAX), undefined);
    });
  }

  it('stops at the output limit, in literals, in copies, and before it has read a length without end', () => {
    assert.equal(decode(hex('14 616263 110000'), 2), undefined);
    assert.equal(decode(hex('12 00 20 0000000000bf 0000 110000'), 1499), undefined);
    assert.equal(decode(hex('12 00 20 0000000000bf 0000 110000'), 1500)?.length, 1500);
    assert.equal(decode(Uint8Array.of(0x12, 0, 0x20, ...zeros(60_000)), 2000), undefined);
  });

  it('decodes whatever an encoder may write', () => {
    fc.assert(
      fc.property(blocks, ({ block, packet }) => {
        assert.deepEqual(decode(block, packet.length), packet);
      }),
      { numRuns: sized(300, 20_000) },
    );
  });

  it('decodes random and damaged bytes as the obvious decoder does', () => {
    const damaged = mutationsOf(blocks.map(({ block }) => block));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), fc.integer({ min: 0, max: 3000 }), (input, maxOutput) => {
        assert.deepEqual(decode(input, maxOutput), referenceDecodeLzo(input, maxOutput));
      }),
      { numRuns: sized(1000, 50_000) },
    );
  });
});
