/** The NAT against a client's stack: what becomes of connections and datagrams, on a fake clock. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import type { TcpConnection } from '../../../src/core/ip/tcp/connection.ts';
import type { TcpError } from '../../../src/core/ip/tcp/control-block.ts';
import type { OuterFailure } from '../../../src/core/nat/nat.ts';
import { formatEndpoint } from '../../../src/core/wire/ip-address.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { ipOf } from '../ip/stack-pair.ts';
import { CLIENT, cidrOf, NatPair, NETWORKS, OWN } from './nat-pair.ts';

/** Moves all bytes from one connection to another's reader, and says their hash. */
function transfer(pair: NatPair, from: TcpConnection, to: TcpConnection, bytes: Uint8Array): string {
  const hash = createHash('sha256');
  let at = 0;
  let got = 0;
  const step = () => {
    at += from.write(bytes, at);
    for (let chunk = to.read(); chunk !== undefined; chunk = to.read()) {
      hash.update(chunk);
      got += chunk.length;
    }
    pair.pump();
    return got === bytes.length;
  };
  pair.runUntil(step, 600_000);
  return hash.digest('hex');
}

const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('TCP through the NAT', () => {
  it('answers a client when the host outside has answered, and not before', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    pair.advance(500);
    assert.equal(socket.isMade, false);
    assert.deepEqual(
      pair.outside.dials.map(({ client, targets }) => [client.address, targets.map(formatEndpoint)]),
      [[CLIENT, ['192.0.2.80:80']]],
    );
    const inner = pair.accept();
    pair.runUntil(() => socket.isMade && inner.isMade);
    assert.equal(formatEndpoint(inner.local), '192.0.2.80:80');
  });

  it('dials once, however often the SYN comes', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    pair.advance(10_000); // the client sends its SYN again at 1, 3 and 7 seconds
    assert.equal(pair.outside.dials.length, 1);
    pair.accept();
    pair.runUntil(() => socket.isMade);
    assert.equal(pair.nat.counters.tcpDialed, 1);
  });

  for (const family of ['192.0.2.80', '2001:db8::80']) {
    it(`carries bytes both ways and half-closes, over a link that loses packets, to ${family}`, () => {
      const pair = new NatPair({ link: { loss: 0.02, delay: 10 } }, 7);
      const socket = pair.connect(family, 80);
      pair.runUntil(() => pair.outside.dials.length > 0);
      const inner = pair.accept();
      pair.runUntil(() => socket.isMade);
      const random = new SeededRandom(3);
      const up = Uint8Array.from({ length: 300_000 }, () => random.uint32());
      const down = Uint8Array.from({ length: 300_000 }, () => random.uint32());
      assert.equal(transfer(pair, socket, inner, up), hashOf(up));
      socket.end();
      pair.runUntil(() => inner.hasEnded);
      assert.equal(transfer(pair, inner, socket, down), hashOf(down), 'the other side is still open');
      inner.end();
      pair.runUntil(() => socket.hasEnded);
    });
  }

  const ANSWERS: readonly (readonly [OuterFailure, TcpError])[] = [
    ['refused', 'refused'],
    ['host-unreachable', 'host-unreachable'],
    ['network-unreachable', 'network-unreachable'],
    ['prohibited', 'host-unreachable'],
    ['timed-out', 'host-unreachable'],
  ];
  for (const [outer, inner] of ANSWERS) {
    it(`says at once that the outside was ${outer}`, () => {
      for (const host of ['192.0.2.80', '2001:db8::80']) {
        const pair = new NatPair();
        const socket = pair.connect(host, 80);
        pair.refuse(outer);
        pair.advance(0);
        assert.equal(socket.error, inner);
        assert.equal(pair.nat.flows, 0);
      }
    });
  }

  it('forgets a client that has left while the outside was dialed', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    socket.abort();
    const inner = pair.accept(); // nobody can know it before the answer
    pair.advance(10);
    assert.equal(inner.error, 'refused', 'the answer was reset');
  });

  it('holds back what the outer host sends while the client does not read', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    const inner = pair.accept();
    pair.runUntil(() => socket.isMade);
    const chunk = new Uint8Array(65_536);
    let taken = 0;
    for (let i = 0; i < 1_000; i++) {
      taken += inner.write(chunk);
      pair.advance(20);
    }
    assert.ok(taken < 16 * 1024 * 1024, `${taken} bytes were taken of 64 MB`);
    let read = 0;
    for (let bytes = socket.read(); bytes !== undefined; bytes = socket.read()) read += bytes.length;
    pair.advance(1_000);
    assert.ok(read > 0 && inner.write(chunk) > 0, 'it goes on when the client reads');
  });

  it('closes all flows of a session that ends, and refuses what comes of it later', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    pair.accept();
    pair.runUntil(() => socket.isMade);
    pair.connect('192.0.2.81', 80);
    pair.nat.leave(NETWORKS);
    assert.equal(pair.outside.closed.length, 2);
    assert.equal(pair.nat.flows, 0);
    pair.connect('192.0.2.82', 80);
    assert.equal(pair.nat.counters.strangers, 1);
    assert.equal(pair.outside.dials.length, 1, 'the one that was under way');
  });
});

