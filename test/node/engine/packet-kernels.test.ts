/** The byte kernels against the references of test/reference: same packets, same bytes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { JOIN, PacketKernels } from '../../../src/node/engine/packet-kernels.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { joinReference } from '../../reference/packet-join.ts';
import { splitReference } from '../../reference/packet-split.ts';
import { checksumFault } from '../../support/capture.ts';
import {
  FLAGS,
  type PacketFields,
  PLAIN,
  packetFrom,
  selective,
  someBytes,
  TCP,
  timestamps,
  UDP,
  uncheckedFrom,
  virtioHeader,
} from '../../support/inner-packets.ts';

const MAX_PACKETS = 128;

const NONE = Buffer.alloc(0);

const arena = new Arena(1 << 20);
const kernels = new PacketKernels(arena, MAX_PACKETS);
const header = arena.allocate(16);
const source = arena.allocate(66_000);
const target = arena.allocate(66_000);
const burst = arena.allocate(300_000);

/** What the kernel's split makes of a packet with its virtio header. */
function split(virtio: Uint8Array, packet: Uint8Array, mtu = 65_535): Buffer[] {
  arena.bytes.set(virtio, header);
  arena.bytes.set(packet, source);
  const count = kernels.inspect(header, source, packet.length, mtu, target);
  if (count === 1) return [Buffer.from(arena.bytes.subarray(target, target + packet.length))];
  return Array.from({ length: count }, (_, i) => {
    const length = kernels.segment(i, target);
    return Buffer.from(arena.bytes.subarray(target, target + length));
  });
}

function superHeader({ version, protocol }: PacketFields, size: number): Buffer {
  const type = protocol === UDP ? 5 : version === 6 ? 4 : 1;
  return virtioHeader(type, size, version === 6 ? 40 : 20, protocol === TCP ? 16 : 6);
}

/** One write of a joined burst: its virtio header, and its bytes in one piece. */
interface Write {
  readonly virtio: Buffer;
  readonly bytes: Buffer;
  readonly packets: number;
  readonly packetBytes: number;
  readonly first: number;
}

function join(packets: readonly Uint8Array[], wishes: number): Write[] {
  const { list, pieces, writes } = kernels.tables;
  let at = burst;
  for (const [i, packet] of packets.entries()) {
    arena.bytes.set(packet, at);
    arena.view.setInt32(list + i * 8, at, true);
    arena.view.setInt32(list + i * 8 + 4, packet.length, true);
    at += packet.length;
  }
  const base = arena.address(0);
  return Array.from({ length: kernels.join(packets.length, wishes) }, (_, i) => {
    const word = (n: number) => arena.view.getInt32(writes + i * 24 + n * 4, true);
    const all = Array.from({ length: word(1) }, (_, n) => {
      const piece = pieces + (word(0) + n) * 16;
      const offset = Number(arena.view.getBigUint64(piece, true)) - base;
      return Buffer.from(arena.bytes.subarray(offset, offset + Number(arena.view.getBigUint64(piece + 8, true))));
    });
    const [virtio = Buffer.alloc(0), ...rest] = all;
    return { virtio, bytes: Buffer.concat(rest), packets: word(2), packetBytes: word(3), first: word(4) };
  });
}

const bytesOf = (length: number) => Buffer.alloc(length, someBytes(Math.min(length, 97) + 1));

const flags = fc.constantFrom(
  FLAGS.ack,
  FLAGS.ack | FLAGS.psh,
  FLAGS.ack | FLAGS.fin,
  FLAGS.ack | FLAGS.psh | FLAGS.fin,
  FLAGS.ack | FLAGS.ece,
  FLAGS.ack | FLAGS.cwr,
  FLAGS.ack | FLAGS.cwr | FLAGS.psh | FLAGS.ece,
  FLAGS.ack | FLAGS.urg,
);
const options = fc.constantFrom(new Uint8Array(0), timestamps(1, 2), Buffer.from('0101050a0000000100000002', 'hex'), Buffer.alloc(40, 1));

