/** A gateway's session, carried by the engine and packet by packet by its machine: the same packets come out, whatever goes in. */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { it } from 'node:test';
import { GatewayTunnel } from '../../../src/core/protocols/anyconnect/gateway-tunnel.ts';
import { type Cidr, parseCidr } from '../../../src/core/wire/ip-address.ts';
import { EngineDevice } from '../../../src/node/engine/engine-device.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { CLIENT_ADDRESS, CLIENT_ADDRESS_6, ip, seconds, TunnelPair } from '../../core/protocols/anyconnect/tunnel-pair.ts';
import { FLAGS, packetFrom, TCP, UDP } from '../../support/inner-packets.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { DATA, TrafficPeer } from '../../support/traffic-peer.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';

const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);
const BEHIND = [cidr('192.168.64.0/20'), cidr('fd64::/48')];
const OWN = [cidr(`${CLIENT_ADDRESS}/32`), cidr(`${CLIENT_ADDRESS_6}/128`)];
const SEED = Number(process.env.SALLYPORT_TEST_SEED ?? 1);

/** The engine's device over a socket, whose other end is the test's: packets come out there one by one, as they were. */
class SocketDevice extends EngineDevice {
  #theirs = -1;

  static async open(engine: PacketEngine): Promise<SocketDevice> {
    const device = new SocketDevice(engine);
    device.#theirs = (await device.link.call('open-script', {})).theirs;
    return device;
  }

  private constructor(engine: PacketEngine) {
    super(engine);
  }

  setMtu(): Promise<void> {
    return Promise.resolve();
  }