describe('UDP through the NAT', () => {
  function udp(pair: NatPair) {
    const socket = pair.client.stack.openUdp(4);
    const send = (host: string, port: number, text: string) => {
      socket.send(Buffer.from(text), { address: ipOf(host), port });
      pair.pump();
    };
    return { socket, send };
  }

  it('has a flow for each pair of ends, and answers come from where they were asked', () => {
    const pair = new NatPair();
    const { socket, send } = udp(pair);
    send('192.0.2.1', 9000, 'one');
    send('192.0.2.1', 9000, 'two');
    send('192.0.2.1', 9001, 'three');
    assert.deepEqual(
      pair.outside.sent.map(({ flow, bytes }) => [flow.to.port, Buffer.from(bytes).toString()]),
      [
        [9000, 'one'],
        [9000, 'two'],
        [9001, 'three'],
      ],
    );
    assert.equal(pair.outside.opened.length, 2);
    const [flow] = pair.outside.opened;
    assert.ok(flow);
    pair.nat.datagramCame(flow, Buffer.from('answer'), pair.clock.now);
    pair.pump();
    const got = socket.receive();
    assert.ok(got);
    assert.equal(`${Buffer.from(got.bytes).toString()} of ${formatEndpoint(got.from)}`, 'answer of 192.0.2.1:9000');
  });

  it('tells the client that nobody listens outside', () => {
    const pair = new NatPair();
    const { socket, send } = udp(pair);
    send('192.0.2.1', 9000, 'hello');
    const [flow] = pair.outside.opened;
    assert.ok(flow);
    pair.nat.datagramFailed(flow, 'refused', pair.clock.now);
    pair.pump();
    assert.equal(socket.takeError()?.error, 'port-unreachable');
  });

  it('ends a flow that was idle for its time, of a name server sooner', () => {
    const pair = new NatPair();
    const { send } = udp(pair);
    send('192.0.2.1', 9000, 'hello');
    send('192.0.2.1', 53, 'name?');
    pair.advance(21_000);
    assert.deepEqual(
      pair.outside.closed.map(({ to }) => to.port),
      [53],
    );
    pair.advance(200_000);
    send('192.0.2.1', 9000, 'again');
    pair.advance(200_000);
    assert.equal(pair.nat.flows, 1, 'it was used meanwhile');
    pair.advance(110_000);
    assert.equal(pair.nat.flows, 0);
  });

  it('makes room for a new flow by ending the one that was used the longest ago', () => {
    const pair = new NatPair({ limits: { flowsPerSession: 3 } });
    const { send } = udp(pair);
    for (const port of [1, 2, 3]) {
      send('192.0.2.1', port, 'x');
      pair.advance(2_000);
    }
    send('192.0.2.1', 1, 'used again');
    send('192.0.2.1', 4, 'new');
    assert.deepEqual(
      pair.outside.closed.map(({ to }) => to.port),
      [2],
    );
  });

  it('ends none for a flow that may not be opened now', () => {
    const pair = new NatPair({ limits: { flowsPerSession: 2, newFlowsPerSecond: 1 } });
    const { send } = udp(pair);
    for (const port of [1, 2, 3]) send('192.0.2.1', port, 'x');
    assert.deepEqual([pair.nat.flows, pair.outside.closed.length, pair.nat.counters.limited], [2, 0, 1]);
  });

  it('carries datagrams of any size, in fragments where they do not fit', () => {
    const pair = new NatPair();
    const { socket, send } = udp(pair);
    send('192.0.2.1', 9000, 'x'.repeat(9_000));
    assert.equal(pair.outside.sent[0]?.bytes.length, 9_000);
    const [flow] = pair.outside.opened;
    assert.ok(flow);
    pair.nat.datagramCame(flow, new Uint8Array(8_000), pair.clock.now);
    pair.pump();
    assert.equal(socket.receive()?.bytes.length, 8_000);
  });
});

