/** What becomes of a session's flows when its client has lost its tunnel, and when others get its addresses; on a fake clock. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatEndpoint } from '../../../src/core/wire/ip-address.ts';
import { ipOf } from '../ip/stack-pair.ts';
import { cidrOf, NatPair, NETWORKS } from './nat-pair.ts';

/** How long a client may be without a tunnel. */
const RESUME_TIME = 300_000;

describe('a client that has lost its tunnel', () => {
  function made() {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    const inner = pair.accept();
    pair.runUntil(() => socket.isMade && inner.isMade);
    pair.nat.rest(NETWORKS, pair.clock.now + RESUME_TIME);
    return { pair, socket, inner };
  }

  it('finds its flows again, as the same session, for as long as it may come back', () => {
    const { pair, socket, inner } = made();
    pair.advance(RESUME_TIME - 1);
    pair.nat.enter(NETWORKS, { session: 'one' });
    pair.advance(120_000);
    assert.equal(pair.nat.flows, 1);
    socket.write(Buffer.from('still there'));
    pair.pump();
    assert.equal(inner.readable, 11);
  });

  it('has lost them after a while, and nobody else gets them with its address', () => {
    const { pair } = made();
    pair.advance(RESUME_TIME);
    assert.equal(pair.nat.flows, 0);
    const other = made();
    other.pair.nat.enter(NETWORKS, { session: 'two' });
    assert.equal(other.pair.nat.flows, 0);
    const changed = made();
    changed.pair.nat.enter(NETWORKS, {
      session: 'one',
      rules: { dns: [], routes: [], noRoutes: [], restrictsToRoutes: true },
    });
    assert.equal(changed.pair.nat.flows, 0, 'what it may reach is another matter now');
  });
});

describe('the flows of a client that may come back', () => {
  it('are over when its session is', () => {
    const pair = new NatPair();
    pair.connect('192.0.2.80', 80);
    pair.nat.rest(NETWORKS, pair.clock.now + RESUME_TIME);
    pair.nat.forget('two');
    assert.equal(pair.nat.flows, 1);
    pair.nat.forget('one');
    pair.nat.forget('one');
    assert.deepEqual([pair.nat.flows, pair.outside.closed.length], [0, 1]);
  });

  it('are over when they have been idle for too long, UDP not before two minutes (RFC 4787, REQ-5)', () => {
    const pair = new NatPair();
    pair.client.stack.openUdp(4).send(Buffer.from('?'), { address: ipOf('192.0.2.80'), port: 7 });
    pair.pump();
    pair.nat.rest(NETWORKS, pair.clock.now + 10 * RESUME_TIME);
    pair.advance(120_000);
    assert.equal(pair.nat.flows, 1);
    pair.advance(180_001);
    assert.equal(pair.nat.flows, 0);
  });

  it('make room for those who are here, and for nobody else', () => {
    const pair = new NatPair({ limits: { flows: 3 } });
    pair.nat.leave(NETWORKS);
    const [four, six] = [[cidrOf('10.77.0.2/32')], [cidrOf('fd77::2/128')]];
    pair.nat.enter(four, { session: 'one' });
    pair.nat.enter(six, { session: 'two' });
    for (let port = 1; port <= 4; port++) pair.connect('192.0.2.80', port);
    pair.connect('2001:db8::80', 80);
    assert.deepEqual([pair.outside.dials.length, pair.outside.closed.length, pair.nat.counters.limited], [3, 0, 2]);
    pair.nat.rest(four, pair.clock.now + RESUME_TIME);
    pair.connect('192.0.2.80', 9);
    assert.equal(pair.outside.dials.length, 3, 'a client that has gone opens nothing');
    pair.connect('2001:db8::80', 81);
    assert.deepEqual([pair.outside.dials.length, pair.outside.closed.length, pair.nat.flows], [4, 3, 1]);
  });

  it('stay where the one who would get their room may open nothing now', () => {
    const pair = new NatPair({ limits: { flows: 3, newFlowsPerSecond: 1 } });
    pair.nat.leave(NETWORKS);
    const [four, six] = [[cidrOf('10.77.0.2/32')], [cidrOf('fd77::2/128')]];
    pair.nat.enter(four, { session: 'one' });
    pair.nat.enter(six, { session: 'two' });
    pair.connect('192.0.2.80', 80);
    for (let port = 1; port <= 2; port++) pair.connect('2001:db8::80', port);
    pair.nat.rest(four, pair.clock.now + RESUME_TIME);
    pair.connect('2001:db8::80', 3);
    assert.deepEqual([pair.outside.dials.length, pair.outside.closed.length, pair.nat.counters.limited], [3, 0, 1]);
    pair.advance(1_000);
    pair.connect('2001:db8::80', 4);
    assert.deepEqual([pair.outside.dials.length, pair.outside.closed.length], [4, 1]);
  });
});

describe('a session that gets an address which another had', () => {
  it('gets none of its flows, though its other addresses are not the same', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    const over6 = pair.connect('2001:db8::80', 80);
    const [inner, inner6] = [pair.accept(), pair.accept()];
    pair.runUntil(() => socket.isMade && over6.isMade && inner.isMade && inner6.isMade);
    pair.nat.rest(NETWORKS, pair.clock.now + RESUME_TIME);
    pair.nat.enter([cidrOf('10.77.0.2/32'), cidrOf('fd77::9/128')], { session: 'two' });
    assert.deepEqual(
      pair.outside.closed.map(({ to }) => formatEndpoint(to)),
      ['192.0.2.80:80'],
    );
    assert.equal(pair.nat.flows, 1, 'the one of an address that is still the first one’s');
  });

  it('is held to its own rules, also in what the other has begun', () => {
    const pair = new NatPair();
    const socket = pair.client.stack.openUdp(4);
    const ask = () => {
      socket.send(Buffer.from('?'), { address: ipOf('192.0.2.80'), port: 7 });
      pair.pump();
    };
    ask();
    pair.nat.rest(NETWORKS, pair.clock.now + RESUME_TIME);
    pair.nat.enter([cidrOf('10.77.0.2/32')], {
      session: 'two',
      rules: { dns: [], routes: [cidrOf('198.51.100.0/24')], noRoutes: [], restrictsToRoutes: true },
    });
    ask();
    assert.deepEqual([pair.outside.sent.length, pair.nat.counters.refusals.get('restricted')], [1, 1]);
  });

  it('leaves the other its flows from networks of its own', () => {
    const pair = new NatPair();
    const socket = pair.connect('192.0.2.80', 80);
    pair.accept();
    pair.runUntil(() => socket.isMade);
    pair.nat.enter([cidrOf('10.77.0.3/32'), cidrOf('10.77.0.0/24')], { session: 'two' });
    pair.advance(1_000);
    assert.equal(pair.nat.flows, 1);
  });
});
