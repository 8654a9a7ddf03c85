import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CLIENT_ADDRESS_6, ip, seconds, TunnelPair } from './tunnel-pair.ts';
import type { PairOptions } from './tunnel-pair-options.ts';
import { established, talk, talkOf } from './tunnel-talk.ts';

/** With an IPv6 address as well. */
const WITH_IPV6: PairOptions = {
  terms: {
    linkMtu: 1500,
    config: {
      ipv4: { address: ip('10.9.0.2'), prefix: 24 },
      ipv6: { address: ip(CLIENT_ADDRESS_6), prefix: 64 },
      ...{ dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] },
    },
  },
};

/** The type and an AES-GCM record around a packet (spec 8.3). */
const OVERHEAD = 38;

const mtusOf = (pair: TunnelPair) => pair.client.events.flatMap((event) => (event.type === 'config' ? [event.config.mtu] : []));

/** A pair on a path with this MTU for UDP payloads. */
function narrowed(maxDatagram: number, options: PairOptions = {}, tellsTooBig = false): TunnelPair {
  const pair = new TunnelPair(options);
  pair.maxDatagram = maxDatagram;
  pair.tellsTooBig = tellsTooBig;
  return pair;
}

describe('The MTU of a tunnel', () => {
  it('is what the gateway says where the path carries it', () => {
    const { pair } = established({ client: { baseMtu: 1500 } });
    assert.deepEqual(mtusOf(pair), [1434]);
  });

  it('is lowered to exactly what probes show, before the first packet', () => {
    for (const mode of ['psk', 'dtls12'] as const) {
      for (const maxDatagram of [1300, 1039]) {
        for (const tellsTooBig of [false, true]) {
          const pair = narrowed(maxDatagram, { mode }, tellsTooBig);
          pair.start();
          assert.deepEqual(pair.client.ups, ['datagram']);
          assert.deepEqual(mtusOf(pair), [1340, maxDatagram - OVERHEAD]);
          pair.clock.advance(100);
          const { up } = talkOf(pair);
          for (let size = 100; size <= pair.client.mtu; size += 7) up.send(size);
          pair.clock.advance(100);
          assert.deepEqual(up.missing, []);
        }
      }
    }
  });

  it('is found too late for the first packets on a very narrow path, and told when it is', () => {
    const pair = narrowed(700);
    pair.clock.advance(seconds(4));
    assert.deepEqual(pair.client.ups, ['stream', 'datagram']);
    assert.deepEqual(mtusOf(pair), [1340, 700 - OVERHEAD]);
  });

  it('is lowered by what the system knows of the path, without a probe that cannot pass', () => {
    const pair = new TunnelPair({ pathMtu: 1300, client: { baseMtu: 1406 } });
    pair.start();
    assert.deepEqual(mtusOf(pair), [1340, 1300 - 28 - OVERHEAD]);
  });

  it('is found over a long way too, where every echo comes late', () => {
    for (const delay of [100, 300, 900]) {
      const pair = narrowed(1300, { link: { delay } });
      pair.startDatagrams(seconds(20));
      pair.clock.advance(seconds(3));
      const { up } = talkOf(pair);
      up.send(pair.client.mtu);
      pair.clock.advance(seconds(3));
      assert.deepEqual(up.missing, [], `a delay of ${delay} ms`);
      assert.ok(pair.client.mtu <= 1300 - OVERHEAD && pair.client.mtu >= 576, `${pair.client.mtu}`);
    }
  });

  it('is never below 1280 with IPv6: on a narrower path packets go by the stream', () => {
    const wide = narrowed(1280 + OVERHEAD, WITH_IPV6);
    wide.start();
    assert.equal(wide.client.mtu, 1280);
    const narrow = narrowed(1279 + OVERHEAD, WITH_IPV6);
    narrow.start();
    narrow.clock.advance(seconds(10));
    assert.deepEqual(narrow.client.ups, ['stream']);
    assert.deepEqual(mtusOf(narrow), [1340]);
    const said = talkOf(narrow);
    said.up.send(1340);
    said.down.send(1340);
    talk(said, seconds(1));
    assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
  });

  it('is never below 576: the same there', () => {
    const pair = narrowed(576 + OVERHEAD - 1);
    pair.start();
    pair.clock.advance(seconds(10));
    assert.deepEqual(pair.client.ups, ['stream']);
    assert.equal(narrowed(576 + OVERHEAD).start(), 'datagram');
  });

  it('rules datagrams out for good where the gateway’s own link leaves no room', () => {
    const gcm = new TunnelPair({ ...WITH_IPV6, client: { baseMtu: 1280 + 28 + OVERHEAD } });
    // The gateway reckons with GCM; the client speaks CBC with SHA-256 only, whose records are 40 bytes longer.
    const cbc = new TunnelPair({ ...WITH_IPV6, pskSuite: 0x00ae, client: { baseMtu: 1280 + 28 + OVERHEAD } });
    for (const [tunnel, state] of [
      [gcm, 'established'],
      [cbc, 'disabled'],
    ] as const) {
      tunnel.start();
      tunnel.clock.advance(seconds(5));
      assert.equal(tunnel.client.machine.status(tunnel.clock.now).datagram.state, state);
    }
    cbc.clock.advance(seconds(200));
    assert.equal(cbc.datagramsOpened, 1);
  });
});