const superPackets: fc.Arbitrary<PacketFields> = fc.record({
  version: fc.constantFrom(4 as const, 6 as const),
  protocol: fc.constantFrom(TCP, UDP),
  flow: fc.integer({ min: 0, max: 3 }),
  tos: fc.integer({ min: 0, max: 255 }),
  ttl: fc.integer({ min: 1, max: 255 }),
  identification: fc.constantFrom(0, 7, 65_530),
  fragment: fc.constantFrom(0, 0x4000),
  sequence: fc.constantFrom(0, 1000, 2 ** 32 - 1000),
  acknowledgement: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  window: fc.integer({ min: 0, max: 65_535 }),
  urgent: fc.integer({ min: 0, max: 9 }),
  flags,
  options,
  payload: fc.integer({ min: 1, max: 65_400 }).map(bytesOf),
});

describe('splitting', () => {
  it('makes the segments that the reference makes, with right checksums', () => {
    fc.assert(
      fc.property(superPackets, fc.integer({ min: 8, max: 1500 }), (fields, size) => {
        const payload = fields.payload.subarray(0, Math.min(fields.payload.length, size * 100));
        const packet = uncheckedFrom({ ...fields, payload });
        const segments = split(superHeader(fields, size), packet);
        assert.deepEqual(segments, splitReference({ ...fields, payload }, size));
        for (const segment of segments) assert.equal(checksumFault(segment), undefined);
      }),
    );
  });

  it("makes TCP's segments shorter where the tunnel carries less than the sender thinks, but no datagram", () => {
    const fields = { ...PLAIN, payload: bytesOf(9000), options: timestamps(1, 2) };
    assert.deepEqual(split(superHeader(fields, 1400), uncheckedFrom(fields), 1300), splitReference(fields, 1300 - 52));
    const datagrams = { ...fields, protocol: UDP };
    assert.deepEqual(split(superHeader(datagrams, 1400), uncheckedFrom(datagrams), 1300), splitReference(datagrams, 1400));
  });

  it('completes the checksum of a single packet, and leaves one alone that has its own', () => {
    fc.assert(
      fc.property(superPackets, fc.integer({ min: 0, max: 1600 }), (fields, length) => {
        const short = { ...fields, payload: bytesOf(length) };
        const virtio = superHeader(fields, 0);
        virtio[1] = 0;
        assert.deepEqual(split(virtio, uncheckedFrom(short)), [packetFrom(short)]);
        const odd = bytesOf(length + 1);
        assert.deepEqual(split(Buffer.alloc(10), odd), [odd]);
      }),
    );
  });

  it('makes nothing of a packet that contradicts its header, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 10, maxLength: 10 }), fc.uint8Array({ maxLength: 200 }), (virtio, packet) => {
        assert.ok(split(virtio, packet).every((segment) => segment.length <= packet.length));
      }),
      { numRuns: 2000 },
    );
    const fields = { ...PLAIN, payload: bytesOf(100) };
    const packet = uncheckedFrom(fields);
    for (const wrong of [
      virtioHeader(4, 50, 20, 16),
      virtioHeader(1, 0, 20, 16),
      virtioHeader(1, 50, 24, 16),
      virtioHeader(1, 50, 20, 6),
    ]) {
      assert.deepEqual(split(wrong, packet), []);
    }
    assert.deepEqual(split(virtioHeader(1, 50, 20, 16, 0), packet), [], 'without a checksum to complete');
    assert.deepEqual(split(virtioHeader(1, 50, 20, 16), packet.subarray(0, 40)), [], 'without payload');
  });
});

const kind = (version: 4 | 6, protocol: number, flow: number) => ({ version, protocol, flow });
const ICMP = 1;
/** One flow has most of the packets. */
const KINDS = [
  ...Array.from({ length: 9 }, () => kind(4, TCP, 0)),
  kind(4, TCP, 1),
  kind(6, TCP, 0),
  kind(4, UDP, 0),
  kind(6, UDP, 1),
  kind(4, ICMP, 0),
];

