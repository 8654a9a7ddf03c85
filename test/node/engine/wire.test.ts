/**
 * What a checker outside sees: packets that the host forwards between the engine's TUN and a second, plain one, whose other end is this test. On the
 * second TUN each packet is as it is on a wire: the kernel has cut what the engine joined, and filled in the checksums that it left out.
 *
 *   peer ──records──► engine ──joined──► TUN ──host forwards, cuts──► wire        compared with what the peer sent
 *   wire ──super-packets──► host forwards ──► TUN ──► engine cuts ──records──► peer     compared with what the kernel makes of them without the engine
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { ENGINE_FEATURES, type EngineFeature } from '../../../src/node/engine/features.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { ERRNO } from '../../../src/node/ffi/errno.ts';
import { libc } from '../../../src/node/ffi/libc.ts';
import { openTun } from '../../../src/node/ffi/tun.ts';
import { checksumFault } from '../../support/capture.ts';
import {
  FLAGS,
  type PacketFields,
  PLAIN,
  packetFrom,
  TCP,
  timestamps,
  UDP,
  uncheckedFrom,
  virtioHeader,
} from '../../support/inner-packets.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { DATA, TrafficPeer } from '../../support/traffic-peer.ts';

const MTU = 1400;
const BURSTS = sized(40, 400);
const SUPER_PACKETS = sized(100, 500);
const ICMP = 1;

/** Acknowledgements that are left out are another test's subject. */
const THINNING: EngineFeature = 'ack-thinning';

/** An engine between a peer and a host that forwards. `toWire`: packets to these addresses leave by the wire; others by the tunnel. */
async function router(without: readonly EngineFeature[], toWire: boolean) {
  const c = libc('the test');
  const engine = await PacketEngine.start({ without });
  const peer = await TrafficPeer.listen('aes-256-gcm');
  const tun = await TunDevice.open(engine);
  await tun.setMtu(MTU);
  // Super-packets are given by the test with a header, and taken as single packets without one.
  const wire = openTun(c, undefined, toWire ? undefined : { hasHeader: true, hasUdp: true });
  for (const name of [tun.name, wire.name]) {
    writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, '0');
    ip(`link set ${name} up`);
  }
  for (const each of ['ipv4/ip_forward', 'ipv6/conf/all/forwarding']) writeFileSync(`/proc/sys/net/${each}`, '1');
  writeFileSync('/proc/sys/net/ipv4/conf/all/rp_filter', '0');
  const target = toWire ? wire.name : tun.name;
  for (const address of ['10.9.0.1/32', 'fd00::1/128']) ip(`route add ${address} dev ${target}`);
  const path = await engine.openUdp({ remote: peer.endpoint });
  tun.start(() => undefined);
  path.start({ datagram: () => undefined, record: () => undefined, problem: () => undefined });
  await path.carry(peer.description({ tunnelMtu: MTU }));
  await engine.route(path);
  path.send(Buffer.of(DATA, 3)); // the peer learns our port
  await peer.datagrams.next();
  await peer.connect();
  return {
    engine,
    peer,
    path,
    write(virtio: Uint8Array, packet: Uint8Array): void {
      c.scratch.bytes.set(virtio);
      c.scratch.bytes.set(packet, virtio.length);
      assert.equal(c.write(wire.fd, c.scratch.address(0), virtio.length + packet.length), virtio.length + packet.length);
    },
    /** The next packet on the wire that the test has sent; undefined: none now. */
    read(): Buffer | undefined {
      for (;;) {
        const length = c.read(wire.fd, c.scratch.address(0), MTU + 1);
        if (length < 0) {
          assert.equal(c.errno(), ERRNO.EAGAIN);
          return undefined;
        }
        const packet = Buffer.from(c.scratch.bytes.subarray(0, length));
        if (isOurs(packet)) return packet;
      }
    },
    async [Symbol.asyncDispose]() {
      c.close(wire.fd);
      peer.close();
      await engine.close();
    },
  };
}

/** Not the kernel's own. */
function isOurs(packet: Buffer): boolean {
  return (packet[0] ?? 0) >> 4 === 6 ? packet.readUInt32BE(8) === 0xfd000000 : packet.readUInt16BE(12) === 0x0a09;
}

/** A router has taken one off the time to live: the rest must be as it was. With "don't fragment" the identification means nothing. */
function comparable(packet: Buffer, hops: number): string {
  const copy = Buffer.from(packet);
  if ((copy[0] ?? 0) >> 4 === 6) {
    copy[7] = (copy[7] ?? 0) - hops;
  } else {
    copy[8] = (copy[8] ?? 0) - hops;
    copy.writeUInt16BE(0, 10); // checked by itself
    if (copy.readUInt16BE(6) === 0x4000) copy.writeUInt16BE(0, 4);
  }
  return withOneZero(copy).toString('hex');
}

/**
 * The packet itself. RFC 1071: zero and ones are one number, and where a TCP checksum is that, the kernel writes zero as it cuts and ones as it
 * completes. UDP has ones only (RFC 768): there zero says that there is no checksum.
 */