describe('limits of the NAT', () => {
  it('refuses more connections than a session may have, until some have ended', () => {
    const pair = new NatPair({ limits: { flowsPerSession: 2 } });
    const first = pair.connect('192.0.2.80', 80);
    pair.connect('192.0.2.80', 81);
    const third = pair.connect('192.0.2.80', 82);
    assert.equal(pair.outside.dials.length, 2);
    pair.refuse('refused');
    assert.equal(first.error, 'refused');
    pair.advance(1_100); // the third sends its SYN again
    assert.equal(pair.outside.dials.length, 2);
    assert.equal(third.error, undefined);
  });

  it('holds a session to its rate of new flows', () => {
    const pair = new NatPair({ limits: { newFlowsPerSecond: 10 } });
    for (let port = 1; port <= 100; port++) pair.connect('192.0.2.80', port);
    assert.equal(pair.outside.dials.length, 20);
    assert.equal(pair.nat.counters.limited, 80);
    pair.advance(60_000);
    assert.equal(pair.outside.dials.length, 100, 'clients try again');
  });

  it('has no more flows than its process has sockets for', () => {
    const pair = new NatPair({ limits: { flows: 5 } });
    for (let port = 1; port <= 10; port++) pair.connect('192.0.2.80', port);
    assert.equal(pair.outside.dials.length, 5);
  });
});

describe('ping to the NAT', () => {
  it('is answered by the gateway itself and prohibited to all others', () => {
    const pair = new NatPair();
    const own = pair.client.stack.openEcho(OWN);
    own.send(1, new Uint8Array(56));
    pair.pump();
    assert.ok(own.receive());
    const other = pair.client.stack.openEcho(ipOf('192.0.2.80'));
    other.send(1, new Uint8Array(56));
    pair.pump();
    assert.deepEqual(other.receive(), { error: 'host-unreachable', sequence: 1 });
  });
});

describe('what a session may reach through the NAT', () => {
  it('is held to its routes and ports, and told so as by a packet filter', () => {
    const pair = new NatPair({
      rules: {
        ...{ dns: [ipOf('192.0.2.53')], routes: [cidrOf('192.0.2.0/24')], noRoutes: [cidrOf('192.0.2.66/32')], restrictsToRoutes: true },
        restrictsToPorts: { isNegated: false, ports: [{ protocol: 'tcp', port: 443 }] },
      },
    });
    const errorOf = (host: string, port: number) => {
      const { length } = pair.outside.dials;
      const socket = pair.connect(host, port);
      return pair.outside.dials.length > length ? 'dialed' : socket.error;
    };
    assert.equal(errorOf('192.0.2.80', 443), 'dialed');
    assert.equal(errorOf('192.0.2.53', 53), 'dialed');
    assert.equal(errorOf('192.0.2.80', 80), 'refused');
    assert.equal(errorOf('192.0.2.66', 443), 'refused');
    assert.equal(errorOf('198.51.100.1', 443), 'refused');
  });

  it('is never this host, whose services trust the loopback address, nor what is link-local', () => {
    const pair = new NatPair({ world: { isOwnHost: (address) => address.bytes[0] === 198 } });
    for (const host of ['169.254.169.254', '198.51.100.7', 'fe80::1', '::ffff:127.0.0.1', '255.255.255.255']) {
      try {
        pair.connect(host, 80);
      } catch {
        // the client's own stack knows that there is no way
      }
    }
    assert.equal(pair.outside.dials.length, 0);
  });
});
