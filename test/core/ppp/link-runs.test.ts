/** PPP against itself: seeded runs on links that lose, double and overtake, with and without somebody who puts in what nobody sent. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../src/core/log.ts';
import { CODES } from '../../../src/core/ppp/control-packet.ts';
import {
  type Encapsulation,
  f5Encapsulation,
  fortinetEncapsulation,
  HDLC,
  type PppRole,
  RAW,
} from '../../../src/core/ppp/encapsulation.ts';
import { PPP_PROTOCOLS } from '../../../src/core/ppp/frame-header.ts';
import { FrameWriter } from '../../../src/core/ppp/frame-writer.ts';
import { MAX_ANSWERS_PER_SECOND } from '../../../src/core/ppp/limits.ts';
import { PppLink } from '../../../src/core/ppp/link.ts';
import type { ClientNetwork, GatewayNetwork } from '../../../src/core/ppp/link-options.ts';
import { parseIp, sameIp } from '../../../src/core/wire/ip-address.ts';
import { toHex } from '../../../src/core/wire/text.ts';
import { Dice } from '../../fuzz/dice.ts';
import { CollectingSink } from '../../support/collecting-sink.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import { type End, LossyLink } from '../../support/lossy-link.ts';
import { SeededCrypto } from '../../support/scripted-crypto.ts';
import { sized } from '../../support/size.ts';

const CLIENT_IPV4 = parseIp('10.0.0.2') ?? assert.fail();
const GATEWAY_IPV4 = parseIp('10.0.0.1') ?? assert.fail();
const CLIENT_IPV6 = parseIp('fd00::2') ?? assert.fail();

const MINUTE = 60_000;
const MTU = 1400;

interface Run {
  readonly pair: LayerPair<PppLink, PppLink>;
  readonly networks: { readonly client: ClientNetwork; readonly gateway: GatewayNetwork };
  readonly encapsulation: (role: PppRole) => Encapsulation;
  readonly dice: Dice;
}

function encapsulations(dice: Dice): (role: PppRole) => Encapsulation {
  return dice.pick([f5Encapsulation, fortinetEncapsulation, () => HDLC, () => RAW]);
}

function networksOf(dice: Dice): Run['networks'] {
  const gatewayHas = dice.pick(['both', 'ipv4', 'ipv6'] as const);
  const knows = dice.oneIn(2);
  const clientIpv4 = { asksServers: dice.oneIn(2), ...(knows && { address: CLIENT_IPV4 }) };
  return {
    client: { role: 'client', ipv4: clientIpv4, ipv6: dice.oneIn(2) ? { address: CLIENT_IPV6 } : {} },
    gateway: {
      role: 'gateway',
      ...(gatewayHas !== 'ipv6' && { ipv4: { own: GATEWAY_IPV4, peer: CLIENT_IPV4, dns: dice.oneIn(2) ? [GATEWAY_IPV4] : [], nbns: [] } }),
      ...(gatewayHas !== 'ipv4' && { ipv6: { peer: CLIENT_IPV6 } }),
    },
  };
}

function newRun(seed: number, loss: number): Run {
  const dice = new Dice(seed);
  const encapsulation = encapsulations(dice);
  const networks = networksOf(dice);
  const link = (role: PppRole) =>
    new PppLink({
      encapsulation: encapsulation(role),
      carrier: 'datagram',
      crypto: new SeededCrypto(seed * 2 + (role === 'client' ? 0 : 1)),
      log: silentLogger,
      mtu: MTU - dice.below(100),
      sendsMru: !dice.oneIn(4),
      network: networks[role],
    });
  const conditions = { loss, delay: dice.below(200), jitter: dice.oneIn(2) ? dice.below(300) : 0, duplication: loss };
  return { pair: new LayerPair(link('client'), link('gateway'), new LossyLink(conditions, seed)), networks, encapsulation, dice };
}

function areBoth(pair: Run['pair'], state: string): boolean {
  return pair.left.state.name === state && pair.right.state.name === state;
}

/** What both ends say fits together, and what one sends the other gets. */
function checkUp({ pair, networks }: Run): void {
  const { left, right } = pair;
  assert.ok(left.state.name === 'up' && right.state.name === 'up');
  const [client, gateway] = [left.state.terms, right.state.terms];
  assert.equal(client.ipv4 !== undefined, networks.gateway.ipv4 !== undefined);
  assert.equal(gateway.ipv4 !== undefined, networks.gateway.ipv4 !== undefined);
  assert.equal(client.ipv6 !== undefined, networks.gateway.ipv6 !== undefined);
  assert.equal(gateway.ipv6 !== undefined, networks.gateway.ipv6 !== undefined);
  if (client.ipv4 !== undefined) {
    assert.ok(sameIp(client.ipv4.local, CLIENT_IPV4));
    if (networks.client.ipv4?.asksServers === true) assert.equal(client.ipv4.dns.length, networks.gateway.ipv4?.dns.length);
  }
  if (client.ipv6 !== undefined && gateway.ipv6 !== undefined) {
    assert.equal(toHex(client.ipv6.interfaceId), toHex(CLIENT_IPV6.bytes.subarray(8)));
    assert.notEqual(toHex(gateway.ipv6.interfaceId), toHex(client.ipv6.interfaceId));
  }
  assert.ok(client.mtu <= MTU && client.mtu >= MTU - 100 && gateway.mtu <= MTU && gateway.mtu >= MTU - 100);
}

