/** One device, many carried paths, as a gateway has them: whose packet it is, where one may come from, and what happens when a peer moves. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { it } from 'node:test';
import { packetBytes } from '../../../src/core/tunnel/packet.ts';
import { type Cidr, parseCidr } from '../../../src/core/wire/ip-address.ts';
import type { DatagramPath } from '../../../src/node/datagram-path.ts';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import type { EngineLink } from '../../../src/node/engine/engine-link.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { FIRST_PATH_DESCRIPTOR, PATH } from '../../../src/node/engine/shared-memory.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { Arrivals, DATA, endpoint, ipv4Udp, TrafficPeer } from '../../support/traffic-peer.ts';
import { isUdp } from './carry-scene.ts';

const HOST = '10.9.0.1';
const PORT = 7;

const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);
const addressOf = (client: number) => `10.9.0.${client + 2}`;

/** A client: its peer on the wire, and the engine's path to it. */
interface Client {
  readonly peer: TrafficPeer;
  readonly path: DatagramPath;
  readonly records: Arrivals<Buffer>;
}

async function gateway(count: number, change: { readonly tunnelMtu?: number } = {}) {
  const engine = await PacketEngine.start();
  const tun = await TunDevice.open(engine);
  ip(`addr add ${HOST}/16 dev ${tun.name}`);
  ip(`addr add fd09::1/64 dev ${tun.name} nodad`);
  ip(`link set ${tun.name} up`);
  const packets = new Arrivals<Buffer>();
  tun.start((burst) => {
    for (const packet of burst) if (isUdp(packetBytes(packet))) packets.push(Buffer.from(packetBytes(packet)));
  });
  const clients: Client[] = [];
  const open = async (peer: TrafficPeer) => {
    const path = await engine.openUdp({ remote: peer.endpoint });
    const records = new Arrivals<Buffer>();
    path.start({ datagram: () => undefined, record: (bytes) => records.push(Buffer.from(bytes)), problem: () => undefined });
    return { path, records };
  };
  for (let i = 0; i < count; i++) {
    const peer = await TrafficPeer.listen('aes-256-gcm');
    const client = { peer, ...(await open(peer)) };
    const networks = [cidr(`${addressOf(i)}/32`), cidr(`fd09::${i + 2}/128`)];
    await engine.routeNetworks(client.path, networks);
    await client.path.carry(peer.description({ innerSources: networks, ...change }));
    clients.push(client);
  }
  const inner = createSocket('udp4');
  await new Promise<void>((resolve) => inner.bind(0, HOST, resolve));
  const heard = new Arrivals<string>();
  inner.on('message', (bytes, from) => heard.push(`${from.address} ${bytes.toString('latin1')}`));
  return {
    ...{ engine, tun, packets, clients, inner, heard, open },
    send: (to: string, text: string) => new Promise<void>((resolve) => inner.send(text, PORT, to, () => resolve())),
    client: (i: number): Client => clients[i] ?? assert.fail(`client ${i}`),
    async [Symbol.asyncDispose]() {
      inner.close();
      for (const { peer } of clients) peer.close();
      await engine.close();
    },
  };
}

/** The text of the next UDP packet of the kernel's that reaches a peer. */
async function nextText({ peer }: Client): Promise<string> {
  for (;;) {
    const { type, plaintext } = await peer.nextRecord();
    const packet = plaintext.subarray(1);
    if (type === DATA && plaintext[0] === 0 && isUdp(packet)) return packet.subarray(28).toString('latin1');
    if (type === DATA && plaintext[0] === 0 && packet[0] === 0x60 && packet[6] === 17) return packet.subarray(48).toString('latin1');
  }
}

function toHost(inner: Socket, from: string, text: string): Buffer {
  return ipv4Udp(from, HOST, PORT, inner.address().port, Buffer.from(text, 'latin1'));
}

/** The peer learns the path's port. */
async function greet({ peer, path }: Client): Promise<void> {
  path.send(Buffer.of(DATA, 3));
  await peer.nextRecord();
}

