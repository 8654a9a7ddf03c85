import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createStatelessCompressor, type PacketCompressor } from '../../../../src/core/compress/compressor.ts';
import { createDeflate } from '../../../../src/core/compress/deflate.ts';
import { CSTP_TYPES, sendCstpFrame } from '../../../../src/core/protocols/anyconnect/cstp-frame.ts';
import { StreamChannel } from '../../../../src/core/protocols/anyconnect/stream-channel.ts';
import { Keepalive } from '../../../../src/core/tunnel/keepalive.ts';
import { packetOf } from '../../../../src/core/tunnel/packet.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { CollectingSink } from '../../../support/collecting-sink.ts';
import { RecordedLog } from '../../../support/forms.ts';
import { sliceSizes, slicesOf } from '../../../support/slices.ts';

class Channel {
  readonly log = new RecordedLog();
  readonly out = new CollectingSink();
  readonly keepalive = new Keepalive({ dpd: 10_000, keepalive: 60_000 }, 0);
  readonly stream: StreamChannel;

  constructor(compressor?: PacketCompressor) {
    this.stream = new StreamChannel({ keepalive: this.keepalive, compressor, log: this.log });
  }

  receive(bytes: Uint8Array, now = 0): this {
    this.stream.receive(bytes, now, this.out);
    return this;
  }

  get sent(): string[] {
    return this.out.records.map(toHex);
  }
}

function frame(type: number, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const sink = new CollectingSink();
  sendCstpFrame(sink, type, payload);
  return sink.records[0] ?? new Uint8Array(0);
}

/** An IPv4 packet of this length. */
function packet(length: number, filler = 0): Uint8Array {
  const bytes = new Uint8Array(length).fill(filler);
  bytes.set([0x45, 0, length >>> 8, length & 0xff]);
  return bytes;
}

/** An IPv6 router solicitation: spec "AnyConnect", section 13.1. */
const SOLICITATION = '6000000000083afffe800000000000005b8943b229c8d1e9ff0200000000000000000000000000028500e24900000000';

