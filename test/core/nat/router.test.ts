/** Packets of one client for another. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { IpPacket } from '../../../src/core/ip/ip-packet.ts';
import { udpPacket } from '../../../src/core/ip/udp.ts';
import type { AccessRules } from '../../../src/core/nat/access-rules.ts';
import { DEFAULT_NAT_LIMITS } from '../../../src/core/nat/limits.ts';
import { NatRouter, type Route } from '../../../src/core/nat/router.ts';
import { NatSessions } from '../../../src/core/nat/sessions.ts';
import { type Packet, packetOf } from '../../../src/core/tunnel/packet.ts';
import { ipOf } from '../ip/stack-pair.ts';
import { cidrOf, OWN, OWN6 } from './nat-pair.ts';

const HTTPS_ONLY: AccessRules = {
  ...{ dns: [], routes: [], noRoutes: [], restrictsToRoutes: false },
  restrictsToPorts: { isNegated: false, ports: [{ protocol: 'udp', port: 443 }] },
};

function routerOf(clients: readonly (readonly [network: string, rules?: AccessRules])[]): NatRouter {
  const sessions = new NatSessions(DEFAULT_NAT_LIMITS);
  for (const [network, rules] of clients) sessions.enter([cidrOf(network)], { session: network, ...(rules !== undefined && { rules }) });
  const router = new NatRouter(sessions, new Uint8Array(16));
  router.configure([OWN, OWN6], [cidrOf('10.77.0.0/24'), cidrOf('fd77::/64')]);
  return router;
}

function routeOf(router: NatRouter, { buffer, start, end }: Packet, now: number): Route {
  return router.route(buffer, start, end, now);
}

function pass(router: NatRouter, { buffer, start, end }: Packet, now: number): void {
  router.passing(buffer, start, end, now);
}

function datagram(from: string, fromPort: number, to: string, toPort: number): Packet {
  return packetOf(udpPacket({ address: ipOf(from), port: fromPort }, { address: ipOf(to), port: toPort }, Uint8Array.of(1, 2, 3)));
}

describe('the way of a client’s packet', () => {
  it('is the stack’s for us and for the world, and another client’s for its address, its networks and all of the pools', () => {
    const router = routerOf([['10.77.0.2/32'], ['10.77.0.3/32'], ['192.168.7.0/24'], ['fd77::2/128']]);
    const routeTo = (to: string) => routeOf(router, datagram(to.includes(':') ? 'fd77::2' : '10.77.0.2', 1, to, 2), 0);
    for (const to of ['10.77.0.1', 'fd77::1', '192.0.2.1', '10.78.0.1', '2001:db8::1']) assert.equal(routeTo(to), 'stack', to);
    for (const to of ['10.77.0.3', '192.168.7.200', '10.77.0.99', 'fd77::abcd']) assert.equal(routeTo(to), 'peer', to);
  });

  for (const [from, to] of [
    ['10.77.0.2', '10.77.0.3'],
    ['fd77::2', 'fd77::3'],
  ] as const) {
    it(`costs it one hop, with a checksum that is right, and ends with the last: ${from}`, () => {
      const router = routerOf([[`${from}/${from.includes(':') ? 128 : 32}`], [`${to}/${to.includes(':') ? 128 : 32}`]]);
      const packet = datagram(from, 1, to, 2);
      const parsed = new IpPacket();
      parsed.parse(packet.buffer, packet.start, packet.end);
      for (let left = parsed.hopLimit; left > 1; left--) {
        assert.equal(routeOf(router, packet, 0), 'peer');
        assert.equal(parsed.parse(packet.buffer, packet.start, packet.end), undefined, 'the checksum');
        assert.equal(parsed.hopLimit, left - 1);
      }
      assert.equal(routeOf(router, packet, 0), 'hop-limit');
    });
  }

  it('is closed to a restricted client, but for what it may reach and whom it answers', () => {
    const router = routerOf([['10.77.0.2/32', HTTPS_ONLY], ['10.77.0.3/32']]);
    assert.equal(routeOf(router, datagram('10.77.0.2', 500, '10.77.0.3', 443), 0), 'peer');
    assert.equal(routeOf(router, datagram('10.77.0.2', 500, '10.77.0.3', 80), 0), 'restricted');
    assert.equal(router.dropped.restricted, 1);
    const question = datagram('10.77.0.3', 80, '10.77.0.2', 500);
    assert.equal(routeOf(router, question, 0), 'peer');
    pass(router, question, 0);
    assert.equal(routeOf(router, datagram('10.77.0.2', 500, '10.77.0.3', 80), 10), 'peer', 'an answer');
    assert.equal(routeOf(router, datagram('10.77.0.2', 501, '10.77.0.3', 80), 10), 'restricted', 'from another port');
    assert.equal(routeOf(router, datagram('10.77.0.2', 500, '10.77.0.4', 80), 10), 'restricted', 'to another client');
    assert.equal(routeOf(router, datagram('10.77.0.2', 500, '10.77.0.3', 80), 400_000), 'restricted', 'too late');
  });

  it('keeps a bounded memory of whom to answer', () => {
    const router = routerOf([['10.77.0.2/32', HTTPS_ONLY], ['10.77.0.0/16']]);
    for (let port = 1; port <= 20_000; port++) pass(router, datagram('10.77.1.1', 80, '10.77.0.2', port), 0);
    const isAnswered = (port: number) => routeOf(router, datagram('10.77.0.2', port, '10.77.1.1', 80), 1) === 'peer';
    let answered = 0;
    for (let port = 1; port <= 20_000; port++) if (isAnswered(port)) answered++;
    assert.ok(answered <= 4_096 && answered > 4_000, `${answered}`);
  });
});
