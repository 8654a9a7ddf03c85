import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { FULL_ACCM, HdlcDeframer, maxHdlcLength, writeHdlcFrame } from '../../../src/core/ppp/hdlc.ts';
import { MAX_FRAME } from '../../../src/core/ppp/limits.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { sliceSizes, slicesOf } from '../../support/slices.ts';

/** Spec "PPP", section 3.5: body, the frame with the map 0xFFFFFFFF, the frame with the map 0. */
const VECTORS: readonly (readonly [body: string, escaped: string, plain: string])[] = [
  ['', '7e7d207d207e', '7e00007e'],
  [toHex(utf8('123456789')), '7e3132333435363738396e907e', '7e3132333435363738396e907e'],
  ['ff03', '7eff7d237d3cc27e', '7eff031cc27e'],
  ['7e7d', '7e7d5e7d5df1cd7e', '7e7d5e7d5df1cd7e'],
  [
    'ff03c0210101000e010405780506a1b2c3d4',
    '7eff7d23c0217d217d217d207d2e7d217d247d25787d257d26a1b2c3d461527e',
    '7eff03c0210101000e010405780506a1b2c3d461527e',
  ],
  ['ff03c02109010008deadbeef', '7eff7d23c0217d297d217d207d28deadbeef7be87e', '7eff03c02109010008deadbeef7be87e'],
  ['80210101000a030600000000', '7e80217d217d217d207d2a7d237d267d207d207d207d206dc67e', '7e80210101000a0306000000006dc67e'],
  [
    '21450000140000000040' + '0166e70a0000010a000002',
    '7e21457d207d207d347d207d207d207d20407d2166e77d2a7d207d207d217d2a7d207d207d227d26e37e',
    '7e2145000014000000004001' + '66e70a0000010a00000206e37e',
  ],
];

const NOTHING = new Uint8Array(0);

function frameOf(body: Uint8Array, accm: number): Uint8Array {
  const room = new Uint8Array(maxHdlcLength(body.length));
  return room.subarray(0, writeHdlcFrame(room, NOTHING, body, 0, body.length, accm));
}

function bodiesIn(deframer: HdlcDeframer, bytes: Uint8Array): string[] {
  const bodies: string[] = [];
  deframer.push(bytes);
  while (deframer.next()) bodies.push(toHex(deframer.bytes.subarray(deframer.start, deframer.end)));
  return bodies;
}

describe('HDLC-like framing', () => {
  it('writes the frames of the specification', () => {
    for (const [body, escaped, plain] of VECTORS) {
      assert.equal(toHex(frameOf(fromHex(body), FULL_ACCM)), escaped);
      assert.equal(toHex(frameOf(fromHex(body), 0)), plain);
    }
  });

  it('reads the frames of the specification, whatever is escaped', () => {
    for (const [body, escaped, plain] of VECTORS.slice(1)) {
      assert.deepEqual(bodiesIn(new HdlcDeframer(), fromHex(escaped)), [body]);
      assert.deepEqual(bodiesIn(new HdlcDeframer(), fromHex(plain)), [body]);
    }
  });

  it('escapes only the control characters of the map', () => {
    assert.equal(toHex(frameOf(fromHex('01 02'), 1 << 1)).slice(0, 8), '7e7d2102');
  });

  it('reads back whatever it writes, in any slices, with flags shared and repeated', () => {
    const bodies = fc.array(fc.uint8Array({ minLength: 1, maxLength: 60 }), { maxLength: 6 });
    fc.assert(
      fc.property(bodies, fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), sliceSizes, (frames, accm, sharesFlags, sizes) => {
        const pieces = frames.map((body) => frameOf(body, accm)).map((frame, i) => (sharesFlags && i > 0 ? frame.subarray(1) : frame));
        const stream = Uint8Array.from([0x7e, 0x7e, ...pieces.flatMap((piece) => [...piece]), 0x7e]);
        const deframer = new HdlcDeframer();
        const read = slicesOf(stream, sizes).flatMap((slice) => bodiesIn(deframer, slice));
        assert.deepEqual(read, frames.map(toHex));
        assert.equal(deframer.malformed, 0);
      }),
      { numRuns: 100 },
    );
  });

  it('drops and counts a frame with a wrong check sequence, an aborted one and one that is too long, and goes on with the next', () => {
    const deframer = new HdlcDeframer();
    assert.deepEqual(bodiesIn(deframer, fromHex('7e 31 32 6e 91 7e 31 7d 7e')), []);
    assert.equal(deframer.malformed, 2);
    assert.deepEqual(bodiesIn(deframer, new Uint8Array(MAX_FRAME + 100).fill(0x55)), []);
    assert.equal(deframer.malformed, 3);
    assert.deepEqual(bodiesIn(deframer, frameOf(utf8('after'), 0)), [toHex(utf8('after'))]);
  });

  it('ignores what comes before the first flag', () => {
    const deframer = new HdlcDeframer();
    assert.deepEqual(bodiesIn(deframer, Uint8Array.from([1, 2, 3, ...frameOf(utf8('x'), 0)])), [toHex(utf8('x'))]);
    assert.equal(deframer.malformed, 0);
  });
});