inNamespace('a device that paths share', import.meta.filename, () => {
  it('has its packets leave by the path of their destination, of both families, and those of nobody come to main', async () => {
    await using t = await gateway(40);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 40; i++) await t.send(addressOf((i * 7) % 40), `${round} for ${(i * 7) % 40}`);
      for (let i = 0; i < 40; i++) assert.equal(await nextText(t.client(i)), `${round} for ${i}`);
    }
    const inner6 = createSocket('udp6');
    for (const i of [3, 39]) {
      inner6.send(`six for ${i}`, PORT, `fd09::${i + 2}`);
      assert.equal(await nextText(t.client(i)), `six for ${i}`);
    }
    inner6.close();
    assert.equal(t.packets.count, 0);
    await t.send('10.9.77.1', 'nobody');
    assert.equal((await t.packets.next()).subarray(28).toString(), 'nobody');
  });

  it('takes from a peer what comes from its own addresses, and counts and drops the rest by cause', async () => {
    await using t = await gateway(3);
    const [one, two] = [t.client(0), t.client(1)];
    await Promise.all([greet(one), greet(two)]);
    const own = toHost(t.inner, addressOf(0), 'own');
    for (const packet of [
      toHost(t.inner, addressOf(1), 'another client'),
      toHost(t.inner, HOST, 'the gateway'),
      toHost(t.inner, '127.0.0.1', 'loopback'),
      Buffer.of(0x45, 0, 0, 20),
      Buffer.concat([own.subarray(0, 2), Buffer.of(0xff, 0xff), own.subarray(4)]), // longer than it is
      Buffer.from('nonsense that is no packet at all'),
      own,
    ]) {
      one.peer.send(one.peer.sealPacket(packet));
    }
    two.peer.send(two.peer.sealPacket(toHost(t.inner, addressOf(1), 'me')));
    assert.deepEqual([await t.heard.next(), await t.heard.next()].sort(), [`${addressOf(0)} own`, `${addressOf(1)} me`]);
    const { spoofed, notIp, carriedReceived, carriedSent, carriedAt } = one.path.counters();
    assert.deepEqual([spoofed, notIp, carriedReceived, carriedSent], [3, 3, own.length, 0]);
    assert.ok(Math.abs(performance.now() - carriedAt) < 5_000);
    assert.equal(t.heard.count, 0);
  });

  it('counts what it carries each way, and not what main sends', async () => {
    await using t = await gateway(1);
    await t.send(addressOf(0), 'x'.repeat(100));
    assert.equal(await nextText(t.client(0)), 'x'.repeat(100));
    t.client(0).path.send(Buffer.concat([Buffer.of(DATA, 0), toHost(t.inner, addressOf(0), 'by main')]));
    await nextText(t.client(0));
    assert.equal(t.client(0).path.counters().carriedSent, 128);
  });

  it('gives a network to the path that was named last, and to nobody when its path is closed', async () => {
    await using t = await gateway(2);
    const address = cidr(`${addressOf(0)}/32`);
    await t.engine.routeNetworks(t.client(1).path, [address]);
    await t.send(addressOf(0), 'yours now');
    assert.equal(await nextText(t.client(1)), 'yours now');
    await t.engine.routeNetworks(t.client(0).path, []); // takes nothing from the other
    await t.send(addressOf(0), 'still');
    assert.equal(await nextText(t.client(1)), 'still');
    await t.client(1).path.close();
    await t.send(addressOf(0), 'nobody’s');
    await t.packets.next();
    // The closed path's number is another's: it has none of its networks.
    const { path } = await t.open(t.client(0).peer);
    await path.carry(t.client(0).peer.description());
    await t.send(addressOf(0), 'nobody’s still');
    await t.packets.next();
    await t.engine.routeNetworks(path, [cidr('10.9.0.0/24')]);
    await t.send('10.9.0.200', 'all of it');
    assert.equal(await nextText(t.client(0)), 'all of it');
  });

  it('gives main what is larger than the path takes, whose limit may change', async () => {
    await using t = await gateway(2, { tunnelMtu: 200 });
    await t.send(addressOf(0), 'y'.repeat(172));
    assert.equal((await nextText(t.client(0))).length, 172);
    await t.send(addressOf(0), 'y'.repeat(173));
    assert.equal((await t.packets.next()).length, 201);
    await t.client(0).path.setTunnelMtu(201);
    await t.send(addressOf(0), 'y'.repeat(173));
    assert.equal((await nextText(t.client(0))).length, 173);
    await t.send(addressOf(1), 'y'.repeat(173));
    assert.equal((await t.packets.next()).length, 201, 'and the other’s is its own');
  });

  it('moves with all it has to another path when a datagram of that one opens, and not else', async () => {
    await using t = await gateway(2);
    const client = t.client(0);
    await t.send(addressOf(0), 'here');
    assert.equal(await nextText(client), 'here');
    await greet(client);
    // The client's new address: another socket of its.
    const elsewhere = await TrafficPeer.listen('aes-256-gcm');
    const { path, records } = await t.open(elsewhere);
    const seen = client.peer.seal(DATA, Buffer.of(4));
    client.peer.send(seen);
    await client.records.next();
    const before = client.path.counters().carriedSent;
    for (const forged of [seen, Buffer.from('anything'), t.client(1).peer.sealPacket(toHost(t.inner, addressOf(1), 'x'))]) {
      assert.equal(await path.takeOver(client.path, forged), false);
    }
    await t.send(addressOf(0), 'still here');
    assert.equal(await nextText(client), 'still here');
    assert.equal(await path.takeOver(client.path, client.peer.sealPacket(toHost(t.inner, addressOf(0), 'moved'))), true);
    assert.equal(await t.heard.next(), `${addressOf(0)} moved`);
    await t.send(addressOf(0), 'there');
    const record = client.peer.open(await elsewhere.datagrams.next());
    assert.equal(record.plaintext.subarray(29).toString(), 'there');
    path.send(Buffer.of(DATA, 3, 9));
    const next = client.peer.open(await elsewhere.datagrams.next());
    assert.deepEqual([next.sequence, [...next.plaintext]], [record.sequence + 1, [3, 9]], 'one number after the other');
    elsewhere.send(client.peer.seal(DATA, Buffer.of(4, 4)), path.local.port);
    assert.deepEqual(await records.next(), Buffer.of(DATA, 4, 4));
    assert.equal(await path.takeOver(client.path, client.peer.seal(DATA, Buffer.of(4))), false, 'there is nothing left to take');
    assert.ok(client.path.counters().carriedSent > before);
    elsewhere.close();
  });

  it('sends nothing in the clear by a path whose keys have moved to another', async () => {
    await using t = await gateway(1);
    const client = t.client(0);
    await greet(client);
    const elsewhere = await TrafficPeer.listen('aes-256-gcm');
    const { path } = await t.open(elsewhere);
    assert.equal(await path.takeOver(client.path, client.peer.seal(DATA, Buffer.of(4))), true);
    const before = client.path.counters();
    client.path.send(Buffer.of(DATA, 0, 0x45)); // of a machine that has not heard of it, or did not want it any more
    await t.engine.features(); // the worker has done what came before
    const { sent, notSealed } = client.path.counters();
    assert.deepEqual([sent, notSealed], [before.sent, before.notSealed + 1]);
    elsewhere.close();
  });

  it('moves without a datagram as well: this end has opened the other path itself', async () => {
    await using t = await gateway(1);
    const client = t.client(0);
    await t.send(addressOf(0), 'here');
    assert.equal(await nextText(client), 'here');
    const elsewhere = await TrafficPeer.listen('aes-256-gcm');
    const { path } = await t.open(elsewhere);
    assert.equal(await path.takeOver(client.path, undefined), true);
    await t.send(addressOf(0), 'there');
    assert.equal(
      client.peer
        .open(await elsewhere.datagrams.next())
        .plaintext.subarray(29)
        .toString(),
      'there',
    );
    assert.equal(await path.takeOver(client.path, undefined), false, 'there is nothing left to take');
    elsewhere.close();
  });

  it('keeps what comes by an adopted flow before main hears that it is adopted', async () => {
    await using t = await gateway(1);
    const { memory } = (t.tun as unknown as { readonly link: EngineLink }).link;
    const peer = await TrafficPeer.listen('aes-256-gcm');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const { port } = socket.address();
    await new Promise<void>((resolve) => peer.socket.connect(port, '127.0.0.1', resolve));
    const adopting = t.engine.adoptUdp(socket, { remote: peer.endpoint, strayed: () => assert.fail('a stray') });
    // This thread is busy with something else until the worker has heard the peer.
    const busy = new Int32Array(new SharedArrayBuffer(4));
    const until = (holds: () => boolean) => {
      for (let i = 0; !holds(); i++) {
        assert.ok(i < 20_000);
        Atomics.wait(busy, 0, 0, 1);
      }
    };
    until(() => memory.descriptors[FIRST_PATH_DESCRIPTOR + 1] !== 0);
    for (const text of ['soon', 'after']) peer.socket.send(text);
    until(() => memory.pathCounters(1)[PATH.received] === 2 && !memory.toMain.isRead);
    const path = await adopting;
    const heard = new Arrivals<string>();
    path.start({ datagram: (bytes) => heard.push(Buffer.from(bytes).toString()), record: () => undefined, problem: () => undefined });
    peer.socket.send('later');
    for (const text of ['soon', 'after', 'later']) assert.equal(await heard.next(), text);
    peer.close();
  });

  it('adopts a flow’s bound socket, with what came before, and hands strays back', async () => {
    await using t = await gateway(1);
    const peer = await TrafficPeer.listen('aes-256-gcm');
    const other = await TrafficPeer.listen('aes-256-gcm');
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    const { port } = socket.address();
    const sent = (from: TrafficPeer, text: string) =>
      new Promise<void>((resolve) => from.socket.send(text, port, '127.0.0.1', () => resolve()));
    const strays: string[] = [];
    const adopting = t.engine.adoptUdp(socket, {
      remote: peer.endpoint,
      first: Buffer.from('first'),
      strayed: (bytes, from) => strays.push(`${Buffer.from(bytes)} ${from.port === other.endpoint.port}`),
    });
    const path = await adopting;
    const heard = new Arrivals<string>();
    path.start({ datagram: (bytes) => heard.push(Buffer.from(bytes).toString()), record: () => undefined, problem: () => undefined });
    assert.equal(await heard.next(), 'first');
    await sent(other, 'not connected to'); // the kernel drops it
    await sent(peer, 'later');
    assert.equal(await heard.next(), 'later');
    path.send(Buffer.from('answer'));
    assert.equal((await peer.datagrams.next()).toString(), 'answer');
    assert.equal(path.local.port, port, 'the port that the client knows');
    assert.equal(strays.length, 0);

    // And one that had heard something before it was handed over.
    const busy = createSocket('udp4');
    await new Promise<void>((resolve) => busy.bind(0, '127.0.0.1', resolve));
    const busyPort = busy.address().port;
    await new Promise<void>((resolve) => peer.socket.send('mine', busyPort, '127.0.0.1', () => resolve()));
    await new Promise<void>((resolve) => other.socket.send('stray', busyPort, '127.0.0.1', () => resolve()));
    const second = await t.engine.adoptUdp(busy, {
      remote: peer.endpoint,
      first: Buffer.from('hello'),
      strayed: (bytes, from) => strays.push(`${Buffer.from(bytes)} ${from.port === other.endpoint.port}`),
    });
    const texts: string[] = [];
    second.start({ datagram: (bytes) => texts.push(Buffer.from(bytes).toString()), record: () => undefined, problem: () => undefined });
    assert.equal(texts.length, 0, 'not at once: a driver tells its machine of the path next');
    await Promise.resolve();
    assert.ok(texts[0] === 'hello' && texts.length <= 2, texts.join(', '));
    assert.ok(
      strays.every((text) => text === 'stray true'),
      strays.join(', '),
    );
    assert.ok(!texts.includes('stray'));
    assert.equal(await second.takeOver(path, Buffer.from('x')), false);
    assert.deepEqual(endpoint('127.0.0.1', busyPort), second.local);
    peer.close();
    other.close();
  });
});
