/** Bursts and offloads of carried paths with the real kernel: what it hands over in one piece leaves in right pieces, and what comes in pieces arrives. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { it } from 'node:test';
import type { DatagramProblem } from '../../../src/node/datagram-path.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { ENGINE_FEATURES, type EngineFeature } from '../../../src/node/engine/features.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { openReference } from '../../reference/dtls-record.ts';
import { checksumFault } from '../../support/capture.ts';
import { FLAGS, type PacketFields, PLAIN, packetFrom, TCP, UDP } from '../../support/inner-packets.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { Arrivals, DATA, TrafficPeer } from '../../support/traffic-peer.ts';

const MTU = 1400;
const HOST = { 4: '10.9.0.1', 6: 'fd00::1' } as const;
const FAR = { 4: '10.9.0.2', 6: 'fd00::2' } as const;
type Version = 4 | 6;

/** Far more than a test here takes on a busy machine: one that hangs says which it is. */
const BOUNDED = { timeout: HANG_LIMIT };

/** One at a time, all, and none switched off. */
const WITHOUT: readonly (readonly EngineFeature[])[] = [[], ...ENGINE_FEATURES.map((name) => [name]), ENGINE_FEATURES];

async function tunnel(without: readonly EngineFeature[], { hasIpv6 = false, nextSequence = 1 } = {}) {
  const engine = await PacketEngine.start({ without });
  const peer = await TrafficPeer.listen('aes-256-gcm');
  const tun = await TunDevice.open(engine);
  await tun.setMtu(MTU);
  ip(`addr add ${HOST[4]}/24 dev ${tun.name}`);
  // With IPv6 the kernel has packets of its own to send.
  writeFileSync(`/proc/sys/net/ipv6/conf/${tun.name}/disable_ipv6`, hasIpv6 ? '0' : '1');
  ip(`link set ${tun.name} up`);
  if (hasIpv6) ip(`addr add ${HOST[6]}/64 dev ${tun.name} nodad`);
  const path = await engine.openUdp({ remote: peer.endpoint });
  const problems = new Arrivals<DatagramProblem>();
  tun.start(() => undefined);
  path.start({ datagram: () => undefined, record: () => undefined, problem: (problem) => problems.push(problem) });
  await path.carry(peer.description({ tunnelMtu: MTU }, nextSequence));
  await engine.route(path);
  path.send(Buffer.of(DATA, 3)); // the peer learns our port
  await peer.datagrams.next();
  await peer.connect();
  return {
    engine,
    peer,
    tun,
    path,
    problems,
    async [Symbol.asyncDispose]() {
      peer.close();
      await engine.close();
    },
  };
}

/** The peer's packets of a protocol between the inner addresses; what else the kernel sends, and the rest of earlier connections, is not meant. */
function onPacket(peer: TrafficPeer, protocol: number, handle: (packet: Buffer, sequence: number) => void): void {
  peer.onDatagram = (datagram) => {
    const { type, plaintext, sequence } = peer.open(datagram);
    const packet = plaintext.subarray(1);
    const isIpv6 = (packet[0] ?? 0) >> 4 === 6;
    if (type === DATA && plaintext[0] === 0 && packet[isIpv6 ? 6 : 9] === protocol) handle(packet, sequence);
  };
}

function payloadOf(packet: Buffer): Buffer {
  const header = (packet[0] ?? 0) >> 4 === 6 ? 40 : 20;
  const isTcp = packet[header === 40 ? 6 : 9] === TCP;
  return packet.subarray(header + (isTcp ? ((packet[header + 12] ?? 0) >> 4) * 4 : 8));
}

/** An answer to a packet of the host: the same flow, the other way round. */
function answerTo(packet: Buffer, fields: Partial<PacketFields>): Buffer {
  const version = ((packet[0] ?? 0) >> 4) as Version;
  const header = version === 6 ? 40 : 20;
  const answer = packetFrom({ ...PLAIN, version, ...fields });
  const addresses = version === 6 ? [8, 24, 16] : [12, 16, 4];
  const [from = 0, to = 0, length = 0] = addresses;
  packet.copy(answer, from, to, to + length);
  packet.copy(answer, to, from, from + length);
  packet.copy(answer, header, header + 2, header + 4);
  packet.copy(answer, header + 2, header, header + 2);
  return withChecksums(answer);
}

