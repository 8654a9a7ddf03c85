/** Frames as the engine writes and finds them against those of the portable path: PPP in the encapsulations with a length in front. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../src/core/errors.ts';
import { f5Encapsulation, fortinetEncapsulation } from '../../../src/core/ppp/encapsulation.ts';
import type { PppLink } from '../../../src/core/ppp/link.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import type { PacketFraming } from '../../../src/core/tunnel/traffic.ts';
import { toHex } from '../../../src/core/wire/text.ts';
import { NO_PACKET, NOT_A_FRAME, PacketFrames } from '../../../src/node/engine/packet-frames.ts';
import { pairUp } from '../../core/ppp/linked.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';

const ROOM = 64;
const MAX_PAYLOAD = 16_384;

const packets = fc.record({ family: fc.constantFrom<4 | 6>(4, 6), body: fc.uint8Array({ minLength: 40, maxLength: 300 }) });

function packetBytesOf({ family, body }: { readonly family: 4 | 6; readonly body: Uint8Array }): Uint8Array {
  const bytes = body.slice();
  bytes[0] = family === 4 ? 0x45 : 0x60;
  const at = family === 4 ? 2 : 4;
  const length = family === 4 ? bytes.length : bytes.length - 40;
  bytes[at] = length >>> 8;
  bytes[at + 1] = length;
  return bytes;
}

function handedOver(link: PppLink): PacketFrames {
  return new PacketFrames((link.handOver() ?? assert.fail()).framing);
}

for (const encapsulation of [f5Encapsulation, fortinetEncapsulation]) {
  describe(`the engine's frames (${encapsulation.name})`, () => {
    it('are those of the machine, byte for byte, at both ends', () => {
      const { left, right } = pairUp(encapsulation);
      for (const link of [left, right]) {
        const frames = handedOver(link);
        fc.assert(
          fc.property(packets, (wish) => {
            const packet = packetBytesOf(wish);
            const sink = new CollectingSink();
            link.send(packetOf(packet), 0, sink);
            const bytes = new Uint8Array(ROOM + packet.length);
            bytes.set(packet, ROOM);
            assert.ok(frames.writeHeader(bytes, ROOM, packet.length));
            assert.equal(toHex(bytes.subarray(ROOM - frames.sentLength)), toHex(sink.records[0] ?? assert.fail()));
          }),
          { numRuns: 50 },
        );
      }
    });

    it('are found as the machine finds them, whatever the bytes', () => {
      const { left, right } = pairUp(encapsulation);
      const frames = handedOver(left);
      const sink = new CollectingSink();
      const change = fc.record({ at: fc.nat(11), byte: fc.nat(255) });
      fc.assert(
        fc.property(packets, fc.option(change), fc.nat(12), (wish, changed, cut) => {
          right.send(packetOf(packetBytesOf(wish)), 0, sink);
          const bytes = (sink.records.pop() ?? assert.fail()).slice();
          if (changed !== null) bytes[changed.at] = changed.byte;
          const part = bytes.subarray(0, bytes.length - cut);
          const whole = frames.measure(part, 0, part.length, MAX_PAYLOAD);
          const { left: portable } = pairUp(encapsulation);
          const out = new CollectingSink();
          portable.receive(whole > 0 ? part.subarray(0, whole) : part, 0, out);
          assert.equal(whole === NOT_A_FRAME.garbage, portable.state.name === 'closed');
          if (whole <= 0) {
            assert.deepEqual(out.packets, []);
            return;
          }
          const offset = frames.packetOffset(part, 0, whole);
          const [packet] = out.packets;
          if (packet === undefined) return; // the engine may give the machine's judgement on what is in a packet to the device
          assert.notEqual(offset, NO_PACKET);
          assert.equal(toHex(part.subarray(offset, whole)), toHex(packet));
        }),
        { numRuns: 150 },
      );
    });

    it('leave what is no data to the machine', () => {
      const { left, right } = pairUp(encapsulation);
      const frames = handedOver(left);
      const sink = new CollectingSink();
      right.close(0, sink);
      const terminate = sink.records[0] ?? assert.fail();
      assert.equal(frames.measure(terminate, 0, terminate.length, MAX_PAYLOAD), terminate.length);
      assert.equal(frames.packetOffset(terminate, 0, terminate.length), NO_PACKET);
      assert.equal(frames.packetOffsetInRecord(terminate, 0, terminate.length), NO_PACKET);
    });

    it('of a family that was not agreed on are not sent', () => {
      const network = { role: 'client', ipv4: { asksServers: false } } as const;
      const frames = handedOver(pairUp(encapsulation, { network }).left);
      const bytes = new Uint8Array(ROOM + 40).fill(0x60, ROOM);
      assert.equal(frames.writeHeader(bytes, ROOM, 40), false);
      bytes[ROOM] = 0x45;
      assert.ok(frames.writeHeader(bytes, ROOM, 40));
    });
  });
}

describe('frames in a datagram', () => {
  it('are data only if their length is that of the record', () => {
    const { left, right } = pairUp(f5Encapsulation);
    const frames = handedOver(left);
    const sink = new CollectingSink();
    right.send(packetOf(packetBytesOf({ family: 4, body: new Uint8Array(60) })), 0, sink);
    const record = sink.records[0] ?? assert.fail();
    assert.notEqual(frames.packetOffsetInRecord(record, 0, record.length), NO_PACKET);
    assert.equal(frames.packetOffsetInRecord(record, 0, record.length - 1), NO_PACKET);
    assert.equal(frames.packetOffsetInRecord(new Uint8Array(record.length + 1), 0, record.length + 1), NO_PACKET);
  });

  it('have their packets where they would have them alone, whatever came before', () => {
    const framings: readonly PacketFraming[] = [
      ...[f5Encapsulation, fortinetEncapsulation].map((encapsulation) => pairUp(encapsulation).left.handOver()?.framing ?? assert.fail()),
      {
        frame: { bytes: new Uint8Array(0), lengths: [] },
        sent: { ipv4: Uint8Array.of(0x21), ipv6: Uint8Array.of(0x21) },
        isData: {
          offset: 0,
          values: [
            { bytes: Uint8Array.of(0x21), family: 4 },
            { bytes: Uint8Array.of(0x21), family: 6 },
          ],
        },
        exceptions: [{ family: 4, bytes: [{ offset: 9, value: Uint8Array.of(0xfe) }] }],
      },
    ];
    // Few lengths and few changes: most records are like one that came before, or differ from it by a byte that counts.
    const wishes = fc.array(
      fc.tuple(fc.constantFrom(4, 6), fc.constantFrom(40, 41), fc.nat(24), fc.constantFrom(0, 1, 0x21, 0x45, 0x57, 0xfe)),
      {
        minLength: 2,
        maxLength: 30,
      },
    );
    for (const framing of framings) {
      fc.assert(
        fc.property(wishes, (series) => {
          const frames = new PacketFrames(framing);
          for (const [family, length, at, byte] of series) {
            const bytes = new Uint8Array(ROOM + length).fill(family === 4 ? 0x45 : 0x60, ROOM);
            const alone = new PacketFrames(framing);
            frames.writeHeader(bytes, ROOM, length);
            const other = bytes.slice();
            alone.writeHeader(other, ROOM, length);
            assert.deepEqual(bytes, other);
            const start = ROOM - frames.sentLength;
            if (byte !== 0) bytes[start + at] = byte;
            const offset = alone.packetOffsetInRecord(bytes, start, bytes.length);
            assert.equal(frames.packetOffsetInRecord(bytes, start, bytes.length), offset);
          }
        }),
        { numRuns: 300 },
      );
    }
  });
});

describe('a framing that cannot be', () => {
  const good: PacketFraming = {
    frame: { bytes: new Uint8Array(4), lengths: [{ offset: 2, width: 2, add: 0 }] },
    sent: { ipv4: Uint8Array.of(0x21), ipv6: Uint8Array.of(0x57) },
    isData: { offset: 4, values: [{ bytes: Uint8Array.of(0x21) }, { bytes: Uint8Array.of(0x57) }] },
  };

  it('is refused', () => {
    assert.ok(new PacketFrames(good));
    const wrong: readonly Partial<PacketFraming>[] = [
      { sent: {} },
      { sent: { ipv4: Uint8Array.of(1), ipv6: Uint8Array.of(1, 2) } },
      { sent: { ipv4: new Uint8Array(40) } },
      { frame: { bytes: new Uint8Array(4), lengths: [] } },
      { frame: { bytes: new Uint8Array(4), lengths: [{ offset: 3, width: 2, add: 0 }] } },
      { frame: { bytes: new Uint8Array(4), lengths: [{ offset: 2, width: 2, add: -1 }] } },
      { isData: { offset: 4, values: [] } },
      { isData: { offset: 5, values: [{ bytes: Uint8Array.of(1) }] } },
      { isData: { offset: 3, values: [{ bytes: Uint8Array.of(1, 2) }] } },
      { isData: { offset: 4, values: [{ bytes: Uint8Array.of(1) }, { bytes: Uint8Array.of(1, 2) }] } },
      { isData: { offset: 4, values: [{ bytes: new Uint8Array(0) }] } },
    ];
    for (const change of wrong) assert.throws(() => new PacketFrames({ ...good, ...change }), SallyportError, JSON.stringify(change));
  });
});