/** A packet of a burst: mostly the next of its flow, now and then something else. */
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom(...KINDS),
    length: fc.constantFrom(1000, 1000, 1000, 1000, 999, 1001, 3, 0, 0, 0),
    change: fc.option(
      fc.constantFrom<Partial<PacketFields>>(
        { tos: 1 },
        { ttl: 63 },
        { fragment: 0 },
        { fragment: 0x2000 },
        { fragment: 0x0010 },
        { window: 7 },
        { urgent: 3 },
        { flags: FLAGS.ack | FLAGS.psh },
        { flags: FLAGS.ack | FLAGS.fin },
        { flags: FLAGS.ack | FLAGS.ece },
        { flags: FLAGS.ack | FLAGS.cwr },
        { options: timestamps(1, 2) },
        { options: Buffer.from('01010512000000010000000200000003', 'hex') },
        { options: Buffer.from('020405b4', 'hex') },
        { sequence: 5 },
      ),
      { freq: 3, nil: undefined },
    ),
    acknowledges: fc.constantFrom(0, 0, 100),
    blocks: fc.array(
      fc.tuple(fc.constantFrom(-250, -50, 50, 150), fc.constantFrom(100, 200, 300)).map(([start, size]) => [start, start + size] as const),
      { maxLength: 3 },
    ),
    isTimed: fc.boolean(),
    isBroken: fc.constantFrom(false, false, false, false, false, false, false, true),
  }),
  { minLength: 20, maxLength: 60 },
);
const usually = fc.constantFrom(true, true, true, false);

