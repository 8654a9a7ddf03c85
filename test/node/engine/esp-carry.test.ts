/** A path that carries ESP: the kernel's own packets of both families on one side of a TUN, the reference's on the other side of the engine. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { describe, it } from 'node:test';
import { EspAssociations } from '../../../src/core/esp/associations.ts';
import type { EspKeys } from '../../../src/core/esp/packet.ts';
import { packetBytes } from '../../../src/core/tunnel/packet.ts';
import type { PacketException, TrafficDescription } from '../../../src/core/tunnel/traffic.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { openEspReference, type ReferencePacket, sealEspReference } from '../../reference/esp-packet.ts';
import { newKeys } from '../../support/esp-ends.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { Arrivals, endpoint, ipv4Udp } from '../../support/traffic-peer.ts';
import { FAR, HOST } from './carry-scene.ts';

const COUNT = sized(100, 5000);
const OPTIONS = { timeout: HANG_LIMIT };
const UDP = 17;
const [HOST6, FAR6] = ['fd09::1', 'fd09::2'];
const NEXT_HEADER = { 4: 4, 6: 41 } as const;
const PROBE = Buffer.of(0);

/** The IPv6 twin of {@link ipv4Udp}; its checksum is not left to the receiver's mercy. */
function ipv6Udp(from: string, to: string, toPort: number, payload: Uint8Array): Buffer {
  const packet = Buffer.alloc(48 + payload.length);
  packet[0] = 0x60;
  packet.writeUInt16BE(8 + payload.length, 4);
  packet.set([UDP, 64], 6);
  packet.set(endpoint(from, 0).address.bytes, 8);
  packet.set(endpoint(to, 0).address.bytes, 24);
  packet.writeUInt16BE(7, 40);
  packet.writeUInt16BE(toPort, 42);
  packet.writeUInt16BE(8 + payload.length, 44);
  packet.set(payload, 48);
  let sum = UDP + 8 + payload.length;
  for (let at = 8; at < packet.length; at += 2) sum += ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(~sum & 0xffff, 46);
  return packet;
}

function isUdp(packet: Uint8Array): boolean {
  return (packet[0] ?? 0) >>> 4 === 4 ? packet[9] === UDP : packet[6] === UDP;
}

async function socketAt(address: string, type: 'udp4' | 'udp6'): Promise<Socket> {
  const socket = createSocket(type);
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  socket.unref();
  return socket;
}

