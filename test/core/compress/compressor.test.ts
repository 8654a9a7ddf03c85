import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createStatelessCompressor, MAX_PACKET_LENGTH } from '../../../src/core/compress/compressor.ts';
import { PACKET_HEADROOM, packetBytes } from '../../../src/core/tunnel/packet.ts';
import { fromHex } from '../../../src/core/wire/text.ts';
import { compressibleBytes } from '../../support/packets.ts';
import { sized } from '../../support/size.ts';

for (const name of ['lzs', 'oc-lz4'] as const) {
  describe(`packet compressor ${name}`, () => {
    it('sends short packets as they are', () => {
      const compressor = createStatelessCompressor(name);
      assert.equal(compressor.compress(new Uint8Array(39)), undefined);
      assert.notEqual(compressor.compress(new Uint8Array(40)), undefined);
      assert.equal(createStatelessCompressor(name, { minLength: 257 }).compress(new Uint8Array(256)), undefined);
    });

    it('sends packets as they are that would not shrink', () => {
      assert.equal(createStatelessCompressor(name).compress(Uint8Array.from({ length: 200 }, (_, i) => i)), undefined);
    });

    it('takes the longest packet and no longer one', () => {
      const compressor = createStatelessCompressor(name);
      const compressed = compressor.compress(new Uint8Array(MAX_PACKET_LENGTH));
      assert.ok(compressed !== undefined);
      assert.equal(packetBytes(compressor.decompress(compressed) ?? assert.fail('undecodable')).length, MAX_PACKET_LENGTH);
      assert.equal(compressor.compress(new Uint8Array(MAX_PACKET_LENGTH + 1)), undefined);
    });

    it('needs no packet to understand the next', () => {
      fc.assert(
        fc.property(fc.array(compressibleBytes(1500), { maxLength: 6 }), (packets) => {
          const [sender, receiver] = [createStatelessCompressor(name), createStatelessCompressor(name)];
          packets.forEach((packet, i) => {
            const compressed = sender.compress(packet);
            if (compressed === undefined || i % 2 === 1) return; // every other one is lost
            assert.ok(compressed.length < packet.length);
            assert.deepEqual(packetBytes(receiver.decompress(compressed) ?? assert.fail('undecodable')), packet);
          });
        }),
        { numRuns: sized(100, 5000) },
      );
    });

    it('writes the same for a packet, whatever came before it: also after 16 MiB, when its tables start again', () => {
      const compressor = createStatelessCompressor(name);
      for (let sent = 0; sent < 1 << 24; sent += MAX_PACKET_LENGTH) compressor.compress(new Uint8Array(MAX_PACKET_LENGTH));
      fc.assert(
        fc.property(compressibleBytes(1500), (packet) => {
          assert.deepEqual(compressor.compress(packet), createStatelessCompressor(name).compress(packet));
        }),
        { numRuns: 50 },
      );
    });

    it('returns nothing for bytes that are no packet', () => {
      assert.equal(createStatelessCompressor(name).decompress(fromHex('f0')), undefined);
    });

    it('leaves room on both sides of a packet, whoever moved its ends before', () => {
      const compressor = createStatelessCompressor(name);
      const compressed = compressor.compress(new Uint8Array(100).fill(7));
      assert.ok(compressed !== undefined);
      const first = compressor.decompress(compressed);
      assert.ok(first !== undefined);
      first.start -= 4;
      const second = compressor.decompress(compressed);
      assert.equal(second?.start, PACKET_HEADROOM);
      assert.deepEqual(packetBytes(second ?? assert.fail()), new Uint8Array(100).fill(7));
    });
  });
}