/** The same packet with right checksums, whatever was changed in it. */
function withChecksums(packet: Buffer): Buffer {
  const isIpv6 = (packet[0] ?? 0) >> 4 === 6;
  const header = isIpv6 ? 40 : 20;
  const protocol = packet[isIpv6 ? 6 : 9] ?? 0;
  const at = header + (protocol === TCP ? 16 : 6);
  packet.writeUInt16BE(0, at);
  const addresses = isIpv6 ? packet.subarray(8, 40) : packet.subarray(12, 20);
  packet.writeUInt16BE(~onesSum(packet.subarray(header), onesSum(addresses, protocol + packet.length - header)) & 0xffff, at);
  if (!isIpv6) {
    packet.writeUInt16BE(0, 10);
    packet.writeUInt16BE(~onesSum(packet.subarray(0, 20), 0) & 0xffff, 10);
  }
  return packet;
}

function onesSum(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return sum;
}

/** A far end of TCP that loses nothing: answers SYN, acknowledges, and keeps what came. */
class TcpFarEnd {
  readonly received: Buffer[] = [];
  readonly #peer: TrafficPeer;
  #next = 0;
  /** Of the connection; the host may still send what belongs to an earlier one. */
  #port = 0;
  bytes = 0;

  constructor(peer: TrafficPeer) {
    this.#peer = peer;
  }

  take(packet: Buffer): void {
    const header = (packet[0] ?? 0) >> 4 === 6 ? 40 : 20;
    const flags = packet[header + 13] ?? 0;
    const sequence = packet.readUInt32BE(header + 4);
    const payload = payloadOf(packet);
    if ((flags & FLAGS.syn) !== 0) {
      this.#next = (sequence + 1) >>> 0;
      this.#port = packet.readUInt16BE(header);
      // Maximum segment size, as the interface's MTU has it.
      const options = Buffer.from([2, 4, 0, 0]);
      options.writeUInt16BE(MTU - header - 20, 2);
      this.#answer(packet, { sequence: 1, flags: FLAGS.syn | FLAGS.ack, options });
      return;
    }
    if (payload.length === 0 || sequence !== this.#next || packet.readUInt16BE(header) !== this.#port) return;
    this.#next = (this.#next + payload.length) >>> 0;
    this.received.push(packet);
    this.bytes += payload.length;
    this.#answer(packet, { sequence: 2, flags: FLAGS.ack });
  }

  #answer(packet: Buffer, fields: Partial<PacketFields>): void {
    this.#peer.send(this.#peer.sealPacket(answerTo(packet, { acknowledgement: this.#next, window: 65_535, ...fields })));
  }
}

/** Runs of equal datagrams by one call, as programs with UDP_SEGMENT send them. */
function sendsRuns(socket: Socket, size: number): void {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd: number } })._handle;
  const c = libc('the test');
  c.scratch.view.setInt32(0, size, true);
  assert.equal(c.setsockopt(fd, LINUX.SOL_UDP, LINUX.UDP_SEGMENT, c.scratch.address(0), 4), 0);
}

async function innerSocket(version: Version, isConnected = true): Promise<Socket> {
  const socket = createSocket(version === 6 ? 'udp6' : 'udp4');
  await new Promise<void>((resolve) => socket.bind(0, HOST[version], resolve));
  if (isConnected) await new Promise<void>((resolve) => socket.connect(7, FAR[version], resolve));
  socket.unref();
  return socket;
}