function packet(family: 4 | 6, length: number, dice: Dice): Uint8Array {
  const bytes = dice.bytes(length);
  bytes[0] = family === 4 ? 0x45 : 0x60;
  bytes[2] = length >>> 8;
  bytes[3] = length;
  if (family === 6) {
    bytes[4] = (length - 40) >>> 8;
    bytes[5] = length - 40;
  }
  return bytes;
}

function exchangePackets(run: Run): void {
  const { pair, networks, dice } = run;
  const family = networks.gateway.ipv4 === undefined ? 6 : 4;
  for (const [from, to] of [
    ['left', 'right'],
    ['right', 'left'],
  ] as const) {
    const sent = Array.from({ length: 5 }, () => packet(family, 40 + dice.below(MTU - 140), dice));
    for (const bytes of sent) pair.send(from, bytes);
    pair.settle(pair.now + 1000);
    const texts = new Set(sent.map(toHex));
    for (const got of pair.sinks[to].packets.splice(0)) assert.ok(texts.has(toHex(got)), 'a packet that nobody sent');
  }
}

function forSeeds(count: number, each: (seed: number) => void): void {
  for (let seed = 1; seed <= count; seed++) {
    try {
      each(seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
}

/** What somebody on the way could put in, were there no TLS: mutations, control packets out of place, floods, and noise. */
class Stranger {
  readonly #run: Run;
  readonly #seen: { readonly to: End; readonly bytes: Uint8Array }[] = [];

  constructor(run: Run) {
    this.#run = run;
  }

  speak(): void {
    const { pair, dice } = this.#run;
    const to = dice.pick(['left', 'right'] as const);
    const layer = to === 'left' ? pair.left : pair.right;
    for (const bytes of this.#words(to)) layer.receive(bytes, pair.now, pair.sinks[to]);
  }

  #words(to: End): Uint8Array[] {
    const { dice } = this.#run;
    const seen = dice.pickOf(this.#seen);
    switch (dice.below(4)) {
      case 0:
        return [dice.bytes(dice.size(200))];
      case 1:
        return dice.times(1 + dice.size(50), () => this.#control(to));
      case 2:
        return seen === undefined ? [] : [seen.bytes];
      default: {
        const bytes = this.#control(to);
        this.#seen.push({ to, bytes });
        const mutated = bytes.slice(0, 1 + dice.below(bytes.length));
        mutated[dice.below(mutated.length)] = dice.below(256);
        return [mutated];
      }
    }
  }

  /** Never what legally ends a link at once: a Terminate-Request, a rejection of LCP or of what is basic. */
  #control(to: End): Uint8Array {
    const { dice, encapsulation } = this.#run;
    const sink = new CollectingSink();
    const code = dice.pick([1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 200]);
    const body = code <= 4 ? this.#options() : code === CODES.protocolReject ? Uint8Array.of(0x80, 0xfd) : dice.bytes(dice.size(80));
    const protocol = dice.pick([PPP_PROTOCOLS.lcp, PPP_PROTOCOLS.ipcp, PPP_PROTOCOLS.ip6cp, 0x80fd, 0xc023, 0x0021, 0x0057]);
    const bytes = Uint8Array.from([code, dice.below(8), 0, 4 + body.length, ...body]);
    new FrameWriter(encapsulation(to === 'left' ? 'gateway' : 'client')).writeControl(protocol, bytes, sink);
    return sink.records[0] ?? assert.fail();
  }

  #options(): Uint8Array {
    const { dice } = this.#run;
    const options = dice.times(dice.below(5), () => {
      const value = dice.bytes(dice.pick([0, 2, 4, 4, 8]));
      return [dice.pick([1, 2, 3, 5, 7, 8, 129, 130, 99]), dice.oneIn(10) ? dice.below(256) : 2 + value.length, ...value];
    });
    return Uint8Array.from(options.flat());
  }
}

describe('PPP against itself', () => {
  it('comes to the same terms at both ends, over links that lose, double and overtake', () => {
    const count = sized(120, 5000);
    let stopped = 0;
    forSeeds(count, (seed) => {
      const run = newRun(seed, (seed % 4) * 0.1);
      const { pair } = run;
      assert.ok(pair.run(() => areBoth(pair, 'up'), 5 * MINUTE) || areStopped(run), `${pair.left.state.name}, ${pair.right.state.name}`);
      if (!areBoth(pair, 'up')) {
        stopped++;
        return;
      }
      pair.settle(pair.now + 10_000); // what is still under way changes nothing
      if (!areBoth(pair, 'up')) assert.ok(pair.run(() => areBoth(pair, 'up'), pair.now + MINUTE));
      if (hasGivenUpFamily(run)) {
        stopped++;
        return;
      }
      checkUp(run);
      exchangePackets(run);
      pair.close(run.dice.pick(['left', 'right'] as const));
      pair.settle(pair.now + MINUTE);
      assert.ok([pair.left, pair.right].some(({ state }) => state.name === 'closed'));
    });
    assert.ok(stopped <= count / 50, `${stopped} of ${count} links were given up`);
  });

  it('throws nothing, answers a flood only so often, and ends or recovers, whatever is put in', () => {
    forSeeds(sized(120, 5000), (seed) => {
      const run = newRun(1_000_000 + seed, 0.05);
      const { pair, dice } = run;
      const stranger = new Stranger(run);
      for (let i = 0; i < 60; i++) {
        pair.settle(pair.now + dice.below(400));
        const before = [pair.sinks.left.records.length, pair.sinks.right.records.length];
        stranger.speak();
        const said = pair.sinks.left.records.length + pair.sinks.right.records.length - (before[0] ?? 0) - (before[1] ?? 0);
        // Each answer may be followed by requests of our own of all three protocols.
        assert.ok(said <= 4 * (MAX_ANSWERS_PER_SECOND + 16), `${said} packets at once`);
      }
      pair.settle(pair.now + 3 * MINUTE);
      for (const { state } of [pair.left, pair.right]) assert.ok(state.name === 'up' || state.name === 'closed', state.name);
      for (const end of ['left', 'right'] as const) assert.ok(pair.sinks[end].packets.every((bytes) => bytes.length >= 20));
    });
  });
});

/** A link this bad may be given up: then it says why. */
function areStopped({ pair }: Run): boolean {
  return [pair.left, pair.right].some(({ state }) => state.name === 'closed' && state.reason.message !== '');
}

/** Ten requests in a row may be lost, too, on the worst of links: then both ends go on without the family. */
function hasGivenUpFamily({ pair, networks }: Run): boolean {
  const { left, right } = pair;
  assert.ok(left.state.name === 'up' && right.state.name === 'up');
  const [client, gateway] = [left.state.terms, right.state.terms];
  return (['ipv4', 'ipv6'] as const).some(
    (family) => networks.gateway[family] !== undefined && client[family] === undefined && gateway[family] === undefined,
  );
}
