import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { constants, createDeflateRaw, deflateRawSync, inflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { ADLER32_START, adler32 } from '../../../src/core/compress/adler32.ts';
import { createDeflate } from '../../../src/core/compress/deflate.ts';
import { PeerMisbehavedError, SallyportError } from '../../../src/core/errors.ts';
import { PACKET_HEADROOM, packetBytes } from '../../../src/core/tunnel/packet.ts';
import { ByteWriter } from '../../../src/core/wire/byte-writer.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { compressibleBytes, mutationsOf } from '../../support/packets.ts';
import { sized } from '../../support/size.ts';

/** Spec "AnyConnect", section 13.4: two identical packets, gateway to client. */
const PACKET = Uint8Array.of(...fromHex('45000054000040004001265f0a5800010a58000908004d7d00010001'), ...Array(56).keys());
const PAYLOADS = [
  '72656008616070607060548be78a606004624e0e06df5a064610646266616563e7e0e4e2e6e1e5e3171014121611151397909492969195935750545256515553d7d0d4d2d6d1d5d3373034323631353307000000ffff5b1e0946',
  '72a5819900000000ffffc10d128b',
];

/** Client to gateway, from openconnect: also twice the same packet. */
const CLIENT_PACKET = '6000000000083afffe800000000000001f8d90833a572590ff02000000000000000000000000000285006d3f00000000';
const CLIENT_PAYLOADS = [
  '4a6000020eabffff1a18c040be7742b355b8ea84ff4c0cc880a99521d71ec400000000fffff72d0859',
  '4a20513d000000ffff7f0710b1',
];

const packets = fc.array(fc.oneof(compressibleBytes(1500), fc.uint8Array({ minLength: 1, maxLength: 1500 })), { maxLength: 8 });
const nonEmpty = packets.map((list) => list.filter((packet) => packet.length > 0));

describe('deflate for CSTP', () => {
  it('writes the bytes that zlib writes: the captured frames of a gateway', () => {
    const compressor = createDeflate();
    for (const payload of PAYLOADS) assert.equal(toHex(compressor.compress(PACKET) ?? utf8('')), payload);
  });

  it('reads captured frames of a gateway and of openconnect', () => {
    for (const [payloads, packet] of [
      [PAYLOADS, toHex(PACKET)],
      [CLIENT_PAYLOADS, CLIENT_PACKET],
    ] as const) {
      const compressor = createDeflate();
      for (const payload of payloads) assert.equal(toHex(bytesOf(compressor.decompress(fromHex(payload)))), packet);
    }
  });

  it('keeps the history of the stream: the second of two equal packets is short', () => {
    const compressor = createDeflate();
    assert.equal(compressor.compress(PACKET)?.length, 90);
    assert.equal(compressor.compress(PACKET)?.length, 14);
  });

  it('ends each packet with a sync flush, and the whole is one stream for zlib with a window of 4096 bytes', () => {
    fc.assert(
      fc.property(nonEmpty, (list) => {
        const compressor = createDeflate();
        const stream = new ByteWriter();
        for (const packet of list) {
          const payload = compressor.compress(packet) ?? utf8('');
          assert.equal(toHex(payload.subarray(-8, -4)), '0000ffff');
          stream.bytes(payload.subarray(0, -4));
        }
        const inflated = inflateRawSync(stream.finish(), { windowBits: 12, finishFlush: constants.Z_SYNC_FLUSH });
        assert.equal(toHex(inflated), list.map(toHex).join(''));
      }),
      { numRuns: sized(40, 2000) },
    );
  });

  it('reads what node:zlib writes', async () => {
    await fc.assert(
      fc.asyncProperty(nonEmpty, async (list) => {
        const zlib = createDeflateRaw({ windowBits: 12, memLevel: 9 });
        const compressor = createDeflate();
        let checksum = ADLER32_START;
        for (const packet of list) {
          zlib.write(packet);
          zlib.flush(constants.Z_SYNC_FLUSH);
          await once(zlib, 'readable');
          const deflated = new ByteWriter();
          for (let chunk = zlib.read(); chunk !== null; chunk = zlib.read()) deflated.bytes(chunk);
          checksum = adler32(checksum, packet);
          assert.deepEqual(bytesOf(compressor.decompress(deflated.u32(checksum).finish())), packet);
        }
        zlib.destroy();
      }),
      { numRuns: sized(40, 1000) },
    );
  });

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(nonEmpty, (list) => {
        const compressor = createDeflate();
        for (const packet of list) assert.deepEqual(bytesOf(compressor.decompress(compressor.compress(packet) ?? utf8(''))), packet);
      }),
      { numRuns: sized(60, 3000) },
    );
  });

  it('takes packets that do not compress, as large as the window and larger, without outgrowing a TLS record', () => {
    const compressor = createDeflate();
    for (const length of [4096, 9000, 14_336, 14_336]) {
      const noise = noiseOf(length);
      const payload = compressor.compress(noise) ?? utf8('');
      assert.ok(payload.length > length && payload.length <= 16_384 - 8, `${payload.length} bytes of ${length}`);
      assert.deepEqual(bytesOf(compressor.decompress(payload)), noise);
    }
  });

  it('leaves alone what might not fit a frame, and the stream goes on as if it had not been', () => {
    const compressor = createDeflate();
    compressor.compress(PACKET);
    assert.equal(compressor.compress(new Uint8Array(14_337)), undefined);
    assert.equal(compressor.compress(new Uint8Array(0)), undefined);
    assert.equal(toHex(compressor.compress(PACKET) ?? utf8('')), PAYLOADS[1]);
  });

  it('leaves room on both sides of a packet, whoever moved its ends before', () => {
    const compressor = createDeflate();
    const packet = compressor.decompress(fromHex(PAYLOADS[0] ?? ''));
    assert.ok(packet !== undefined);
    assert.equal(packet.start, PACKET_HEADROOM);
    packet.start -= 4;
    packet.end += 9;
    assert.deepEqual(bytesOf(compressor.decompress(fromHex(PAYLOADS[1] ?? ''))), PACKET);
  });

  it('ends the connection on a lost packet, a wrong checksum and a missing one', () => {
    assert.throws(() => createDeflate().decompress(fromHex(PAYLOADS[1] ?? '')), PeerMisbehavedError);
    assert.throws(() => createDeflate().decompress(fromHex(`${PAYLOADS[0]?.slice(0, -2)}47`)), /checksum of the deflate stream is wrong/);
    assert.throws(() => createDeflate().decompress(fromHex('ffff')), /shorter than its checksum/);
    assert.throws(() => createDeflate().decompress(fromHex('00000001')), /deflate stream is broken: no data/);
  });

  it('ends the connection when the peer ends its stream', () => {
    assert.throws(() => createDeflate().decompress(fromHex('0300' + '00000001')), /stream ended/);
  });

  it('refuses a packet that inflates to more than 16384 bytes', () => {
    const inflated = (length: number) => {
      const bytes = new Uint8Array(length);
      const deflated = deflateRawSync(bytes, { windowBits: 12, memLevel: 9, finishFlush: constants.Z_SYNC_FLUSH });
      return createDeflate().decompress(new ByteWriter().bytes(deflated).u32(adler32(ADLER32_START, bytes)).finish());
    };
    assert.equal(bytesOf(inflated(16_384)).length, 16_384);
    assert.throws(() => inflated(16_385), new PeerMisbehavedError('deflate packet is longer than 16384 bytes'));
    assert.throws(() => inflated(1_000_000), PeerMisbehavedError);
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const damaged = mutationsOf(compressibleBytes(1500).map((packet) => createDeflate().compress(packet)?.slice() ?? utf8('')));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), damaged), (bytes) => {
        try {
          createDeflate().decompress(bytes);
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
      { numRuns: sized(200, 10_000) },
    );
  });
});

describe('Adler-32', () => {
  it('is 1 for nothing, and 11e60398 for "Wikipedia"', () => {
    assert.equal(adler32(ADLER32_START, utf8('')), 1);
    assert.equal(adler32(ADLER32_START, utf8('Wikipedia')), 0x11e6_0398);
  });

  it('goes on where it stopped, also past the length after which it reduces', () => {
    fc.assert(
      fc.property(fc.nat(20_000), (cut) => {
        const bytes = new Uint8Array(20_000).fill(0xff);
        assert.equal(adler32(adler32(ADLER32_START, bytes.subarray(0, cut)), bytes.subarray(cut)), slowAdler(bytes));
      }),
      { numRuns: 20 },
    );
  });
});

function bytesOf(packet: Parameters<typeof packetBytes>[0] | undefined): Uint8Array {
  assert.ok(packet !== undefined);
  return packetBytes(packet).slice();
}

/** Bytes without repetition, the same each time (a linear congruential generator). */
function noiseOf(length: number): Uint8Array {
  let state = length;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state >>> 24;
  });
}

function slowAdler(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 0x1_0000 + a;
}
