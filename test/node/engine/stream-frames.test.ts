/** The engine's frames of streams against the portable path's: whatever comes, the same packets, and the machine hears of the rest. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { RECORD_HEADER_LENGTH, renderRecord } from '../../../src/core/protocols/nc/oncp-record.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import type { StreamTraffic } from '../../../src/core/tunnel/traffic.ts';
import { NOT_A_FRAME } from '../../../src/node/engine/packet-frames.ts';
import { StreamFrames } from '../../../src/node/engine/stream-frames.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';
import { type PortableStream, pick, STREAM_KINDS, type StreamKind, somePacket } from './stream-kinds.ts';

const STREAMS = sized(150, 3000);
const UNITS = 40;
const ROOM = 64;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Does with frames what the engine's worker does: packets are kept, all else is the machine's. */
class CarriedStream {
  readonly packets: Uint8Array[] = [];
  readonly #frames: StreamFrames;
  readonly #machine: PortableStream;
  #partial = Buffer.alloc(0);
  #isGarbage = false;

  constructor(traffic: StreamTraffic, machine: PortableStream) {
    this.#frames = new StreamFrames(traffic);
    this.#machine = machine;
  }

  push(bytes: Uint8Array): void {
    const all = Buffer.concat([this.#partial, bytes]);
    let at = 0;
    while (at < all.length && !this.#isGarbage) {
      const length = this.#frames.measure(all, at, all.length - at);
      assert.ok(length <= all.length - at, 'no frame is longer than what came');
      if (length === NOT_A_FRAME.cutShort) break;
      this.#isGarbage = length === NOT_A_FRAME.garbage;
      if (this.#isGarbage) break;
      this.#take(all, at, length);
      at += length;
    }
    if (this.#isGarbage) this.#machine.receive(all.subarray(at));
    this.#partial = this.#isGarbage ? Buffer.alloc(0) : all.subarray(at);
  }

  #take(bytes: Uint8Array, at: number, length: number): void {
    const packets = this.#frames.findPackets(bytes, at, length);
    if (packets === 0) this.#machine.receive(bytes.slice(at, at + length));
    for (let i = 0; i < packets; i++) {
      const [start, end] = [this.#frames.packetStart(i), this.#frames.packetEnd(i)];
      assert.ok(start >= at && end > start && end <= at + length, 'a packet lies in its frame');
      this.packets.push(bytes.slice(start, end));
    }
  }
}

/** The same bytes through both, cut alike. How many packets went past the machine, and through it. */
function compare(kind: StreamKind, bytes: Uint8Array, random: SeededRandom): { readonly past: number; readonly through: number } {
  const [portable, machine] = [kind.portable(), kind.portable()];
  const carried = new CarriedStream(kind.traffic, machine);
  for (let at = 0, length = 0; at < bytes.length; at += length) {
    length = 1 + Math.floor(random.fraction() ** 3 * 3000);
    const slice = bytes.slice(at, at + length);
    portable.receive(slice.slice());
    carried.push(slice);
  }
  const found = [...carried.packets, ...machine.sink.packets].map(hex).sort();
  const expected = portable.sink.packets.map(hex).sort();
  // A reader may forget what came in one piece with what ended it; the engine has written that by then.
  const isEnded = portable.notes.some((note) => !note.startsWith('heard'));
  assert.deepEqual(isEnded ? commonOf(found, expected) : found, expected);
  assert.deepEqual(machine.notes, portable.notes);
  if (!isEnded) assert.deepEqual(machine.sink.records, portable.sink.records);
  return { past: carried.packets.length, through: machine.sink.packets.length };
}

/** Those of the first that are in the second, each as often. Both are sorted. */
function commonOf(all: readonly string[], some: readonly string[]): string[] {
  let at = 0;
  return some.filter((each) => {
    while (at < all.length && (all[at] ?? '') < each) at++;
    return all[at++] === each;
  });
}

for (const kind of STREAM_KINDS) {
  describe(`a carried stream of ${kind.name}`, () => {
    it('has the packets that the portable path finds, however it is cut, and leaves the machine the rest', () => {
      let [past, through] = [0, 0];
      for (let seed = 0; seed < STREAMS; seed++) {
        const random = new SeededRandom(seed);
        const bytes = Buffer.concat(Array.from({ length: UNITS }, () => kind.unit(random)));
        const found = compare(kind, bytes, random);
        past += found.past;
        through += found.through;
      }
      assert.ok(past > through, `${past} packets went past the machine, ${through} through it`);
    });

    it('ends up with the machine when it is nonsense', () => {
      for (let seed = 0; seed < STREAMS; seed++) {
        const random = new SeededRandom(seed);
        const bytes = Buffer.concat(Array.from({ length: UNITS }, () => kind.unit(random)));
        for (let i = random.uint32() % 4; i >= 0; i--) bytes[random.uint32() % bytes.length] = random.uint32();
        compare(kind, bytes, random);
      }
    });

    it('gets the bytes that the portable path writes', () => {
      const frames = new StreamFrames(kind.traffic);
      const machine = kind.portable();
      const random = new SeededRandom(7);
      let sent = 0;
      for (let i = 0; i < 500; i++) {
        const packet = somePacket(random, pick(random, [4, 6]), 1400);
        const sink = new CollectingSink();
        machine.send(packetOf(packet), sink);
        const bytes = new Uint8Array(ROOM + packet.length);
        bytes.set(packet, ROOM);
        const isSent = frames.writeHeader(bytes, ROOM, packet.length);
        if (!isSent) {
          assert.deepEqual(bytes.subarray(ROOM), packet, 'the machine gets it as it was');
          assert.ok(bytes.subarray(0, ROOM).every((byte) => byte === 0));
        } else {
          assert.equal(hex(bytes.subarray(ROOM - frames.headerLength)), hex(Buffer.concat(sink.records)));
          sent++;
        }
        assert.equal(isSent, sink.records.length > 0, hex(packet.subarray(0, 20)));
      }
      assert.ok(sent > 100);
    });
  });
}

describe('a carried stream whose messages are cut over records', () => {
  it('goes past the machine again once they are whole, wherever they were cut', () => {
    const kind = STREAM_KINDS[1] ?? assert.fail();
    const random = new SeededRandom(3);
    const packets = Array.from({ length: 12 }, () => somePacket(random, 4, 60));
    const [first, second, ...whole] = packets.flatMap((packet) => kind.frames([packet]));
    assert.ok(first !== undefined && second !== undefined);
    const boundary = first.length - RECORD_HEADER_LENGTH;
    const messages = Buffer.concat([first.subarray(RECORD_HEADER_LENGTH), second.subarray(RECORD_HEADER_LENGTH)]);
    for (let cut = 1; cut < messages.length; cut++) {
      const records = [messages.subarray(0, cut), messages.subarray(cut)].map(renderRecord);
      const found = compare(kind, Buffer.concat([...records, ...whole]), random);
      assert.deepEqual(found, cut === boundary ? { past: 12, through: 0 } : { past: 10, through: 2 }, `cut at ${cut}`);
    }
  });

  it('is the machine’s from where what follows a cut is no message', () => {
    const kind = STREAM_KINDS[1] ?? assert.fail();
    const random = new SeededRandom(4);
    const [frame = assert.fail()] = kind.frames([somePacket(random, 4, 60)]);
    const message = frame.subarray(RECORD_HEADER_LENGTH);
    const wrong = Uint8Array.of(...message.subarray(30), 1, 2, 3);
    const found = compare(kind, Buffer.concat([renderRecord(message.subarray(0, 30)), renderRecord(wrong), frame]), random);
    assert.deepEqual(found, { past: 0, through: 1 });
  });
});

describe('a stream’s framing that cannot be', () => {
  const [etherTypes, records, , bare] = STREAM_KINDS.map(({ traffic }) => traffic);

  it('is refused', () => {
    assert.ok(etherTypes !== undefined && records !== undefined && bare !== undefined);
    const wrong: readonly (readonly [StreamTraffic, Partial<StreamTraffic['framing']>])[] = [
      [bare, { isData: { offset: 0, values: [{ bytes: Uint8Array.of(0x45) }] } }],
      [bare, { exceptions: [{ family: 4, bytes: [] }] }],
      [bare, { exceptions: [{ family: 4, bytes: [{ offset: -1, value: Uint8Array.of(1) }] }] }],
      [bare, { exceptions: [{ family: 4, bytes: [{ offset: 60, value: new Uint8Array(8) }] }] }],
      [bare, { exceptions: [{ family: 5 as 4, bytes: [{ offset: 0, value: Uint8Array.of(1) }] }] }],
      [bare, { exceptions: Array.from({ length: 9 }, () => ({ family: 4 as const, bytes: [{ offset: 0, value: Uint8Array.of(1) }] })) }],
      [records, { repeatedFrom: 0 }],
      [records, { repeatedFrom: 1 }],
      [records, { repeatedFrom: 22 }],
      [records, { repeatedFrom: 21 }],
      [records, { isData: { offset: 0, values: [{ bytes: Uint8Array.of(1, 2) }] } }],
      [records, { frame: { ...records.framing.frame, unread: [{ offset: 20, length: 3 }] } }],
      [etherTypes, { sent: { at: 15, ipv4: Uint8Array.of(8, 0) } }],
      [etherTypes, { sent: { at: -1, ipv4: Uint8Array.of(8, 0) } }],
      [etherTypes, { isData: { offset: 4, values: [{ bytes: Uint8Array.of(8, 0) }, { bytes: Uint8Array.of(8, 0) }] } }],
      [etherTypes, { isData: { offset: 4, values: [{ bytes: Uint8Array.of(8, 0), family: 4 }, { bytes: Uint8Array.of(8, 0) }] } }],
      [etherTypes, { frame: { bytes: new Uint8Array(0), lengths: [] } }],
    ];
    for (const [traffic, change] of wrong) {
      assert.throws(
        () => new StreamFrames({ ...traffic, framing: { ...traffic.framing, ...change } }),
        MisuseError,
        JSON.stringify(change),
      );
    }
    const both = { offset: 4, values: ([4, 6] as const).map((family) => ({ bytes: Uint8Array.of(8, 0), family })) };
    assert.ok(new StreamFrames({ ...etherTypes, framing: { ...etherTypes.framing, isData: both } }), 'one mark for two families is none');
  });
});