inNamespace('bursts of a carried path', import.meta.filename, () => {
  for (const without of WITHOUT) {
    const name = without.length === 0 ? 'with everything' : without.length === 1 ? `without ${without[0]}` : 'without anything';

    it(`takes a TCP stream to the peer in right packets, ${name}`, { timeout: HANG_LIMIT }, async () => {
      await using t = await tunnel(without, { hasIpv6: true });
      for (const version of [4, 6] as const) {
        const farEnd = new TcpFarEnd(t.peer);
        const sequences: number[] = [];
        onPacket(t.peer, TCP, (packet, sequence) => {
          sequences.push(sequence);
          assert.equal(checksumFault(packet), undefined);
          assert.ok(packet.length <= MTU, `${packet.length} bytes`);
          farEnd.take(packet);
        });
        const socket = createConnection({ host: FAR[version], port: 80 });
        await once(socket, 'connect');
        const sent = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
        socket.write(sent);
        while (farEnd.bytes < sent.length) await new Promise((resolve) => setImmediate(resolve));
        assert.deepEqual(Buffer.concat(farEnd.received.map(payloadOf)), sent);
        assert.deepEqual(
          sequences,
          sequences.toSorted((a, b) => a - b),
          'records leave in the order of their numbers',
        );
        assert.equal(new Set(sequences).size, sequences.length, 'and no number twice');
        socket.destroy();
      }
      const { sendTooBig, sendFailed } = t.path.counters();
      assert.deepEqual([sendTooBig, sendFailed], [0, 0]);
    });

    it(`takes a run of datagrams to the peer as they are, and back, ${name}`, { timeout: HANG_LIMIT }, async () => {
      await using t = await tunnel(without, { hasIpv6: true });
      for (const version of [4, 6] as const) {
        const packets = new Arrivals<{ readonly packet: Buffer; readonly sequence: number }>();
        onPacket(t.peer, UDP, (packet, sequence) => packets.push({ packet, sequence }));
        const socket = await innerSocket(version);
        const back = new Arrivals<Buffer>();
        socket.on('message', (bytes) => back.push(bytes));
        for (const [size, count] of [
          [1000, 20],
          [1, 40],
          [333, 7],
        ] as const) {
          const bytes = Buffer.from(Array.from({ length: size * count - (size >> 1) }, (_, i) => (i * 5 + size) & 0xff));
          sendsRuns(socket, size);
          socket.send(bytes);
          const expected = Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
          // Where each leaves by a call of its own, the kernel keeps no order if the caller moves to another processor meanwhile.
          const records: { readonly packet: Buffer; readonly sequence: number }[] = [];
          for (let i = 0; i < count; i++) records.push(await packets.next());
          const arrived = records.toSorted((a, b) => a.sequence - b.sequence).map(({ packet }) => packet);
          assert.deepEqual(arrived.map(payloadOf), expected);
          assert.ok(arrived.every((packet) => checksumFault(packet) === undefined));
          for (const [i, packet] of arrived.entries()) {
            t.peer.send(t.peer.sealPacket(answerTo(packet, { protocol: UDP, identification: i, payload: expected[i] ?? Buffer.of() })));
          }
          const returned: Buffer[] = [];
          for (let i = 0; i < count; i++) returned.push(await back.next());
          assert.deepEqual(returned.toSorted(Buffer.compare), expected.toSorted(Buffer.compare));
        }
        socket.close();
      }
      const { badTag, replayed, malformed } = t.path.counters();
      assert.deepEqual([badTag, replayed, malformed, t.engine.deviceCounters().writeRefused], [0, 0, 0, 0]);
    });
  }

  it('opens each record of a run that arrives as one, and refuses those that come twice', async () => {
    await using t = await tunnel([]);
    const socket = await innerSocket(4, false);
    const arrived = new Arrivals<string>();
    socket.on('message', (bytes) => arrived.push(bytes.toString()));
    const asked = new Arrivals<Buffer>();
    onPacket(t.peer, UDP, (packet) => asked.push(packet));
    socket.send('?', 7, FAR[4]);
    const question = await asked.next();
    const answer = (text: string) => t.peer.sealPacket(answerTo(question, { protocol: UDP, payload: Buffer.from(text) }));
    const records = Array.from({ length: 10 }, (_, i) => answer(`packet ${i}`));
    sendsRuns(t.peer.socket, records[0]?.length ?? 0);
    const before = t.path.counters();
    t.peer.send(Buffer.concat([...records, ...records.slice(0, 3), answer('the last')]));
    for (let i = 0; i < 10; i++) assert.equal(await arrived.next(), `packet ${i}`);
    assert.equal(await arrived.next(), 'the last');
    const { received, receivedBytes, replayed, malformed } = t.path.counters();
    assert.deepEqual([received - before.received, replayed, malformed], [14, 3, 0]);
    assert.equal(receivedBytes - before.receivedBytes, 14 * (records[0]?.length ?? 0));
    socket.close();
  });

  it('ends in the middle of a burst when the record numbers do, and counts what stayed behind', BOUNDED, async () => {
    await using t = await tunnel([], { nextSequence: 2 ** 48 - 11 }); // one was for the greeting
    const records = new Arrivals<{ sequence: number; protocol: number }>();
    // The kernel may still send what belongs to an earlier test's connection: that takes a number too.
    t.peer.onDatagram = (datagram) => {
      const { type, sequence, plaintext } = t.peer.open(datagram);
      if (type === DATA && plaintext[0] === 0) records.push({ sequence, protocol: plaintext[10] ?? 0 });
    };
    const socket = await innerSocket(4);
    sendsRuns(socket, 100);
    socket.send(Buffer.alloc(3000));
    assert.deepEqual(await t.problems.next(), { type: 'key-used-up', direction: 'seal', isOver: false });
    assert.deepEqual(await t.problems.next(), { type: 'key-used-up', direction: 'seal', isOver: true });
    await t.engine.route(t.path);
    let others = 0;
    for (let i = 0; i < 10; i++) {
      const { sequence, protocol } = await records.next();
      assert.equal(sequence, 2 ** 48 - 10 + i);
      if (protocol !== UDP) others++;
    }
    assert.equal(records.count, 0);
    const { notSealed } = t.path.counters();
    assert.ok(notSealed >= 20 + others, `${notSealed} stayed behind`);
    if (others === 0) assert.ok(notSealed < 25, `${notSealed} stayed behind of 30`);
    socket.close();
  });

  it('seals each burst under one key while keys change between them, and no number twice', BOUNDED, async () => {
    await using t = await tunnel([]);
    const keys = await Promise.all(Array.from({ length: 6 }, () => TrafficPeer.listen('aes-256-gcm')));
    const socket = await innerSocket(4);
    sendsRuns(socket, 200);
    const seen = new Set<string>();
    const arrivals = new Arrivals<string>();
    let last = 0;
    t.peer.onDatagram = (datagram) => {
      const epoch = datagram.readUInt16BE(3);
      const { theirs } = epoch === 1 ? t.peer : (keys[epoch - 2] ?? t.peer);
      const { sequence, plaintext } = openReference({ ...theirs, epoch }, datagram);
      if (plaintext[10] !== UDP) return; // the kernel's own
      assert.ok(epoch >= last, 'an older key after a newer one');
      last = epoch;
      arrivals.push(`${epoch} ${sequence}`);
    };
    const see = async (count: number) => {
      for (let i = 0; i < count; i++) seen.add(await arrivals.next());
    };
    const bursts = 3;
    for (const [i, other] of keys.entries()) {
      for (let k = 0; k < bursts; k++) socket.send(Buffer.alloc(4000));
      const next = other.description({ tunnelMtu: MTU });
      await t.path.carry({ ...next, seal: { ...next.seal, id: i + 2 } });
      await see(bursts * 20);
    }
    socket.send(Buffer.alloc(4000));
    await see(20);
    assert.equal(seen.size, (keys.length * bursts + 1) * 20);
    assert.equal(last, 7);
    for (const other of keys) other.close();
    socket.close();
  });

  it('tells what is too big when the interface shrinks under a burst, and goes on in runs', BOUNDED, async () => {
    await using t = await tunnel([]);
    ip('link set lo mtu 700');
    try {
      const socket = await innerSocket(4);
      sendsRuns(socket, 1000);
      socket.send(Buffer.alloc(10_000));
      const problem = await t.problems.next();
      assert.equal(problem.type, 'too-big');
      await t.engine.route(t.path);
      assert.equal(t.path.counters().sendTooBig, 10);
      ip('link set lo mtu 65536');
      const arrivals = new Arrivals<Buffer>();
      onPacket(t.peer, UDP, (packet) => arrivals.push(packet));
      socket.send(Buffer.alloc(10_000));
      for (let i = 0; i < 10; i++) await arrivals.next();
      const segment = (await t.engine.features()).find(({ name }) => name === 'udp-segment');
      assert.deepEqual(segment, { name: 'udp-segment', isOn: true });
      socket.close();
    } finally {
      ip('link set lo mtu 65536');
    }
  });

  it('gives main single packets with right checksums where no path carries them', async () => {
    await using t = await tunnel([]);
    await t.engine.route(undefined);
    const packets = new Arrivals<Buffer>();
    await t.tun.close();
    const tun = await TunDevice.open(t.engine);
    ip(`addr add ${HOST[4]}/24 dev ${tun.name}`);
    ip(`link set ${tun.name} up`);
    tun.start((burst) => {
      for (const { buffer, start, end } of burst) if (buffer[start + 9] === UDP) packets.push(Buffer.from(buffer.subarray(start, end)));
    });
    const socket = await innerSocket(4);
    sendsRuns(socket, 500);
    socket.send(Buffer.alloc(5000, 1));
    for (let i = 0; i < 10; i++) {
      const packet = await packets.next();
      assert.equal(checksumFault(packet), undefined);
      assert.deepEqual(payloadOf(packet), Buffer.alloc(500, 1));
    }
    socket.close();
  });
});