describe('stream channel', () => {
  it('carries packets up and down, a record each', () => {
    const channel = new Channel().receive(fromHex(`5354460100300000${SOLICITATION}`));
    assert.deepEqual(channel.out.packets.map(toHex), [SOLICITATION]);
    channel.stream.send(packetOf(fromHex(SOLICITATION)), 0, channel.out);
    assert.deepEqual(channel.sent, [`5354460100300000${SOLICITATION}`]);
  });

  it('answers DPD with what was sent, and keepalives not at all', () => {
    const channel = new Channel().receive(fromHex('5354460100000300 535446010005030068656c6c6f 5354460100000700 5354460100000400'));
    assert.deepEqual(channel.sent, ['5354460100000400', '535446010005040068656c6c6f']);
    assert.equal(channel.stream.ended, undefined);
  });

  it('answers DPD that no record could hold without its payload', () => {
    const channel = new Channel();
    for (const length of [16_376, 16_377, 16_384])
      channel.receive(fromHex(`53544601${length.toString(16).padStart(4, '0')}0300`)).receive(new Uint8Array(length));
    assert.deepEqual(
      channel.out.records.map((record) => record.length),
      [16_384, 8, 8],
    );
    assert.equal(channel.stream.ended, undefined);
  });

  it('asks and says that it is there', () => {
    const channel = new Channel();
    channel.stream.sendKeepalive('send-dpd', channel.out);
    channel.stream.sendKeepalive('send-keepalive', channel.out);
    assert.deepEqual(channel.sent, ['5354460100000300', '5354460100000700']);
  });

  it('says goodbye as the reference client does', () => {
    const channel = new Channel();
    channel.stream.sayGoodbye('Aborted by caller', channel.out);
    channel.stream.sayGoodbye('bye', channel.out);
    assert.deepEqual(channel.sent, ['5354460100120500b041626f727465642062792063616c6c6572', '5354460100040500b0627965']);
  });

  it('takes any bytes for a sign of life, also half a frame', () => {
    const channel = new Channel();
    assert.equal(channel.keepalive.nextTimeout(), 10_000);
    channel.receive(fromHex('535446'), 5000);
    assert.equal(channel.keepalive.nextTimeout(), 15_000);
    channel.receive(new Uint8Array(0), 6000);
    assert.equal(channel.keepalive.nextTimeout(), 15_000, 'nothing is no sign');
  });

  it('counts what it sends as its own sign of life', () => {
    const channel = new Channel();
    channel.receive(frame(CSTP_TYPES.dpdRequest), 1000);
    channel.stream.send(packetOf(packet(20)), 2000, channel.out);
    for (let now = 2000; now < 62_000; now += 1000) {
      channel.receive(frame(CSTP_TYPES.keepalive), now);
      assert.equal(channel.keepalive.handleTimeout(now), 'none');
    }
    assert.equal(channel.keepalive.handleTimeout(62_000), 'send-keepalive');
  });

  it('drops and counts what is no IP packet, and what no frame can hold', () => {
    const channel = new Channel();
    for (const payload of ['', '00', '45000014', '4500001500000000000000000000000000000000', '6000000100000000', '7500']) {
      channel.receive(frame(CSTP_TYPES.data, fromHex(payload)));
    }
    assert.equal(channel.stream.dropped, 6);
    channel.stream.send(packetOf(packet(16_377)), 0, channel.out);
    assert.equal(channel.stream.dropped, 7);
    channel.stream.send(packetOf(packet(16_376)), 0, channel.out);
    assert.deepEqual(channel.out.packets, []);
    assert.deepEqual(
      channel.out.records.map(({ length }) => length),
      [16_384],
    );
  });

  it('skips frames of unknown types', () => {
    const channel = new Channel().receive(fromHex(`535446010002420061 62 5354460100300000${SOLICITATION}`));
    assert.equal(channel.out.packets.length, 1);
    assert.deepEqual(channel.log.lines, ['debug cstp frame of unknown type type=66']);
  });

  it('reads the same frames in any slices', () => {
    const bytes = Buffer.concat([
      frame(CSTP_TYPES.data, packet(60)),
      frame(CSTP_TYPES.dpdRequest, utf8('x')),
      frame(CSTP_TYPES.data, packet(20)),
    ]);
    const whole = new Channel().receive(new Uint8Array(bytes));
    fc.assert(
      fc.property(sliceSizes, (sizes) => {
        const channel = new Channel();
        for (const slice of slicesOf(new Uint8Array(bytes), sizes)) channel.receive(slice);
        assert.deepEqual(channel.out.packets, whole.out.packets);
        assert.deepEqual(channel.sent, whole.sent);
      }),
    );
  });
});