/** An engine with a TUN of both families, and a path to a socket that speaks ESP by the reference. */
async function espTunnel(cipher: EspKeys['cipher'], mac: EspKeys['mac']) {
  const crypto = new NodeCrypto();
  const keys = { outbound: newKeys(crypto, cipher, mac), inbound: newKeys(crypto, cipher, mac) };
  const associations = new EspAssociations(crypto, keys);
  const engine = await PacketEngine.start();
  const tun = await TunDevice.open(engine);
  ip(`addr add ${HOST}/24 dev ${tun.name}`);
  ip(`-6 addr add ${HOST6}/64 dev ${tun.name} nodad`);
  ip(`link set ${tun.name} up`);
  const peer = await socketAt('127.0.0.1', 'udp4');
  const path = await engine.openUdp({ remote: endpoint('127.0.0.1', peer.address().port) });
  const datagrams = new Arrivals<Buffer>();
  peer.on('message', (bytes) => datagrams.push(bytes));
  const [packets, records] = [new Arrivals<Buffer>(), new Arrivals<Buffer>()];
  tun.start((burst) => {
    // The system says things of its own where there is IPv6.
    for (const packet of burst) if (isUdp(packetBytes(packet))) packets.push(Buffer.from(packetBytes(packet)));
  });
  path.start({ datagram: () => undefined, record: (bytes) => records.push(Buffer.from(bytes)), problem: () => undefined });
  const [inner4, inner6] = [await socketAt(HOST, 'udp4'), await socketAt(HOST6, 'udp6')];
  const arrivals = new Arrivals<string>();
  for (const inner of [inner4, inner6]) inner.on('message', (bytes) => arrivals.push(bytes.toString()));
  let next = 0;
  const t = {
    ...{ engine, path, packets, records, arrivals, keys, associations, datagrams },
    /** Carries, in place of what was carried before. */
    async carry(change: { readonly families?: readonly (4 | 6)[]; readonly exceptions?: readonly PacketException[] } = {}): Promise<void> {
      const { families, exceptions } = change;
      const traffic: TrafficDescription = { ...associations.handOver({ families, exceptions }), tunnelMtu: 1400 };
      await path.carry(traffic);
      await engine.route(path);
    },
    sendInner(family: 4 | 6, text: string): void {
      if (family === 4) inner4.send(text, 7, FAR);
      else inner6.send(text, 7, FAR6);
    },
    packetTo(family: 4 | 6, text: string): Buffer {
      const payload = Buffer.from(text);
      return family === 4 ? ipv4Udp(FAR, HOST, 7, inner4.address().port, payload) : ipv6Udp(FAR6, HOST6, inner6.address().port, payload);
    },
    sealed(payload: Buffer, nextHeader: number, change: Partial<ReferencePacket> = {}, sa: EspKeys = keys.inbound): Buffer {
      return sealEspReference(sa, { sequence: next++, iv: randomBytes(16), payload, nextHeader, ...change });
    },
    send(datagram: Buffer): Promise<void> {
      return new Promise((resolve) => peer.send(datagram, path.local.port, '127.0.0.1', () => resolve()));
    },
    /** The next of the kernel's datagrams inside; the system may say things of its own between them. @param sa whose packets come */
    async nextSent(sa: EspKeys = keys.outbound): Promise<ReferencePacket> {
      for (;;) {
        const datagram = await datagrams.next();
        const isEarlier = sa !== keys.outbound && datagram.readUInt32BE(0) === keys.outbound.spi;
        const opened = openEspReference(isEarlier ? keys.outbound : sa, datagram);
        if (!isUdp(opened.payload)) continue;
        assert.ok(!isEarlier, 'none of ours by the keys of before');
        return opened;
      }
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [peer, inner4, inner6]) socket.close();
      await engine.close();
    },
  };
  return t;
}