  /** From the host. False: there is no room now. */
  put(packet: Uint8Array): boolean {
    const c = libc('the test');
    c.scratch.bytes.set(packet, 0);
    return c.send(this.#theirs, c.scratch.address(0), packet.length, LINUX.MSG_DONTWAIT) === packet.length;
  }

  /** To the host. */
  take(): Buffer | undefined {
    const c = libc('the test');
    const length = c.recv(this.#theirs, c.scratch.address(0), 65_535, LINUX.MSG_DONTWAIT);
    return length < 0 ? undefined : Buffer.from(c.scratch.bytes.subarray(0, length));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
    closeSync(this.#theirs);
  }
}

const SOURCES = [
  ...[CLIENT_ADDRESS, CLIENT_ADDRESS, CLIENT_ADDRESS, '192.168.70.1', '10.9.0.1', '10.9.0.3', '127.0.0.1', '192.168.80.1'],
  ...[CLIENT_ADDRESS_6, CLIENT_ADDRESS_6, 'fd64::77', 'fd09::1', 'fd65::1', '::1', 'fe80::1'],
] as const;

/** A packet of any kind, whole or damaged, from anywhere. */
function anyPacket(random: SeededRandom, addresses: readonly string[], isDamaged: boolean): Buffer {
  const pick = <T>(values: readonly T[]): T => values[random.uint32() % values.length] ?? assert.fail();
  const address = ip(pick(addresses));
  const protocol = pick([TCP, UDP, UDP, 1, 50]);
  const packet = packetFrom({
    ...{ version: address.family, protocol: protocol === TCP ? TCP : UDP, flow: random.uint32() % 3 },
    ...{ sequence: random.uint32(), identification: random.uint32(), tos: random.uint32() & 0xff },
    flags: pick([FLAGS.ack, FLAGS.ack | FLAGS.psh, FLAGS.syn, FLAGS.fin | FLAGS.ack]),
    payload: Buffer.alloc(random.uint32() % 1200, random.uint32()),
  });
  packet[address.family === 4 ? 9 : 6] = protocol;
  return isDamaged ? damaged(packet, random) : packet;
}

function damaged(packet: Buffer, random: SeededRandom): Buffer {
  switch (random.uint32() % 5) {
    case 0:
      return packet.subarray(0, 1 + (random.uint32() % packet.length)); // cut short
    case 1:
      packet[0] = random.uint32() & 0xff; // of another version
      return packet;
    case 2:
      packet[2] = 0xff; // longer than it is
      packet[4] = 0xff;
      return packet;
    case 3:
      return Buffer.from([0, ...packet]); // not where it should begin
    default:
      return Buffer.concat([packet, Buffer.alloc(random.uint32() % 20, 1)]); // with something behind it
  }
}

/** Has `packet` come from this address, or go there. */
function withAddress(packet: Buffer, address: string, which: 'source' | 'destination'): Buffer {
  const { family, bytes } = ip(address);
  const at = family === 4 ? { source: 12, destination: 16 } : { source: 8, destination: 24 };
  packet.set(bytes, at[which]);
  return packet;
}

/** The reference: both machines in memory, no engine. */
function machines() {
  const pair = new TunnelPair({
    gateway: { networks: BEHIND },
    terms: {
      config: {
        ipv4: { address: ip(CLIENT_ADDRESS), prefix: 24 },
        ipv6: { address: ip(CLIENT_ADDRESS_6), prefix: 64 },
        ...{ dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] },
      },
    },
  });
  pair.startDatagrams();
  const gateway = pair.gateway ?? assert.fail();
  assert.ok(gateway.machine instanceof GatewayTunnel);
  return { pair, gateway };
}

async function engineScene() {
  const engine = await PacketEngine.start({ without: ['ack-thinning', 'moderation'] });
  const device = await SocketDevice.open(engine);
  const toMain: Buffer[] = [];
  device.start((burst) => {
    for (const { buffer, start, end } of burst) toMain.push(Buffer.from(buffer.subarray(start, end)));
  });
  const peer = await TrafficPeer.listen('aes-256-gcm');
  const path = await engine.openUdp({ remote: peer.endpoint });
  path.start({ datagram: () => undefined, record: () => undefined, problem: () => undefined });
  await engine.routeNetworks(path, [...OWN, ...BEHIND]);
  await path.carry(peer.description({ innerSources: [...OWN, ...BEHIND] }));
  path.send(Buffer.of(DATA, 3)); // the peer learns our port
  await peer.nextRecord();
  await peer.connect();
  return {
    ...{ engine, device, peer, path, toMain },
    async [Symbol.asyncDispose]() {
      peer.close();
      await device[Symbol.asyncDispose]();
      await engine.close();
    },
  };
}

/** Where packets differ, a short list says more than two long ones. */
function assertSame(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  const hex = (packets: readonly Uint8Array[]) => packets.map((packet) => Buffer.from(packet).toString('hex'));
  const [ours, theirs] = [hex(actual), hex(expected)];
  const first = ours.findIndex((packet, i) => packet !== theirs[i]);
  assert.ok(first < 0 && ours.length === theirs.length, `seed ${SEED}: packet ${first}, ${ours.length} of ${theirs.length}`);
}

/** Less than what sockets hold. */
const MAX_UNDER_WAY = 50;

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('a gateway’s session takes the same packets from its client by the engine and by its machine', {
  skip,
  timeout: HANG_LIMIT,
}, async () => {
  await using t = await engineScene();
  const { pair, gateway } = machines();
  const random = new SeededRandom(SEED);
  const count = sized(600, 20_000);
  const before = gateway.delivered.length;
  const delivered: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const source = SOURCES[random.uint32() % SOURCES.length] ?? assert.fail();
    const whole = withAddress(anyPacket(random, [source], false), source, 'source');
    const packet = random.uint32() % 4 === 0 ? damaged(whole, random) : whole;
    gateway.onDelivered = () => undefined;
    pair.client.send(packet);
    pair.clock.advance(1);
    t.peer.send(t.peer.sealPacket(packet));
    while (t.path.counters().received < i - MAX_UNDER_WAY) await turn();
    for (let got = t.device.take(); got !== undefined; got = t.device.take()) delivered.push(got);
  }
  pair.clock.advance(seconds(1));
  const expected = gateway.delivered.slice(before);
  assert.ok(expected.length > count / 4 && expected.length < count, `${expected.length} of ${count}: the test tells nothing`);
  while (delivered.length < expected.length) {
    await turn();
    for (let got = t.device.take(); got !== undefined; got = t.device.take()) delivered.push(got);
  }
  await t.engine.features(); // what was received before has been done
  assert.equal(t.device.take(), undefined);
  assertSame(delivered, expected);
  const { spoofed, notIp, received } = t.path.counters();
  assert.equal(received, count);
  assert.equal(spoofed + notIp, count - expected.length, 'each of the others is counted');
  assert.ok(spoofed >= pair.gatewayMachine.spoofed && notIp > 0);
});

it('a gateway’s session gives its client the same packets by the engine and by its machine', { skip, timeout: HANG_LIMIT }, async () => {
  await using t = await engineScene();
  const { pair, gateway } = machines();
  const random = new SeededRandom(SEED + 1);
  const count = sized(600, 20_000);
  const opened: Buffer[] = [];
  t.peer.onDatagram = (datagram) => opened.push(t.peer.open(datagram).plaintext.subarray(1));
  const before = pair.client.delivered.length;
  let foreign = 0;
  for (let i = 0; i < count; i++) {
    const isOurs = random.uint32() % 8 > 0;
    const destination = isOurs ? [CLIENT_ADDRESS, CLIENT_ADDRESS_6, '192.168.65.2', 'fd64::1'][random.uint32() % 4] : '10.9.0.77';
    const packet = withAddress(anyPacket(random, [destination ?? assert.fail()], false), destination ?? assert.fail(), 'destination');
    if (isOurs) {
      pair.client.onDelivered = () => undefined;
      gateway.send(packet);
      pair.clock.advance(1);
    } else {
      foreign++;
    }
    while (!t.device.put(packet)) await turn();
    while (opened.length + t.toMain.length < i - MAX_UNDER_WAY) await turn();
  }
  pair.clock.advance(seconds(1));
  const expected = pair.client.delivered.slice(before);
  while (opened.length < expected.length || t.toMain.length < foreign) await turn();
  assertSame(opened, expected);
  assert.equal(t.toMain.length, foreign, 'packets for others come to main, and only those');
});
