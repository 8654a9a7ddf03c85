/** Array's tunnel against itself: both ends in memory, over a stream that comes in pieces and may break. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Credential } from '../../../../src/core/auth/login-io.ts';
import type { HttpRequest } from '../../../../src/core/http/message.ts';
import { headerValue } from '../../../../src/core/http/message.ts';
import { silentLogger } from '../../../../src/core/log.ts';
import { ArrayClient } from '../../../../src/core/protocols/array/client.ts';
import { ArrayGatewayTunnel } from '../../../../src/core/protocols/array/gateway-tunnel.ts';
import type { ProtocolSettings } from '../../../../src/core/protocols/client-protocol.ts';
import { Secret } from '../../../../src/core/secret.ts';
import type { TunnelConfig } from '../../../../src/core/tunnel/config.ts';
import type { SessionTerms } from '../../../../src/core/tunnel/session-terms.ts';
import { formatIp } from '../../../../src/core/wire/ip-address.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo } from '../../../support/played-io.ts';
import { PAIR_TERMS, type PairOptions, PppTunnelPair } from '../../../support/ppp-tunnel-pair.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { sized } from '../../../support/size.ts';
import { numberedPacket, packetDown } from './numbered-packets.ts';

const RUNS = sized(30, 10_000);
const CREDENTIAL: Credential = {
  gateway: { host: 'vpn.example', port: 443, path: '/' },
  pin: '',
  cookie: new Secret('ANsession1=abc; other=x'),
};

interface ArrayPairOptions extends PairOptions {
  readonly previous?: TunnelConfig;
  readonly settings?: Partial<ProtocolSettings>;
  readonly terms?: Partial<SessionTerms>;
}

async function open({ previous, settings, terms, ...options }: ArrayPairOptions = {}) {
  const client = new ArrayClient({
    ...{ crypto: new SeededCrypto(options.seed ?? 1), log: silentLogger, client: CLIENT, usesXml: true, httpAuth: [], compression: 'none' },
    ...{ wantsIpv6: true, usesDatagrams: true, datagramCiphers: { allowsLegacy: false }, ...settings },
  });
  const requests: HttpRequest[] = [];
  const serve = (request: HttpRequest) => {
    requests.push(request);
    return new ArrayGatewayTunnel({ log: silentLogger, terms: { ...PAIR_TERMS, ...terms } });
  };
  const pair = new PppTunnelPair({ client: await client.open(new PlayedIo([]), CREDENTIAL, previous), serve }, options);
  return { pair, requests, client };
}

describe("Array's tunnel, against itself", () => {
  it('is up by the stream, with what the gateway says, of IPv4 alone', async () => {
    const { pair, requests } = await open();
    assert.equal(pair.start(5000), 'stream');
    const config = pair.client.events.find((event) => event.type === 'config')?.config;
    assert.deepEqual([config?.ipv4 && formatIp(config.ipv4.address), config?.ipv4?.prefix], ['10.77.0.50', 24]);
    assert.deepEqual([config?.ipv6, config?.mtu], [undefined, 1400]);
    assert.equal(headerValue(requests[0]?.headers ?? [], 'Cookie'), 'ANsession1=abc; other=x');
    pair.client.send(numberedPacket(1));
    pair.gateway?.send(packetDown(2));
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [numberedPacket(1)]);
    assert.deepEqual(pair.client.delivered, [packetDown(2)]);
  });

  it('has the same id in each of its requests, and another after a log-in', async () => {
    const { client, requests, pair } = await open();
    pair.start(5000);
    const ids: (string | undefined)[] = [headerValue(requests[0]?.headers ?? [], 'clientid')];
    const again = new PppTunnelPair(
      {
        client: await client.open(new PlayedIo([]), CREDENTIAL, undefined),
        serve: (request) => {
          ids.push(headerValue(request.headers, 'clientid'));
          return new ArrayGatewayTunnel({ log: silentLogger, terms: PAIR_TERMS });
        },
      },
      {},
    );
    again.start(5000);
    assert.match(ids[0] ?? '', /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/);
    assert.equal(ids[0], ids[1]);
  });

  it('stays where the administrator has turned dead-peer detection off', async () => {
    const { pair } = await open({ terms: { times: { dpd: 0 } } });
    pair.start(5000);
    pair.clock.advance(600_000);
    assert.deepEqual([pair.client.closed, pair.gateway?.closed], [undefined, undefined]);
  });

  it('stays, whoever is silent, for as long as the other side answers', async () => {
    const { pair } = await open();
    pair.start(5000);
    pair.clock.advance(600_000);
    for (let second = 0; second < 120; second++) {
      pair.gateway?.send(packetDown(second));
      pair.clock.advance(1000);
    }
    assert.deepEqual([pair.client.closed, pair.gateway?.closed, pair.client.delivered.length], [undefined, undefined, 120]);
  });

  it('is lost at both ends when the stream breaks', async () => {
    const { pair } = await open();
    pair.start(5000);
    pair.breakStream();
    assert.deepEqual([pair.client.closed?.kind, pair.gateway?.closed?.kind], ['path-lost', 'path-lost']);
  });

  it('is lost to a client whose gateway says nothing any more, and to a gateway whose client does', async () => {
    const { pair } = await open();
    pair.start(5000);
    pair.gateway?.turn((machine, sink) => machine.close({ kind: 'replaced', message: 'over' }, pair.clock.now, sink));
    pair.clock.runUntil(() => pair.client.closed !== undefined, 60_000);
    assert.equal(pair.client.closed?.kind, 'path-lost');
    const { pair: other } = await open();
    other.start(5000);
    other.client.turn((machine, sink) => machine.close({ kind: 'detach', message: 'over' }, other.clock.now, sink));
    other.clock.runUntil(() => other.gateway?.closed !== undefined, 60_000);
    assert.equal(other.gateway?.closed?.kind, 'path-lost');
  });

  it('is refused with what the gateway says by HTTP', async () => {
    const denial = (status: number) =>
      ({ version: '1.1', status, reason: 'No', headers: [['Content-Length', '0']], body: new Uint8Array(0) }) as const;
    for (const status of [401, 302, 500]) {
      const { pair } = await open({ denial: denial(status) });
      pair.clock.runUntil(() => pair.client.closed !== undefined, 5000);
      assert.equal(pair.client.closed?.kind, 'unusable');
    }
  });

  it('is asked for again after a no, and not after two', async () => {
    const { pair, client } = await open();
    pair.start(5000);
    const kinds: (string | undefined)[] = [];
    for (let i = 0; i < 2; i++) {
      const denied = { version: '1.1', status: 401, reason: 'No', headers: [['Content-Length', '0']], body: new Uint8Array(0) } as const;
      const again = new PppTunnelPair(
        { client: await client.open(new PlayedIo([]), CREDENTIAL, undefined), serve: () => assert.fail('it is denied') },
        { denial: denied },
      );
      again.clock.runUntil(() => again.client.closed !== undefined, 5000);
      kinds.push(again.client.closed?.kind);
    }
    assert.deepEqual(kinds, ['path-lost', 'refused']);
  });

  it('ends a session whose address has changed', async () => {
    const { pair: first } = await open();
    first.start(5000);
    const config = first.client.events.find((event) => event.type === 'config')?.config ?? assert.fail();
    const same = await open({ previous: config });
    assert.equal(same.pair.start(5000), 'stream');
    const other = { ...config, ipv4: { address: { family: 4, bytes: Uint8Array.of(10, 77, 0, 51) } as const, prefix: 24 } };
    const { pair } = await open({ previous: other });
    pair.clock.runUntil(() => pair.client.closed !== undefined, 5000);
    assert.equal(pair.client.closed?.kind, 'refused');
  });

  it('lets no packet through that is not the client’s own, nor one of IPv6', async () => {
    const { pair } = await open();
    pair.start(5000);
    const spoofed = numberedPacket(3);
    spoofed[15] = 51;
    const ipv6 = new Uint8Array(40);
    ipv6.set([0x60]);
    ipv6.set(PAIR_TERMS.config.ipv6?.address.bytes ?? [], 8);
    for (const bytes of [spoofed, ipv6, numberedPacket(4)]) pair.client.send(bytes);
    pair.clock.advance(100);
    assert.deepEqual(pair.gateway?.delivered, [numberedPacket(4)]);
  });

  it('cuts what is larger than the tunnel, or tells its sender', async () => {
    const { pair } = await open();
    pair.start(5000);
    const large = numberedPacket(5, { length: 1500, isDown: true });
    pair.gateway?.send(large);
    pair.clock.advance(100);
    assert.equal(pair.client.delivered.length, 2);
    assert.ok(pair.client.delivered.every(({ length }) => length <= 1400));
    const uncut = large.slice();
    uncut[6] = 0x40;
    pair.gateway?.send(uncut);
    pair.clock.advance(100);
    assert.equal(pair.client.delivered.length, 2);
    assert.deepEqual([pair.gateway?.delivered[0]?.[9], pair.gateway?.delivered[0]?.[20]], [1, 3], 'ICMP: too big');
  });

  it(`delivers everything, in order and unaltered, ${RUNS} times, in whatever pieces it comes`, async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const { pair } = await open({ seed });
      pair.start(10_000);
      const up = Array.from({ length: 12 }, (_, number) => numberedPacket(number, { length: 60 + ((number * 137 + seed) % 1300) }));
      const down = up.map(({ length }, number) => numberedPacket(number, { length, isDown: true }));
      for (const [i, bytes] of up.entries()) {
        pair.client.send(bytes);
        pair.gateway?.send(down[i] ?? assert.fail());
        if (seed % 2 === 0) pair.clock.advance(5);
      }
      pair.clock.advance(1000);
      assert.deepEqual(pair.gateway?.delivered, up, `seed ${seed}`);
      assert.deepEqual(pair.client.delivered, down, `seed ${seed}`);
      if (seed % 3 === 0) pair.breakStream();
      assert.equal(pair.client.closed?.kind, seed % 3 === 0 ? 'path-lost' : undefined);
    }
  });
});