describe('Packets larger than the datagram MTU', () => {
  it('go by the stream, both ways', () => {
    const pair = narrowed(900);
    pair.startDatagrams();
    const said = talkOf(pair);
    assert.equal(pair.client.mtu, 900 - OVERHEAD);
    for (const size of [863, 1000, 1340, 1500]) said.up.send(size);
    pair.clock.advance(100);
    assert.deepEqual(said.up.missing, []);
    // The gateway believes in its own MTU until its system says otherwise.
    pair.tellsTooBig = true;
    for (let round = 0; round < 5; round++) {
      for (const size of [1500, 1340, 1000, 863]) {
        said.up.send(100); // what comes by UDP has the gateway answer there
        pair.clock.advance(100);
        said.down.send(size);
        pair.clock.advance(100);
      }
    }
    assert.equal(said.down.missing.length, 3, 'one packet of each size that does not fit, and of the largest none');
  });
});

describe('A path that carries less than it did', () => {
  it('lowers the MTU when the system refuses a packet, and again when it carries even less', () => {
    const said = established();
    const { pair, up } = said;
    pair.tellsTooBig = true;
    pair.maxDatagram = 1200;
    up.send(1340);
    pair.clock.advance(seconds(2));
    assert.deepEqual(mtusOf(pair).at(-1), 1200 - OVERHEAD);
    pair.maxDatagram = 1000;
    up.send(pair.client.mtu);
    pair.clock.advance(seconds(2));
    assert.equal(pair.client.mtu, 1000 - OVERHEAD);
    const before = up.sent;
    for (let size = 100; size <= 1340; size += 10) up.send(size);
    pair.clock.advance(seconds(1));
    assert.deepEqual(
      up.missing.filter((number) => number >= before),
      [],
    );
    assert.deepEqual(pair.client.ups, ['datagram']);
    const sizes = mtusOf(pair);
    assert.deepEqual(
      sizes,
      sizes.toSorted((a, b) => b - a),
      'it is never raised',
    );
  });

  it('lowers it by probes when a router says so, who names no size', () => {
    const { pair } = established();
    pair.maxDatagram = 1200;
    const [path] = pair.clientFlows;
    pair.client.turn((machine, sink) =>
      machine.notice(path ?? assert.fail(), { type: 'too-big', length: undefined }, pair.clock.now, sink),
    );
    pair.clock.advance(seconds(2));
    assert.equal(pair.client.mtu, 1200 - OVERHEAD);
  });

  it('is left for the stream when not even the smallest packets of IP pass', () => {
    const said = established();
    const { pair, up } = said;
    pair.tellsTooBig = true;
    pair.maxDatagram = 500;
    up.send(1340);
    pair.clock.advance(seconds(2));
    up.send(1340);
    pair.clock.advance(seconds(2));
    assert.equal(pair.client.up?.kind, 'stream');
    assert.deepEqual(up.missing, [0]);
  });
});
