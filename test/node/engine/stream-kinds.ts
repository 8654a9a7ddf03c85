/**
 * Streams of several kinds for tests of the engine's frames: how a traffic description says them, the portable path's reader and writer of them, and what
 * a peer may put into them.
 */
import { streamTraffic as bareTraffic } from '../../../src/core/protocols/array/carried-packets.ts';
import { renderControl } from '../../../src/core/protocols/array/control-packet.ts';
import { PacketStream } from '../../../src/core/protocols/array/packet-stream.ts';
import { streamTraffic as etherTypeTraffic, writeKeepalive } from '../../../src/core/protocols/gp/frame.ts';
import { StreamLink } from '../../../src/core/protocols/gp/stream-link.ts';
import { KMP_TYPES, type KmpSide, writeKmpHeader } from '../../../src/core/protocols/nc/kmp-message.ts';
import { OncpChannel } from '../../../src/core/protocols/nc/oncp-channel.ts';
import { renderEnding, renderRecord } from '../../../src/core/protocols/nc/oncp-record.ts';
import { streamTraffic } from '../../../src/core/protocols/nc/stream-traffic.ts';
import { IftChannel } from '../../../src/core/protocols/pulse/ift-channel.ts';
import { IFT_KINDS, IftWriter } from '../../../src/core/protocols/pulse/ift-packet.ts';
import { type Packet, packetOf } from '../../../src/core/tunnel/packet.ts';
import type { StreamTraffic } from '../../../src/core/tunnel/traffic.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';

const NOTHING = new Uint8Array(0);
const IPV6_HEADER = 40;

/** What the portable path makes of a stream. */
export interface PortableStream {
  /** Packets that came up, and what was answered. */
  readonly sink: CollectingSink;
  /** What else it noticed: `heard` of what is no data, and why it ended. */
  readonly notes: string[];
  receive(bytes: Uint8Array): void;
  send(packet: Packet, sink: CollectingSink): void;
}

export interface StreamKind {
  readonly name: string;
  readonly traffic: StreamTraffic;
  portable(): PortableStream;
  /** How a peer may send these packets, of one family, in as few frames as it likes. */
  frames(packets: readonly Uint8Array[]): Uint8Array[];
  /** One unit of a stream: data mostly, but other things too, some of them wrong. */
  unit(random: SeededRandom): Uint8Array;
}

export function pick<T>(random: SeededRandom, values: readonly [T, ...T[]]): T {
  return values[random.uint32() % values.length] ?? values[0];
}

/** An IP packet that says its own length, of random bytes. */
export function somePacket(random: SeededRandom, family: 4 | 6 = pick(random, [4, 6]), most = 300): Uint8Array {
  const header = family === 4 ? 20 : IPV6_HEADER;
  const bytes = Uint8Array.from({ length: header + Math.floor(random.fraction() ** 2 * (most - header)) }, () => random.uint32());
  bytes[0] = family === 4 ? pick(random, [0x45, 0x45, 0x46]) : 0x60;
  const [at, length] = family === 4 ? [2, bytes.length] : [4, bytes.length - IPV6_HEADER];
  bytes[at] = length >>> 8;
  bytes[at + 1] = length & 0xff;
  if (random.uint32() % 4 === 0) bytes[9] = 0xff; // a protocol that a kind may keep for itself
  return bytes;
}