function withOneZero(packet: Buffer): Buffer {
  const at = checksumAt(packet);
  if (at !== undefined && protocolOf(packet) === TCP && packet.readUInt16BE(at) === 0xffff) packet.writeUInt16BE(0, at);
  return packet;
}

function protocolOf(packet: Buffer): number | undefined {
  return (packet[0] ?? 0) >> 4 === 6 ? packet[6] : packet[9];
}

/** Where the checksum of TCP or UDP is; undefined: of another protocol, or in another fragment. */
function checksumAt(packet: Buffer): number | undefined {
  const isIpv6 = (packet[0] ?? 0) >> 4 === 6;
  if (!isIpv6 && (packet.readUInt16BE(6) & 0x1fff) !== 0) return undefined;
  const protocol = protocolOf(packet);
  if (protocol !== TCP && protocol !== UDP) return undefined;
  return (isIpv6 ? 40 : 20) + (protocol === TCP ? 16 : 6);
}

/** Changes the end of the payload so that the checksum comes out as zero, which is written as `written`. */
function makeSumZero(packet: Buffer, written: number): void {
  const at = checksumAt(packet);
  if (at === undefined || packet.length % 2 !== 0) return;
  const sum = packet.readUInt16BE(packet.length - 2) + packet.readUInt16BE(at);
  packet.writeUInt16BE((sum & 0xffff) + (sum >>> 16), packet.length - 2);
  packet.writeUInt16BE(written, at);
}

/** Addresses and protocol: what must stay in order, fragments included. */
function flowOf(packet: Buffer): string {
  return (packet[0] ?? 0) >> 4 === 6
    ? packet.toString('hex', 6, 7) + packet.toString('hex', 8, 40)
    : packet.toString('hex', 9, 10) + packet.toString('hex', 12, 20);
}

function byFlow(packets: readonly Buffer[], hops: number): Record<string, string[]> {
  const flows: Record<string, string[]> = {};
  for (const packet of packets) {
    flows[flowOf(packet)] ??= [];
    flows[flowOf(packet)]?.push(comparable(packet, hops));
  }
  return flows;
}

const CHANGES: readonly Partial<PacketFields>[] = [
  { tos: 1 },
  { ttl: 63 },
  { fragment: 0 },
  { fragment: 0x2000 },
  { fragment: 0x0010 },
  { window: 7 },
  { flags: FLAGS.ack | FLAGS.psh },
  { flags: FLAGS.ack | FLAGS.fin },
  { flags: FLAGS.ack | FLAGS.ece },
  { flags: FLAGS.ack | FLAGS.cwr },
  { flags: FLAGS.ack | FLAGS.urg, urgent: 3 },
  { options: timestamps(1, 2) },
  { sequence: 5 },
];
const KINDS = [
  [4, TCP, 2],
  [4, TCP, 2],
  [4, TCP, 2],
  [6, TCP, 2],
  [6, TCP, 2],
  [4, UDP, 3],
  [6, UDP, 3],
  [4, TCP, 4],
  [4, ICMP, 2],
] as const;
const LENGTHS = [1000, 1000, 1000, 1000, 1000, 1000, 999, 1001, 3, 0];

/** Packets of some flows, mostly each the next of its flow, in runs. */
function someBurst(random: SeededRandom): Buffer[] {
  const pick = <T>(values: readonly T[]): T => values[random.uint32() % values.length] as T;
  const states = new Map<string, { sequence: number; identification: number }>();
  const packets: Buffer[] = [];
  while (packets.length < 60) {
    const [version, protocol, flow] = pick(KINDS);
    const key = `${version} ${protocol} ${flow}`;
    const state = states.get(key) ?? { sequence: 2 ** 32 - 2500, identification: 65_533 };
    states.set(key, state);
    for (let run = 1 + (random.uint32() % 8); run > 0; run--) {
      const payload = Buffer.alloc(pick(LENGTHS), Buffer.of(random.uint32(), random.uint32(), random.uint32()));
      const change = random.uint32() % 8 === 0 ? pick(CHANGES) : {};
      // With "don't fragment" as some hosts count: not at all. Then what was joined shows.
      const identification = 'fragment' in change ? state.identification : 7;
      const packet = packetFrom({ ...PLAIN, ...state, version, protocol, flow, payload, identification, ...change });
      if (payload.length === 1000 && random.uint32() % 20 === 0) makeSumZero(packet, protocol === UDP ? 0xffff : pick([0, 0xffff]));
      if (random.uint32() % 20 === 0) packet[packet.length - 1] = (packet[packet.length - 1] ?? 0) ^ 1; // its checksum is wrong
      packets.push(packet);
      state.sequence = (state.sequence + payload.length) >>> 0;
      state.identification = (state.identification + 1) & 0xffff;
    }
  }
  return packets;
}