describe('end of a stream channel', () => {
  const endOf = (bytes: Uint8Array) => {
    const { ended } = new Channel().receive(bytes).stream;
    return ended && [ended.kind, ended.message];
  };

  it('comes with a disconnect, with or without a reason, and with a kick', () => {
    const plain = ['ended-by-peer', 'The gateway ended the session.'];
    assert.deepEqual(endOf(frame(CSTP_TYPES.disconnect)), plain);
    assert.deepEqual(endOf(frame(CSTP_TYPES.disconnect, Uint8Array.of(4))), plain);
    assert.deepEqual(endOf(frame(CSTP_TYPES.terminate, utf8('ignored'))), plain);
    // Spec "AnyConnect", section 13.1.
    assert.deepEqual(endOf(fromHex('53544601000f05000449646c652054696d656f75740a21')), [
      'ended-by-peer',
      'The gateway ended the session: Idle Timeout.!',
    ]);
  });

  it('shows dots for what does not print, and only so much of a reason', () => {
    const reason = (text: string) => endOf(frame(CSTP_TYPES.disconnect, Uint8Array.of(4, ...utf8(text))))?.[1];
    assert.equal(reason('a\u001b[1m\u202eé\u0085漢😀\u2028'), 'The gateway ended the session: a.[1m.é.漢😀.');
    assert.equal(reason('x'.repeat(5000))?.length, 'The gateway ended the session: '.length + 1000);
  });

  it('comes with bytes that are no frame: magic, version, reserved byte, length', () => {
    for (const bytes of ['5354470100000300', '5354460200000300', '5354460100000301', '5354460140010000']) {
      const { ended } = new Channel().receive(fromHex(bytes)).stream;
      assert.equal(ended?.kind, 'misbehaved', bytes);
      assert.equal(ended?.message, 'Unknown packet received');
      assert.equal(ended?.error?.code, 'ERR_PEER_MISBEHAVED');
    }
  });

  it('is the end: nothing behind it counts', () => {
    const channel = new Channel().receive(Uint8Array.of(...frame(CSTP_TYPES.disconnect), ...frame(CSTP_TYPES.data, packet(20)), 1, 2, 3));
    channel.receive(frame(CSTP_TYPES.dpdRequest), 5000);
    assert.deepEqual([channel.out.packets, channel.out.records, channel.stream.ended?.kind], [[], [], 'ended-by-peer']);
    assert.equal(channel.keepalive.nextTimeout(), 10_000);
  });

  it('never throws, whatever the bytes', () => {
    const payload = fc.uint8Array({ maxLength: 80 });
    const piece = fc.oneof(
      fc.tuple(fc.integer({ min: 0, max: 12 }), payload).map(([type, bytes]) => frame(type, bytes)),
      payload,
    );
    const compressors = fc.constantFrom(
      () => undefined,
      () => createStatelessCompressor('lzs'),
      () => createStatelessCompressor('oc-lz4'),
      () => createDeflate(),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 10 }), compressors, (pieces, create) => {
        const channel = new Channel(create());
        for (const bytes of pieces) channel.receive(bytes);
      }),
      { numRuns: 500 },
    );
  });
});

describe('compression on a stream channel', () => {
  it('is used where it saves something, else packets go as they are', () => {
    const channel = new Channel(createStatelessCompressor('lzs'));
    channel.stream.send(packetOf(packet(200)), 0, channel.out);
    channel.stream.send(packetOf(packet(30)), 0, channel.out);
    assert.deepEqual(
      channel.out.records.map((record) => record[6]),
      [CSTP_TYPES.compressed, CSTP_TYPES.data],
    );
    const peer = new Channel(createStatelessCompressor('lzs'));
    for (const record of channel.out.records) peer.receive(record);
    assert.deepEqual(peer.out.packets, [packet(200), packet(30)]);
  });

  it('of LZS and LZ4 is what ocserv 1.1.6 sends', () => {
    // Spec "AnyConnect", sections 13.2 and 13.3.
    const lzs = '535446010026080030003028900001c3d81f47f80b1fea161d0000b9274e23c006f44e410081349ec017fe11c000';
    const lz4 = '5354460100300800806000000000240001070008020028ff020e00fa0400163a000502000001008f006f89000000010424005001ff000001';
    const plain =
      '600000000024000100000000000000000000000000000000ff0200000000000000000000000000163a000502000001008f006f890000000104000000ff0200000000000000000001ff000001';
    assert.deepEqual(new Channel(createStatelessCompressor('lzs')).receive(fromHex(lzs)).out.packets.map(toHex), [plain]);
    assert.deepEqual(new Channel(createStatelessCompressor('oc-lz4')).receive(fromHex(lz4)).out.packets.map(toHex), [plain]);
  });

  it('drops what does not decompress, and goes on, where each packet stands by itself', () => {
    for (const compressor of [undefined, createStatelessCompressor('lzs'), createStatelessCompressor('oc-lz4')]) {
      const channel = new Channel(compressor)
        .receive(frame(CSTP_TYPES.compressed, fromHex('ffffffff')))
        .receive(frame(CSTP_TYPES.data, packet(20)));
      assert.deepEqual([channel.stream.dropped, channel.out.packets.length, channel.stream.ended], [1, 1, undefined]);
    }
  });

  it('ends the session where later packets depend on what did not decompress', () => {
    const channel = new Channel(createDeflate()).receive(frame(CSTP_TYPES.compressed, fromHex('ffffffffffffffff')));
    assert.equal(channel.stream.ended?.kind, 'misbehaved');
  });
});