describe('joining', () => {
  it('joins what the reference joins, into what splits into the same packets again', () => {
    let joined = 0;
    let thinned = 0;
    fc.assert(
      fc.property(steps, usually, usually, usually, (all, joinsTcp, joinsUdp, thins) => {
        const next = new Map<string, { sequence: number; acknowledgement: number; identification: number }>();
        const fields = all.map(({ kind: { version, protocol, flow }, length, change, acknowledges, blocks, isTimed }) => {
          const key = `${version} ${protocol} ${flow}`;
          const state = next.get(key) ?? { sequence: 2 ** 32 - 2500, acknowledgement: 2 ** 32 - 150, identification: 65_533 };
          state.acknowledgement = (state.acknowledgement + acknowledges) >>> 0;
          const options = length > 0 ? NONE : Buffer.concat([isTimed ? timestamps(1, 2) : NONE, selective(...blocks)]);
          const packet: PacketFields = { ...PLAIN, ...state, version, protocol, flow, payload: bytesOf(length), options, ...change };
          state.sequence = (state.sequence + length) >>> 0;
          state.identification = (state.identification + 1) & 0xffff;
          next.set(key, state);
          return packet;
        });
        const broken = new Set(all.flatMap(({ isBroken }, i) => (isBroken ? [i] : [])));
        const packets = fields.map((each, i) => {
          const packet = packetFrom(each);
          const checksum = (each.version === 6 ? 40 : 20) + (each.protocol === TCP ? 16 : 6);
          if (broken.has(i)) packet[checksum] = (packet[checksum] ?? 0) ^ 1;
          return packet;
        });
        const groups = joinReference(fields, broken, { joinsTcp, joinsUdp, thins });
        const writes = join(packets, (joinsTcp ? JOIN.tcp : 0) | (joinsUdp ? JOIN.udp : 0) | (thins ? JOIN.thin : 0) | JOIN.virtio);
        assert.deepEqual(
          writes.map(({ first, packets }) => [first, packets]),
          groups.map((group) => [group[0], group.length]),
        );
        for (const [i, write] of writes.entries()) {
          const group = groups[i] ?? [];
          const originals = group.map((place) => packets[place] ?? Buffer.alloc(0));
          if (group.length > 1) joined++;
          assert.deepEqual(split(write.virtio, write.bytes), group.length === 1 ? originals : renumbered(originals));
          assert.equal(
            write.packetBytes,
            originals.reduce((sum, { length }) => sum + length, 0),
          );
        }
        const left = packets.length - groups.reduce((sum, group) => sum + group.length, 0);
        assert.equal(kernels.thinned, left);
        thinned += left;
      }),
      { numRuns: 500 },
    );
    assert.ok(joined > 100 && thinned > 10, `${joined} groups, ${thinned} acknowledgements left out: too few to show anything`);
  });

  it('counts identifications on from 65,535 to 0, as the reference does', () => {
    for (const change of [{ payload: bytesOf(100) }, { acknowledgement: 2100 }]) {
      const fields = [65_535, 0].map((identification, i) => ({
        ...PLAIN,
        fragment: 0,
        identification,
        ...(i === 1 || 'payload' in change ? change : {}),
      }));
      const [first = PLAIN, second = PLAIN] = fields;
      const both = [first, { ...second, sequence: first.sequence + first.payload.length }];
      const writes = join(both.map(packetFrom), JOIN.tcp | JOIN.thin | JOIN.virtio);
      const groups = joinReference(both, new Set(), { joinsTcp: true, joinsUdp: true, thins: true });
      assert.deepEqual([writes.length, groups.length], [1, 1]);
    }
  });

  it('fills a super-packet to 64 segments or 65,535 bytes, and starts another', () => {
    for (const [size, expected] of [
      [1000, [64, 16]],
      [1400, [46, 34]],
    ] as const) {
      const packets = Array.from({ length: 80 }, (_, i) => packetFrom({ sequence: i * size, identification: i, payload: bytesOf(size) }));
      assert.deepEqual(
        join(packets, JOIN.tcp | JOIN.virtio).map((write) => write.packets),
        expected,
      );
    }
  });

  it('gives the first packet its headers back when the host refuses the group', () => {
    for (const version of [4, 6] as const) {
      for (const protocol of [TCP, UDP]) {
        const fields = { version, protocol, payload: bytesOf(500) };
        const packets = [0, 1, 2].map((i) =>
          packetFrom({ ...fields, identification: i, sequence: i * 500, flags: i === 2 ? FLAGS.ack | FLAGS.psh : FLAGS.ack }),
        );
        const [write] = join(packets, JOIN.tcp | JOIN.udp | JOIN.virtio);
        assert.equal(write?.packets, 3);
        assert.equal(Boolean(kernels.undo(0)), protocol === TCP);
        assert.deepEqual(Buffer.from(arena.bytes.subarray(burst, burst + (packets[0]?.length ?? 0))), packets[0]);
        assert.deepEqual([kernels.nextOf(0), kernels.nextOf(1), kernels.nextOf(2)], [1, 2, -1]);
      }
    }
  });

  it('keeps many flows apart, and their packets in order', () => {
    const packets = Array.from({ length: 120 }, (_, i) =>
      packetFrom({ flow: i % 40, sequence: Math.floor(i / 40) * 100, identification: i, payload: bytesOf(100) }),
    );
    const writes = join(packets, JOIN.tcp | JOIN.virtio);
    assert.equal(
      writes.reduce((sum, write) => sum + write.packets, 0),
      120,
    );
    for (let flow = 0; flow < 40; flow++) {
      const firsts = writes.filter(({ first }) => first % 40 === flow).map(({ first }) => first);
      assert.deepEqual(
        firsts,
        firsts.toSorted((a, b) => a - b),
      );
    }
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 90 }), { maxLength: 40 }), (packets) => {
        const known = packets.map((bytes, i) => {
          if (i % 2 === 0 && bytes.length > 0) bytes[0] = i % 4 === 0 ? 0x45 : 0x60;
          return bytes;
        });
        const writes = join(known, JOIN.tcp | JOIN.udp | JOIN.thin | JOIN.virtio);
        assert.deepEqual(
          writes.map(({ bytes }) => bytes),
          known.map((bytes) => Buffer.from(bytes)),
        );
      }),
    );
  });
});

/** With "don't fragment" the identification means nothing, and a group counts on from its first. */
function renumbered(packets: readonly Buffer[]): Buffer[] {
  const [first] = packets;
  return packets.map((original, i) => {
    const packet = Buffer.from(original);
    if (first === undefined || packet[0] !== 0x45) return packet;
    packet.writeUInt16BE((first.readUInt16BE(4) + i) & 0xffff, 4);
    packet.writeUInt16BE(0, 10);
    let sum = 0;
    for (let at = 0; at < 20; at += 2) sum += packet.readUInt16BE(at);
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    packet.writeUInt16BE(~sum & 0xffff, 10);
    return packet;
  });
}
