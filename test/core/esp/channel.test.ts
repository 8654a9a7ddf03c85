/** ESP channels against each other in memory, over links that are as bad as links are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CryptoProvider } from '../../../src/core/crypto/provider.ts';
import { EspAssociations, type EspKeyPair } from '../../../src/core/esp/associations.ts';
import { EspChannel, type EspChannelOptions, type EspProbe } from '../../../src/core/esp/channel.ts';
import { EspSender } from '../../../src/core/esp/packet.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { parseCidr } from '../../../src/core/wire/ip-address.ts';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { newKeys, numberedPacket, zeroProbe } from '../../support/esp-ends.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../support/link-model.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';

const RUNS = sized(12, 10_000);
const DPD = 10_000;

class End {
  readonly sink = new CollectingSink();
  readonly associations: EspAssociations;
  readonly channel: EspChannel;
  deliver: (bytes: Uint8Array) => void = () => {};

  constructor(clock: FakeClock, crypto: CryptoProvider, keys: EspKeyPair, role: 'client' | 'gateway', more: Partial<EspChannelOptions>) {
    this.associations = new EspAssociations(crypto, keys);
    const own = parseCidr('10.77.0.50/32');
    this.channel = new EspChannel(
      {
        ...{ associations: this.associations, probe: zeroProbe(role), tunnelMtu: 1400 },
        ...(role === 'client' ? { firstProbes: 2, dpd: DPD } : { firstProbes: 0, dpd: 0, innerSources: own === undefined ? [] : [own] }),
        ...more,
      },
      clock.now,
    );
    clock.attach({
      nextTimeout: () => this.channel.nextTimeout(),
      handleTimeout: (now) => this.turn(() => this.channel.handleTimeout(now, this.sink)),
    });
  }

  turn(input: () => void): void {
    input();
    for (const bytes of this.sink.records.splice(0)) this.deliver(bytes);
  }
}

function openPair(seed = 1, conditions: Partial<LinkConditions> = {}, ofClient: Partial<EspChannelOptions> = {}) {
  const clock = new FakeClock();
  const crypto = new SeededCrypto(seed);
  const [up, down] = [newKeys(crypto), newKeys(crypto)];
  const client = new End(clock, crypto, { outbound: up, inbound: down }, 'client', ofClient);
  const gateway = new End(clock, crypto, { outbound: down, inbound: up }, 'gateway', {});
  const random = new SeededRandom(seed);
  const state = { isOpen: true };
  const link = (fork: number, to: End) => {
    const model = new LinkModel(random.fork(fork), { ...PERFECT_LINK, delay: 10, ...conditions });
    const faulty = new FaultyLink(clock, model, (bytes) => to.turn(() => to.channel.receive(bytes, clock.now, to.sink)));
    return (bytes: Uint8Array) => state.isOpen && faulty.send(bytes);
  };
  client.deliver = link(1, gateway);
  gateway.deliver = link(2, client);
  const send = (from: End, bytes: Uint8Array) => from.turn(() => from.channel.send(packetOf(bytes), clock.now, from.sink));
  return { clock, crypto, client, gateway, state, send };
}

describe('ESP on a UDP flow', () => {
  it('is up once a probe was answered, and carries packets both ways', () => {
    const { clock, client, gateway, send } = openPair();
    clock.advance(5);
    assert.equal(client.channel.state.name, 'probing');
    clock.advance(50);
    assert.deepEqual([client.channel.state.name, gateway.channel.state.name], ['up', 'up']);
    send(client, numberedPacket(1));
    send(gateway, numberedPacket(2));
    clock.advance(20);
    assert.deepEqual([gateway.sink.packets, client.sink.packets], [[numberedPacket(1)], [numberedPacket(2)]]);
  });

  it('asks a silent peer, and gives it up after twice the time', () => {
    const { clock, client, state } = openPair();
    clock.advance(60_000);
    assert.equal(client.channel.state.name, 'up');
    state.isOpen = false;
    clock.advance(DPD);
    assert.equal(client.channel.state.name, 'up');
    clock.advance(DPD + 2000);
    assert.equal(client.channel.state.name, 'dead');
  });

  it('delivers nothing that is forged, repeated, no packet, or from another’s address', () => {
    const { clock, client, gateway, send } = openPair(1, { duplication: 1 });
    clock.advance(50);
    const dropped = gateway.channel.dropped;
    const spoofed = numberedPacket(3);
    spoofed[15] = 51;
    const cut = numberedPacket(4).subarray(0, 50);
    const forged = new Uint8Array(100).fill(7);
    send(client, spoofed);
    send(client, cut);
    send(client, numberedPacket(5));
    gateway.turn(() => gateway.channel.receive(forged, clock.now, gateway.sink));
    clock.advance(50);
    assert.deepEqual(gateway.sink.packets, [numberedPacket(5)]);
    assert.equal(gateway.channel.dropped - dropped, 3 + 2 + 1);
  });

  it('answers nothing that one datagram does not hold, however long a peer makes its question', () => {
    const crypto = new SeededCrypto(1);
    const [up, down] = [newKeys(crypto), newKeys(crypto)];
    const echo: EspProbe = { request: () => assert.fail('it asks nothing'), read: (answer) => ({ answer }) };
    const associations = new EspAssociations(crypto, { outbound: down, inbound: up });
    const channel = new EspChannel({ associations, probe: echo, firstProbes: 0, dpd: 0, tunnelMtu: 1400 }, 0);
    const sender = new EspSender(crypto, up);
    const sink = new CollectingSink();
    for (const length of [16_334, 16_335, 65_000]) {
      const datagram = new Uint8Array(sender.lengthFor(length));
      sender.seal(new Uint8Array(length), 4, datagram);
      assert.ok(channel.receive(datagram, 0, sink));
    }
    assert.deepEqual([sink.records.length, channel.dropped], [1, 2]);
  });

  it('delivers what Juniper has compressed where it is told to, and nothing that is compressed wrongly', () => {
    const header = fromHex('4500007800014000400125bc0a4d00010a4d0032');
    const compressed = (change: (block: Uint8Array) => void = () => {}): Uint8Array => {
      const block = Uint8Array.of(0x21, ...header.subarray(0, 16), ...fromHex('4e00324120420000110000'));
      change(block);
      return block;
    };
    const blocks = [compressed(), compressed((block) => block.fill(0, -3)), compressed((block) => block.fill(0x65, 1, 2))];
    for (const takesLzo of [true, false]) {
      const { clock, client, gateway } = openPair(1, {}, { takesLzo });
      clock.advance(50);
      const { sender } = gateway.associations;
      for (const block of blocks) {
        const room = new Uint8Array(sender.lengthFor(block.length));
        sender.seal(block, 5, room);
        gateway.deliver(room);
      }
      clock.advance(50);
      const packets = client.sink.packets.map((bytes) => toHex(bytes));
      assert.deepEqual(packets, takesLzo ? [toHex(header) + '41'.repeat(100)] : []);
      assert.equal(client.channel.dropped, takesLzo ? 2 : 3);
    }
  });

  it('still opens what left under the keys before, and for a while only', () => {
    const { clock, crypto, client, gateway, send } = openPair(1, { delay: 2000 });
    clock.advance(10_000);
    send(client, numberedPacket(1));
    const renewed = newKeys(crypto);
    client.associations.rekey({ outbound: renewed }, clock.now);
    gateway.associations.rekey({ inbound: renewed }, clock.now);
    send(client, numberedPacket(2));
    clock.advance(3000);
    assert.deepEqual(gateway.sink.packets, [numberedPacket(1), numberedPacket(2)]);
    const late = openPair(2, { delay: 11_000 });
    late.send(late.client, numberedPacket(1));
    late.gateway.associations.rekey({ inbound: newKeys(late.crypto) }, late.clock.now);
    late.clock.advance(12_000);
    assert.deepEqual(late.gateway.sink.packets, []);
  });

  it('hands its keys and numbers to the engine, and leaves sealing to it from then on', () => {
    const { clock, client, send } = openPair();
    assert.equal(client.channel.handOver(clock.now), undefined);
    clock.advance(50);
    const traffic = client.channel.handOver(clock.now);
    assert.deepEqual([traffic?.seal.nextSequence, traffic?.open[0]?.nextSequence], [2, 2]);
    assert.equal(client.channel.handOver(clock.now), undefined);
    const unsealed: Uint8Array[] = [];
    client.deliver = (bytes) => unsealed.push(bytes);
    send(client, numberedPacket(1));
    assert.deepEqual(unsealed, [Uint8Array.of(4, ...numberedPacket(1))]);
    client.turn(() => client.channel.receive(Uint8Array.of(4, ...numberedPacket(2)), clock.now, client.sink));
    assert.deepEqual(client.sink.packets, [numberedPacket(2)]);
  });

  it('says which packets are the engine’s: of the families that go by ESP, and none that is a probe', () => {
    const exceptions = [{ family: 4 as const, bytes: [{ offset: 9, value: Uint8Array.of(1) }] }];
    const { clock, client } = openPair(1, {}, { families: [4], probe: { ...zeroProbe('client'), exceptions } });
    clock.advance(50);
    const { framing } = client.channel.handOver(clock.now) ?? assert.fail();
    assert.deepEqual(framing.sent, { ipv4: Uint8Array.of(4) });
    assert.deepEqual(framing.exceptions, exceptions);
    const families = framing.isData.values.map(({ bytes, family }) => [bytes[0], family]);
    assert.deepEqual(families, [
      [4, 4],
      [41, 6],
    ]);
  });

  it(`comes up over links that lose, repeat and mix up, and delivers nothing altered or twice, ${RUNS} times`, () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const { clock, crypto, client, gateway, send } = openPair(seed, { loss: 0.2, duplication: 0.1, jitter: 30, delay: 20 });
      for (let tries = 0; tries < 20 && client.channel.state.name !== 'up'; tries++) {
        client.turn(() => client.channel.probe(clock.now, client.sink));
        clock.advance(1000);
      }
      assert.equal(client.channel.state.name, 'up', `seed ${seed}`);
      for (let number = 0; number < 40; number++) {
        if (number === 20) {
          const renewed = newKeys(crypto);
          client.associations.rekey({ outbound: renewed }, clock.now);
          gateway.associations.rekey({ inbound: renewed }, clock.now);
        }
        send(client, numberedPacket(number));
        clock.advance(5);
      }
      clock.advance(1000);
      const numbers = gateway.sink.packets.map((bytes) => {
        const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(20);
        assert.deepEqual(bytes, numberedPacket(number), `seed ${seed}`);
        return number;
      });
      assert.equal(new Set(numbers).size, numbers.length, `seed ${seed}`);
      assert.ok(numbers.length >= 20, `seed ${seed}: ${numbers.length} of 40`);
    }
  });
});
