import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../../src/core/errors.ts';
import { CSTP_TYPES, CstpDeframer, sendCstpFrame } from '../../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';

interface Frame {
  readonly type: number;
  readonly payload: string;
}

function framesOf(slices: readonly Uint8Array[]): Frame[] {
  const deframer = new CstpDeframer();
  const frames: Frame[] = [];
  for (const slice of slices) {
    deframer.push(slice);
    while (deframer.next()) frames.push({ type: deframer.type, payload: toHex(deframer.bytes.subarray(deframer.start, deframer.end)) });
  }
  return frames;
}

function encoded(type: number, payload: Uint8Array): Uint8Array {
  const sink = new CollectingSink();
  sendCstpFrame(sink, type, payload);
  assert.equal(sink.records.length, 1, 'one frame is one record');
  return sink.records[0] as Uint8Array;
}

describe('CSTP frame', () => {
  // Spec "AnyConnect", section 13.1: observed between openconnect 9.01 and ocserv 1.1.6.
  it('has the bytes that the peers send', () => {
    assert.equal(toHex(encoded(CSTP_TYPES.dpdRequest, new Uint8Array(0))), '5354460100000300');
    assert.equal(toHex(encoded(CSTP_TYPES.dpdResponse, utf8('hello'))), '535446010005040068656c6c6f');
    assert.equal(toHex(encoded(CSTP_TYPES.dpdResponse, new Uint8Array(0))), '5354460100000400');
    assert.equal(toHex(encoded(CSTP_TYPES.keepalive, new Uint8Array(0))), '5354460100000700');
    assert.equal(toHex(encoded(CSTP_TYPES.disconnect, new Uint8Array(0))), '5354460100000500');
    assert.equal(toHex(encoded(CSTP_TYPES.terminate, new Uint8Array(0))), '5354460100000900');
    assert.equal(
      toHex(encoded(CSTP_TYPES.disconnect, new Uint8Array([0xb0, ...utf8('Aborted by caller')]))),
      '5354460100120500b041626f727465642062792063616c6c6572',
    );
  });

  it('is read whatever its type, also a disconnect with a text', () => {
    assert.deepEqual(framesOf([fromHex('53544601000f05000449646c652054696d656f75740a21 5354460100000900 5354460100004200')]), [
      { type: CSTP_TYPES.disconnect, payload: '0449646c652054696d656f75740a21' },
      { type: CSTP_TYPES.terminate, payload: '' },
      { type: 0x42, payload: '' },
    ]);
  });

  // Spec "AnyConnect", section 13.1: its length says that more is to come.
  it('is waited for while it is shorter than its length', () => {
    assert.deepEqual(framesOf([fromHex('5354460100050300')]), []);
    assert.deepEqual(framesOf([fromHex('5354460100050300'), utf8('hell')]), []);
    assert.deepEqual(framesOf([fromHex('5354460100050300'), utf8('hell'), utf8('o')]), [
      { type: CSTP_TYPES.dpdRequest, payload: '68656c6c6f' },
    ]);
  });

  it('is refused with a wrong magic, reserved byte or size, as soon as that shows', () => {
    assert.throws(() => framesOf([fromHex('5355')]), /CSTP magic/);
    assert.throws(() => framesOf([fromHex('5354460100000301')]), /reserved byte/);
    assert.throws(() => framesOf([fromHex('5354460140010000')]), /at most 16384, got 16385/);
  });

  it('keeps a copy of what is cut short, even of a Buffer, whose memory may be used again', () => {
    const bytes = Buffer.from(encoded(CSTP_TYPES.dpdRequest, utf8('hello')));
    const deframer = new CstpDeframer();
    const slice = Buffer.from(bytes.subarray(0, 9));
    deframer.push(slice);
    assert.equal(deframer.next(), false);
    slice.fill(0);
    deframer.push(bytes.subarray(9));
    assert.equal(deframer.next(), true);
    assert.equal(toHex(deframer.bytes.subarray(deframer.start, deframer.end)), toHex(utf8('hello')));
  });

  it('reads back whatever it writes, in any slices', () => {
    const frame = fc.record({ type: fc.integer({ min: 0, max: 255 }), payload: fc.uint8Array({ maxLength: 300 }) });
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 6 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
        const stream = Buffer.concat(frames.map(({ type, payload }) => encoded(type, payload)));
        const slices: Uint8Array[] = [];
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = cuts[i % cuts.length] ?? 1;
          slices.push(Uint8Array.from(stream.subarray(at, at + size)));
          at += size;
        }
        assert.deepEqual(
          framesOf(slices),
          frames.map(({ type, payload }) => ({ type, payload: toHex(payload) })),
        );
      }),
    );
  });

  it('holds a copy of what is cut short, so that the caller may reuse its bytes', () => {
    const deframer = new CstpDeframer();
    const slice = fromHex('535446010002');
    deframer.push(slice);
    assert.equal(deframer.next(), false);
    slice.fill(0xff);
    deframer.push(fromHex('0000aabb'));
    assert.equal(deframer.next(), true);
    assert.equal(toHex(deframer.bytes.subarray(deframer.start, deframer.end)), 'aabb');
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const nearly = fc.uint8Array({ maxLength: 64 }).map((bytes) => new Uint8Array([0x53, 0x54, 0x46, 0x01, ...bytes]));
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 64 }), nearly), { maxLength: 4 }), (slices) => {
        try {
          framesOf(slices);
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
    );
  });
});
