import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../src/core/errors.ts';
import { createDeframer } from '../../../src/core/ppp/create-deframer.ts';
import type { PppDeframer } from '../../../src/core/ppp/deframer.ts';
import { f5Encapsulation, fortinetEncapsulation, HDLC, RAW } from '../../../src/core/ppp/encapsulation.ts';
import { PPP_PROTOCOLS, pppHeader, pppHeaderLength, pppProtocol } from '../../../src/core/ppp/frame-header.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { toleratingOwnErrors } from '../../support/own-errors.ts';
import { sliceSizes, slicesOf } from '../../support/slices.ts';

const F5 = f5Encapsulation('client');
const FORTINET = fortinetEncapsulation('client');

function bodiesIn(deframer: PppDeframer, bytes: Uint8Array): string[] {
  const bodies: string[] = [];
  deframer.push(bytes);
  while (deframer.next()) bodies.push(toHex(deframer.bytes.subarray(deframer.start, deframer.end)));
  return bodies;
}

describe('PPP frames with a length in front', () => {
  const frames = fromHex('f5000003 aabbcc f5000001 dd');

  it('are cut out of a stream in any slices', () => {
    fc.assert(
      fc.property(sliceSizes, (sizes) => {
        const deframer = createDeframer(F5);
        assert.deepEqual(
          slicesOf(frames, sizes).flatMap((slice) => bodiesIn(deframer, slice)),
          ['aabbcc', 'dd'],
        );
      }),
    );
  });

  it('have their magic and both lengths checked', () => {
    assert.deepEqual(bodiesIn(createDeframer(FORTINET), fromHex('000a 5050 0004 80210101')), ['80210101']);
    for (const bad of ['f4', 'f501 0001 00', 'f500 4001']) {
      assert.throws(() => bodiesIn(createDeframer(F5), fromHex(bad)), PeerMisbehavedError, bad);
    }
    for (const bad of ['0007 5051', '000b 5050 0004 80210101', '0005 5050 0000', '400a 5050 4004']) {
      assert.throws(() => bodiesIn(createDeframer(FORTINET), fromHex(bad)), PeerMisbehavedError, bad);
    }
  });

  it('do not continue in the next datagram', () => {
    const deframer = createDeframer(F5);
    assert.deepEqual(bodiesIn(deframer, frames.subarray(0, 9)), ['aabbcc']);
    deframer.endDatagram();
    assert.equal(deframer.malformed, 1);
    assert.deepEqual(bodiesIn(deframer, frames), ['aabbcc', 'dd']);
  });

  it('leave what has come of the next one to who goes on with it', () => {
    const deframer = createDeframer(F5);
    bodiesIn(deframer, frames.subarray(0, 10));
    assert.equal(toHex(deframer.takePartial()), 'f50000');
  });
});

describe('PPP frames that are a record', () => {
  it('come whole, one at a time', () => {
    const deframer = createDeframer(RAW);
    assert.deepEqual(bodiesIn(deframer, fromHex('ff03c021')), ['ff03c021']);
    assert.deepEqual(bodiesIn(deframer, new Uint8Array(0)), []);
  });
});

describe('every deframer', () => {
  it('throws nothing but its own errors, whatever the bytes', () => {
    for (const encapsulation of [F5, FORTINET, HDLC, RAW]) {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => toleratingOwnErrors(() => bodiesIn(createDeframer(encapsulation), bytes))),
      );
    }
  });
});

describe('PPP header', () => {
  const forms = [true, false].flatMap((hasAddressControl) =>
    [true, false].map((hasShortProtocol) => ({ hasAddressControl, hasShortProtocol })),
  );

  it('is read back in every form', () => {
    for (const form of forms) {
      for (const protocol of Object.values(PPP_PROTOCOLS)) {
        const header = pppHeader(protocol, form);
        const frame = Uint8Array.from([...header, 1, 2, 3]);
        assert.equal(pppHeaderLength(frame, 0, frame.length), header.length);
        assert.equal(pppProtocol(frame, 0, header.length), protocol);
      }
    }
    assert.deepEqual(
      forms.map((form) => toHex(pppHeader(PPP_PROTOCOLS.ipv4, form))),
      ['ff0321', 'ff030021', '21', '0021'],
    );
  });

  it('is none where the frame ends before its protocol', () => {
    for (const frame of ['', 'ff03', 'ff0300', 'c0']) assert.equal(pppHeaderLength(fromHex(frame), 0, frame.length / 2), 0, frame);
  });
});
