/** GlobalProtect's frames over TLS by the bytes of the specification, both ways. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../../src/core/errors.ts';
import { FrameReader, writeFrame, writeKeepalive } from '../../../../src/core/protocols/gp/frame.ts';
import { fromHex } from '../../../../src/core/wire/text.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';

const DATA = fromHex(`1a2b3c4d080000340100000000000000
  4500003400010000400156af0a0908070a0908010800372812340001 73616c6c79706f72742d746573742d7061796c6f61642d2d`);
const KEEPALIVE = fromHex('1a2b3c4d000000000000000000000000');

describe('GlobalProtect frames', () => {
  it('are those of the specification, one a record', () => {
    const sink = new CollectingSink();
    writeFrame(DATA.subarray(16), sink);
    writeKeepalive(sink);
    assert.deepEqual(sink.records, [DATA, KEEPALIVE]);
  });

  it('come out the same, wherever the stream is cut', () => {
    const stream = Uint8Array.of(...DATA, ...KEEPALIVE, ...DATA);
    for (let cut = 0; cut <= stream.length; cut++) {
      const reader = new FrameReader();
      const packets = [stream.subarray(0, cut), stream.subarray(cut)].flatMap((piece) =>
        reader.push(piece).map((packet) => packet.slice()),
      );
      assert.deepEqual(
        packets,
        [DATA.subarray(16), new Uint8Array(0), DATA.subarray(16)].map((packet) => packet.slice()),
        `${cut}`,
      );
    }
  });

  it('bring no packet that is not of the type they say, nor an empty one that is called a packet', () => {
    const typed = (type: readonly number[], packet = DATA.subarray(16)) =>
      Uint8Array.of(...DATA.subarray(0, 4), ...type, packet.length >>> 8, packet.length & 0xff, ...DATA.subarray(8, 16), ...packet);
    const [IPV4, IPV6] = [
      [8, 0],
      [0x86, 0xdd],
    ] as const;
    const brought = (frame: Uint8Array) => new FrameReader().push(Uint8Array.of(...frame, ...KEEPALIVE)).map(({ length }) => length);
    assert.deepEqual(brought(typed(IPV4)), [52, 0]);
    assert.deepEqual(brought(typed(IPV6)), [0]);
    assert.deepEqual(brought(typed(IPV4, fromHex('60'))), [0]);
    assert.deepEqual(brought(typed(IPV6, fromHex('60'))), [1, 0]);
    assert.deepEqual(brought(typed(IPV4, new Uint8Array(0))), [0]);
  });

  it('are refused whatever else they are', () => {
    for (const bad of ['1a2b3c4e', '1a2b3c4d0806', '1a2b3c4d00000001', '1a2b3c4d0800ffff']) {
      assert.throws(() => new FrameReader().push(fromHex(bad.padEnd(32, '0'))), PeerMisbehavedError, bad);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => toleratingOwnErrors(() => new FrameReader().push(bytes))));
  });
});