/** A super-packet as a sender's kernel makes it, and its virtio header. */
function someSuperPacket(random: SeededRandom): { readonly virtio: Buffer; readonly packet: Buffer; readonly count: number } {
  const pick = <T>(values: readonly T[]): T => values[random.uint32() % values.length] as T;
  const version = pick([4, 6] as const);
  const protocol = pick([TCP, TCP, UDP]);
  const size = pick([1, 48, 536, 999, 1000, 1280]);
  const length = 1 + (random.uint32() % Math.min(60_000, size * 40));
  const fields: PacketFields = {
    ...PLAIN,
    version,
    protocol,
    flow: 2 + (random.uint32() % 3),
    tos: random.uint32() & 0xff,
    identification: pick([0, 7, 65_530]),
    fragment: pick([0, 0x4000]),
    sequence: pick([0, 1000, 2 ** 32 - 1000]),
    flags: pick([
      FLAGS.ack,
      FLAGS.ack | FLAGS.psh,
      FLAGS.ack | FLAGS.psh | FLAGS.fin,
      FLAGS.ack | FLAGS.ece,
      FLAGS.ack | FLAGS.cwr | FLAGS.ece,
    ]),
    options: pick([new Uint8Array(0), timestamps(1, 2)]),
    payload: Buffer.alloc(length, Buffer.of(random.uint32(), random.uint32(), random.uint32())),
  };
  const isCwr = (fields.flags & FLAGS.cwr) !== 0;
  const type = length <= size ? 0 : protocol === UDP ? 5 : (version === 6 ? 4 : 1) | (isCwr ? 0x80 : 0);
  const virtio = virtioHeader(type, type === 0 ? 0 : size, version === 6 ? 40 : 20, protocol === TCP ? 16 : 6);
  virtio.writeUInt16LE((version === 6 ? 40 : 20) + (protocol === TCP ? 20 + fields.options.length : 8), 2);
  return { virtio, packet: uncheckedFrom(fields), count: Math.ceil(length / size) };
}

inNamespace('on the wire', import.meta.filename, () => {
  for (const [name, without, joins] of [
    ['joined', [THINNING], true],
    ['one by one', ENGINE_FEATURES, false],
  ] as const) {
    it(`each packet for the host is what the peer sent, ${name}`, { timeout: HANG_LIMIT }, async () => {
      const random = new SeededRandom(21);
      await using t = await router(without, true);
      let joined = 0;
      for (let burst = 0; burst < BURSTS; burst++) {
        const sent = someBurst(random);
        for (const packet of sent) t.peer.send(t.peer.sealPacket(packet));
        const seen: Buffer[] = [];
        while (seen.length < sent.length) {
          const packet = t.read();
          if (packet === undefined) await setImmediate();
          else seen.push(packet);
        }
        assert.deepEqual(byFlow(seen, 0), byFlow(sent, 1), `burst ${burst}`);
        const faults = (packets: readonly Buffer[]) =>
          packets
            .map((packet) => checksumFault(packet))
            .filter((fault) => fault !== undefined)
            .toSorted();
        assert.deepEqual(faults(seen), faults(sent));
        // An identification that counts within a joined group is all that shows.
        const numbers = (packets: readonly Buffer[]) =>
          packets
            .filter((each) => each[0] === 0x45)
            .map((each) => each.readUInt16BE(4))
            .toSorted();
        if (numbers(seen).join() !== numbers(sent).join()) joined++;
      }
      assert.equal(joined > 0, joins, `${joined} bursts`);
      assert.equal(t.read(), undefined, 'nothing else');
      const { writeRefused } = t.engine.deviceCounters();
      assert.equal(writeRefused, 0);
    });
  }

  it('each packet to the peer is what the kernel makes without us', { timeout: HANG_LIMIT }, async () => {
    const seen: Buffer[][][] = [];
    for (const without of [[], ['udp-tun-offload'], ENGINE_FEATURES] as const) {
      const random = new SeededRandom(22);
      await using t = await router(without, false);
      const packets: Buffer[] = [];
      t.peer.onDatagram = (datagram) => {
        const { type, plaintext } = t.peer.open(datagram);
        const packet = plaintext.subarray(1);
        if (type === DATA && plaintext[0] === 0 && isOurs(packet)) packets.push(Buffer.from(packet));
      };
      const bursts: Buffer[][] = [];
      for (let i = 0; i < SUPER_PACKETS; i++) {
        const { virtio, packet, count } = someSuperPacket(random);
        t.write(virtio, packet);
        while (packets.length < count) await setImmediate();
        bursts.push(packets.splice(0));
      }
      for (const packet of bursts.flat()) assert.equal(checksumFault(packet), undefined);
      seen.push(bursts);
    }
    const [cutHere, ...others] = seen;
    const asText = (bursts: readonly (readonly Buffer[])[] = []) =>
      bursts.flatMap((burst, i) => burst.map((packet) => `${i}: ${withOneZero(packet).toString('hex')}`));
    const ours = asText(cutHere);
    for (const other of others) {
      // One by one: the difference of all of them is too long to be shown.
      for (const [i, packet] of asText(other).entries()) assert.equal(ours[i], packet);
      assert.equal(cutHere?.flat().length, other.flat().length);
    }
  });
});
