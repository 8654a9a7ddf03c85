import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TruncatedError } from '../../../src/core/errors.ts';
import { ByteReader } from '../../../src/core/wire/byte-reader.ts';
import { ByteWriter } from '../../../src/core/wire/byte-writer.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';

describe('ByteReader', () => {
  it('reads big-endian numbers of every width', () => {
    const reader = new ByteReader(fromHex('01 0203 040506 0708090a 0b0c0d0e0f10 ffff'));
    assert.equal(reader.u8('a'), 0x01);
    assert.equal(reader.u16('b'), 0x0203);
    assert.equal(reader.u24('c'), 0x040506);
    assert.equal(reader.u32('d'), 0x0708090a);
    assert.equal(reader.u48('e'), 0x0b0c0d0e0f10);
    assert.equal(reader.position, 16);
    assert.equal(toHex(reader.rest()), 'ffff');
    assert.equal(reader.remaining, 0);
  });

  it('names the field that is cut short, and reads nothing of it', () => {
    const reader = new ByteReader(fromHex('01'));
    assert.throws(() => reader.u16('CSTP length'), new TruncatedError('CSTP length: wanted 2 bytes, had 1'));
    assert.equal(reader.u8('type'), 1);
  });

  it('keeps numbers above 2^31 positive', () => {
    assert.equal(new ByteReader(fromHex('ffffffff')).u32('x'), 0xffff_ffff);
    assert.equal(new ByteReader(fromHex('ffffffffffff')).u48('x'), 0xffff_ffff_ffff);
  });
});

describe('ByteWriter', () => {
  it('writes what ByteReader reads', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xff }),
        fc.integer({ min: 0, max: 0xffff }),
        fc.integer({ min: 0, max: 0xff_ffff }),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.integer({ min: 0, max: 0xffff_ffff_ffff }),
        fc.uint8Array({ maxLength: 600 }),
        (a, b, c, d, e, tail) => {
          const reader = new ByteReader(new ByteWriter().u8(a).u16(b).u24(c).u32(d).u48(e).bytes(tail).finish());
          assert.deepEqual([reader.u8('a'), reader.u16('b'), reader.u24('c'), reader.u32('d'), reader.u48('e')], [a, b, c, d, e]);
          assert.deepEqual(reader.rest(), tail);
        },
      ),
    );
  });

  it('fills in a length prefix after the body is written', () => {
    const bytes = new ByteWriter()
      .prefixed(2, (writer) => writer.u8(7).prefixed(3, (inner) => inner.bytes(fromHex('aabb'))))
      .prefixed(1, () => undefined)
      .finish();
    assert.equal(toHex(bytes), '0006' + '07' + '000002' + 'aabb' + '00');
  });
});