inNamespace('a path that carries ESP', import.meta.filename, () => {
  for (const [cipher, mac] of [
    ['aes-128-cbc', 'sha1'],
    ['aes-256-cbc', 'sha256'],
  ] as const) {
    describe(`with ${cipher} and ${mac}`, OPTIONS, () => {
      it('takes packets of both families to the peer and back, past main', OPTIONS, async () => {
        await using t = await espTunnel(cipher, mac);
        await t.carry();
        const ivs = new Set<string>();
        let before = -1;
        for (let i = 0; i < COUNT; i++) {
          const family = i % 2 === 0 ? 4 : 6;
          const text = `packet ${i} ${'x'.repeat((i * 37) % 1200)}`;
          t.sendInner(family, text);
          const { payload, nextHeader, sequence, iv } = await t.nextSent();
          assert.equal(payload.subarray(family === 4 ? 28 : 48).toString(), text);
          assert.equal(nextHeader, NEXT_HEADER[family]);
          assert.ok(sequence > before, 'numbers only grow');
          before = sequence;
          ivs.add(iv.toString('hex'));
          await t.send(t.sealed(t.packetTo(family, `answer to ${text}`), NEXT_HEADER[family]));
          assert.equal(await t.arrivals.next(), `answer to ${text}`);
        }
        assert.equal(ivs.size, COUNT);
        assert.equal(t.packets.count + t.records.count, 0, 'main saw nothing of it');
      });

      it('takes no packet twice, and none that is forged or too old', OPTIONS, async () => {
        await using t = await espTunnel(cipher, mac);
        await t.carry();
        const first = t.sealed(t.packetTo(4, 'once'), 4);
        const forged = t.sealed(t.packetTo(4, 'forged'), 4, { sequence: 90 });
        forged[30] = (forged[30] ?? 0) ^ 1;
        for (const datagram of [first, first, forged, t.sealed(t.packetTo(4, 'a stranger'), 4, {}, { ...t.keys.inbound, spi: 1 }), PROBE]) {
          await t.send(datagram);
        }
        await t.send(t.sealed(t.packetTo(4, 'far ahead'), 4, { sequence: 100 }));
        for (const sequence of [35, 36, 37, 100, 101]) await t.send(t.sealed(t.packetTo(4, `number ${sequence}`), 4, { sequence }));
        const expected = ['once', 'far ahead', 'number 36', 'number 37', 'number 101']; // spec "ESP", 4.1: 65 with the newest
        for (const text of expected) assert.equal(await t.arrivals.next(), text);
        assert.equal(t.arrivals.count, 0);
        const { replayed, badTag, unknownEpoch, malformed } = t.path.counters();
        assert.deepEqual({ replayed, badTag, unknownEpoch, malformed }, { replayed: 3, badTag: 1, unknownEpoch: 1, malformed: 1 });
      });

      it('changes its keys in the middle, one direction or both, and opens what is under way', OPTIONS, async () => {
        await using t = await espTunnel(cipher, mac);
        await t.carry();
        t.sendInner(4, 'under the first keys');
        assert.equal((await t.nextSent()).payload.subarray(28).toString(), 'under the first keys');
        const late = t.sealed(t.packetTo(4, 'late'), 4);

        const crypto = new NodeCrypto();
        const outbound = newKeys(crypto, cipher, mac);
        t.associations.rekey({ outbound }, 0);
        await t.carry();
        for (let i = 0; i < 3; i++) t.sendInner(6, `packet ${i}`);
        for (let i = 0; i < 3; i++) assert.equal((await t.nextSent(outbound)).payload.subarray(48).toString(), `packet ${i}`);

        const inbound = newKeys(crypto, cipher, mac);
        t.associations.rekey({ inbound }, 0);
        await t.carry();
        await t.send(t.sealed(t.packetTo(4, 'new'), 4, { sequence: 0 }, inbound));
        await t.send(late);
        await t.send(late);
        for (const text of ['new', 'late']) assert.equal(await t.arrivals.next(), text);
        t.sendInner(4, 'on');
        assert.ok((await t.nextSent(outbound)).sequence >= 3, 'a key that stays goes on with its numbers');

        t.associations.rekey({ inbound: newKeys(crypto, cipher, mac) }, 0); // two steps on, the first keys are forgotten
        await t.carry();
        await t.send(t.sealed(t.packetTo(4, 'too late'), 4));
        await t.send(t.sealed(t.packetTo(4, 'still'), 4, { sequence: 1 }, inbound));
        assert.equal(await t.arrivals.next(), 'still');
        const { replayed, unknownEpoch } = t.path.counters();
        assert.deepEqual({ replayed, unknownEpoch }, { replayed: 1, unknownEpoch: 1 });
      });
    });
  }

  it('leaves probes and packets of families that do not go by it to main, and seals what main answers', OPTIONS, async () => {
    await using t = await espTunnel('aes-128-cbc', 'sha1');
    const { address } = endpoint(FAR, 0);
    const source = { family: 4 as const, bytes: [{ offset: 12, value: address.bytes }] };
    await t.carry({ families: [4], exceptions: [source] });
    await t.send(t.sealed(PROBE, 4));
    assert.deepEqual(await t.records.next(), Buffer.of(4, 0));
    t.path.send(Buffer.of(4, 0));
    const answer = openEspReference(t.keys.outbound, await t.datagrams.next());
    assert.deepEqual([answer.payload, answer.nextHeader], [PROBE, 4]);

    const asked = t.packetTo(4, 'looks like data');
    await t.send(t.sealed(asked, 4));
    assert.deepEqual(await t.records.next(), Buffer.concat([Buffer.of(4), asked]));
    await t.send(t.sealed(t.packetTo(6, 'is data'), 41));
    assert.equal(await t.arrivals.next(), 'is data');
    await t.send(t.sealed(t.packetTo(6, 'is not what it says'), 4));
    assert.equal((await t.records.next())[0], 4);

    t.sendInner(6, 'by the stream');
    assert.equal((await t.packets.next()).subarray(48).toString(), 'by the stream');
    assert.equal(t.arrivals.count, 0);
  });
});
