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

  it('are refused whatever else they are', () => {
    for (const bad of ['1a2b3c4e', '1a2b3c4d0806', '1a2b3c4d00000001', '1a2b3c4d0800ffff']) {
      assert.throws(() => new FrameReader().push(fromHex(bad.padEnd(32, '0'))), PeerMisbehavedError, bad);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => toleratingOwnErrors(() => new FrameReader().push(bytes))));
  });
});