/** Perhaps not what it says it is. */
function perhapsWrong(random: SeededRandom, packet: Uint8Array): Uint8Array {
  if (random.uint32() % 12 !== 0) return packet;
  const wrong = packet.slice(0, random.uint32() % 2 === 0 ? packet.length : packet.length - 1);
  if (random.uint32() % 2 === 0) wrong[0] = pick(random, [0x00, 0x45, 0x60, 0xff]);
  return wrong;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

function inGroups<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

function recorded(write: (sink: CollectingSink) => void): Uint8Array {
  const sink = new CollectingSink();
  write(sink);
  return joined(...sink.records);
}

/** One by one, as the portable path writes them. */
function oneByOne(kind: Pick<StreamKind, 'portable'>, packets: readonly Uint8Array[]): Uint8Array[] {
  const sink = new CollectingSink();
  for (const packet of packets) kind.portable().send(packetOf(packet), sink);
  return sink.records;
}

/** The family in the middle of the header, in front of the length; and bytes that nobody reads. */
const etherTypes: StreamKind = {
  name: 'EtherTypes',
  traffic: etherTypeTraffic(1400, NOTHING),
  portable: () => {
    const link = new StreamLink({ dpd: 0 }, 0);
    const [sink, notes] = [new CollectingSink(), [] as string[]];
    return {
      sink,
      notes,
      receive: (bytes) => {
        if (link.ended === undefined) link.receive(bytes, 0, sink);
        if (link.ended !== undefined && notes.length === 0) notes.push(link.ended.message);
      },
      send: (packet, out) => link.send(packet, 0, out),
    };
  },
  frames: (packets) => oneByOne(etherTypes, packets),
  unit: (random) => {
    const packet = perhapsWrong(random, somePacket(random));
    const kind = random.uint32() % 40;
    if (kind < 3) return recorded(writeKeepalive);
    const bytes = recorded((sink) => new StreamLink({ dpd: 0 }, 0).send(packetOf(packet), 0, sink));
    if (kind === 4) bytes.set(pick(random, [Uint8Array.of(8, 0), Uint8Array.of(0x86, 0xdd)]), 4); // perhaps not the packet's
    if (kind === 3) bytes[pick(random, [0, 4, 5, 7])] = random.uint32();
    if (kind > 30) bytes[8 + (random.uint32() % 8)] = random.uint32();
    return bytes;
  },
};

const KMP_HEADER = 20;

function message(side: KmpSide, type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(KMP_HEADER + payload.length);
  writeKmpHeader(bytes, 0, side, type, payload.length);
  bytes.set(payload, KMP_HEADER);
  return bytes;
}

/** A channel that says by itself when it has ended, which is noted once. */
function portableChannel(channel: OncpChannel | IftChannel, sink: CollectingSink, notes: string[]): PortableStream {
  let isOver = false;
  return {
    sink,
    notes,
    receive: (bytes) => {
      channel.receive(bytes, sink);
      if (channel.ended !== undefined && !isOver) notes.push(channel.ended.message);
      isOver = channel.ended !== undefined;
    },
    send: (packet, out) => channel.send(packet, out),
  };
}

/** Messages with lengths of their own in records that begin with one of another order, and several packets in a message. */
const records: StreamKind = {
  name: 'messages in records',
  traffic: streamTraffic('client', 1400, NOTHING),
  portable: () => {
    const [sink, notes] = [new CollectingSink(), [] as string[]];
    const channel = new OncpChannel({
      side: 'client',
      greeted: () => 0,
      told: (type, payload) => {
        notes.push(`heard ${type} ${Buffer.from(payload).toString('hex')}`);
      },
      ending: (reason) => ({ kind: 'ended-by-peer', message: `reason ${reason}` }),
    });
    return portableChannel(channel, sink, notes);
  },
  /** Three packets in a message, and two messages in a record. */
  frames: (packets) => {
    const messages = inGroups(packets, 3).map((group) => message('gateway', KMP_TYPES.data, joined(...group)));
    return inGroups(messages, 2).map((group) => renderRecord(joined(...group)));
  },
  unit: (random) => {
    const data = (): Uint8Array =>
      message(
        'gateway',
        KMP_TYPES.data,
        joined(
          ...Array.from({ length: pick(random, [1, 1, 1, 2, 5, 0]) }, () =>
            perhapsWrong(random, somePacket(random, random.uint32() % 30 === 0 ? 6 : 4)),
          ),
        ),
      );
    const kind = random.uint32() % 1000;
    if (kind === 0) return renderEnding(5);
    if (kind < 50) return renderRecord(message('gateway', KMP_TYPES.keys, Uint8Array.of(random.uint32())));
    if (kind < 100) return renderRecord(joined(data(), message('gateway', KMP_TYPES.settings, NOTHING), data()));
    if (kind < 300) return renderRecord(joined(data(), data(), data()));
    if (kind > 320) return renderRecord(data());
    // Cut anywhere, also in a header, and more than once.
    const all = joined(data(), data());
    const cuts = Array.from({ length: pick(random, [1, 2, 5]) }, () => 1 + (random.uint32() % (all.length - 1))).sort((a, b) => a - b);
    return joined(...[0, ...new Set(cuts)].map((cut, i, starts) => renderRecord(all.subarray(cut, starts[i + 1]))));
  },
};

function newIftChannel(notes: string[]): IftChannel {
  return new IftChannel({
    writer: new IftWriter(),
    meaningOf: (kind, payload) => {
      notes.push(`heard ${kind} ${Buffer.from(payload).toString('hex')}`);
      return undefined;
    },
  });
}

/** Vendor and type in front of the length, and a number that nobody reads. */
const numbered: StreamKind = {
  name: 'numbered packets',
  traffic: newIftChannel([]).handOver(1400),
  portable: () => {
    const [sink, notes] = [new CollectingSink(), [] as string[]];
    const channel = newIftChannel(notes);
    return portableChannel(channel, sink, notes);
  },
  frames: (packets) => oneByOne(numbered, packets),
  unit: (random) => {
    const writer = new IftWriter(random.uint32());
    const kind = random.uint32() % 60;
    if (kind < 4) return writer.packet(IFT_KINDS.configuration, Uint8Array.of(random.uint32()));
    const bytes = writer.packet(IFT_KINDS.data, kind === 4 ? NOTHING : perhapsWrong(random, somePacket(random)));
    if (kind === 5) bytes[pick(random, [0, 7, 9])] = random.uint32();
    return bytes;
  },
};

/** No frames at all: IP packets, of which those of one protocol are control packets. */
const bare: StreamKind = {
  name: 'bare packets',
  traffic: bareTraffic(NOTHING),
  portable: () => {
    const [sink, notes] = [new CollectingSink(), [] as string[]];
    const stream = new PacketStream({ control: (type) => notes.push(`heard ${type}`) });
    let isOver = false;
    return {
      sink,
      notes,
      receive: (bytes) => {
        if (isOver) return;
        try {
          stream.receive(bytes, sink);
        } catch (error) {
          notes.push(String(error));
          isOver = true;
        }
      },
      send: (packet, out) => stream.send(packet, out),
    };
  },
  frames: (packets) => oneByOne(bare, packets),
  unit: (random) => {
    const kind = random.uint32() % 80;
    if (kind < 5) return renderControl(pick(random, [1, 4, 5]));
    return kind === 5 ? perhapsWrong(random, somePacket(random)) : somePacket(random);
  },
};

export const STREAM_KINDS: readonly StreamKind[] = [etherTypes, records, numbered, bare];
