import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../../src/core/errors.ts';
import type { TunnelEvent } from '../../../../src/core/tunnel/machine.ts';
import type { TunnelEnd } from '../../../support/tunnel-end.ts';
import { ip, seconds, TunnelPair } from './tunnel-pair.ts';
import { established, talk, talkOf, timeUntil } from './tunnel-talk.ts';

const endpoint = { address: ip('192.0.2.7'), port: 1 };

const isConfigured = (pair: TunnelPair) => () => pair.client.mtu > 0;
const isUpBy = (pair: TunnelPair, kind: 'stream' | 'datagram') => () => pair.client.up?.kind === kind;
const kinds = (end: TunnelEnd) => end.events.map((event) => event.type);

describe('A tunnel that comes up', () => {
  it('tells the configuration, and waits for the datagram channel: its MTU is final when packets may leave', () => {
    const pair = new TunnelPair();
    pair.start();
    assert.deepEqual(kinds(pair.client), ['open', 'config', 'open', 'up']);
    assert.deepEqual(pair.client.ups, ['datagram']);
    pair.startDatagrams();
    const { up, down } = talkOf(pair);
    up.send(pair.client.mtu);
    down.send(pair.client.mtu);
    pair.clock.advance(100);
    assert.deepEqual([up.arrived, down.arrived], [1, 1]);
  });

  it('waits no longer than four round trips, and then goes by the stream until the datagram channel is there', () => {
    for (const [delay, grace] of [
      [10, 300],
      [150, 1200],
      [1000, 2000],
    ] as const) {
      const pair = new TunnelPair({ streamDelay: delay });
      pair.datagramOpening = seconds(5);
      timeUntil(pair, isConfigured(pair), seconds(5));
      assert.equal(
        timeUntil(pair, () => pair.client.up !== undefined, seconds(5)),
        grace,
        `a stream with a delay of ${delay} ms`,
      );
      pair.clock.advance(seconds(6));
      assert.deepEqual(pair.client.ups, ['stream', 'datagram']);
    }
  });

  it('is up by the stream within that time where UDP is blocked', () => {
    for (const udp of ['silent', 'silent-to-client', 'silent-to-gateway'] as const) {
      const pair = new TunnelPair();
      pair.udp = udp;
      timeUntil(pair, isConfigured(pair), seconds(1));
      assert.ok(timeUntil(pair, isUpBy(pair, 'stream'), seconds(5)) <= 300, udp);
      const said = talkOf(pair);
      talk(said, seconds(3));
      assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
      assert.deepEqual(pair.client.ups, ['stream']);
    }
  });

  it('does not wait at all where someone says that nobody answers, or UDP cannot be opened', () => {
    for (const fault of ['refused', 'unopened'] as const) {
      const pair = new TunnelPair();
      if (fault === 'refused') pair.udp = 'refused';
      else pair.opensDatagram = false;
      timeUntil(pair, isConfigured(pair), seconds(1));
      assert.ok(timeUntil(pair, isUpBy(pair, 'stream'), seconds(1)) <= 10, fault);
    }
  });

  it('does not wait where there will be no datagram channel', () => {
    for (const options of [{ client: { datagram: undefined } }, { datagram: 'none' }] as const) {
      const pair = new TunnelPair(options);
      pair.start();
      assert.deepEqual(kinds(pair.client), ['open', 'config', 'up']);
      pair.clock.advance(seconds(100));
      assert.equal(pair.datagramsOpened, 0);
    }
  });

  it('carries what comes right behind the answer', () => {
    const pair = new TunnelPair();
    pair.clock.runUntil(() => pair.gateway !== undefined, seconds(1));
    const { down } = talkOf(pair);
    for (let i = 0; i < 5; i++) down.send(1000);
    pair.clock.advance(seconds(1));
    assert.deepEqual(down.missing, []);
  });
});

describe('A tunnel whose UDP fails', () => {
  // Spec "AnyConnect", section 7.9.
  it('is tried for 12 seconds, and again 60 seconds later', () => {
    const pair = new TunnelPair();
    pair.udp = 'silent';
    pair.clock.runUntil(() => pair.datagramsOpened === 1, seconds(1));
    const first = pair.clock.now;
    pair.clock.runUntil(() => pair.clientFlows.length === 0, seconds(20));
    assert.ok(Math.abs(pair.clock.now - first - seconds(12)) <= 1);
    pair.clock.runUntil(() => pair.datagramsOpened === 2, seconds(100));
    assert.ok(Math.abs(pair.clock.now - first - seconds(72)) <= 1);
    pair.udp = 'open';
    pair.clock.advance(seconds(2));
    assert.equal(pair.client.up?.kind, 'datagram');
  });

  it('moves its packets to the stream within seconds, and back as soon as UDP works again', () => {
    const said = established();
    const { pair, up } = said;
    talk(said, seconds(5));
    pair.udp = 'silent';
    const lost = up.sent;
    up.send(100);
    assert.ok(timeUntil(pair, isUpBy(pair, 'stream'), seconds(30)) <= seconds(8) + 1);
    const moved = up.sent;
    talk(said, seconds(5));
    assert.ok(
      up.missing.every((number) => number >= lost && number < moved),
      'nothing is lost on the stream',
    );
    pair.udp = 'open';
    talk(said, seconds(15));
    assert.equal(pair.client.up?.kind, 'datagram');
    assert.equal(pair.gateway?.up?.kind, 'datagram');
    assert.equal(pair.datagramsOpened, 1, 'the association is the same');
  });

  it('moves to the stream where UDP works in one direction only, and both ends speak all the time', () => {
    for (const [udp, engine, limit] of [
      ['silent-to-client', false, 9],
      ['silent-to-gateway', false, 14],
      ['silent-to-client', true, 15],
      ['silent-to-gateway', true, 20],
    ] as const) {
      const said = established({ engine });
      const { pair, up, down } = said;
      talk(said, seconds(5));
      pair.udp = udp;
      talk(said, seconds(limit));
      assert.equal(pair.client.up?.kind, 'stream', `${udp}, engine ${engine}`);
      const [upBefore, downBefore] = [up.missing.length, down.missing.length];
      talk(said, seconds(20));
      assert.equal(up.missing.length, upBefore, `${udp}, engine ${engine}: packets to the gateway`);
      assert.ok(
        down.missing.length - downBefore <= 5,
        `${udp}, engine ${engine}: ${down.missing.length - downBefore} packets to the client`,
      );
    }
  });

  it('makes a new association when the old one stays silent for half a minute', () => {
    const said = established();
    const { pair } = said;
    pair.udp = 'silent';
    talk(said, seconds(37));
    assert.equal(pair.datagramsOpened, 1);
    talk(said, seconds(1));
    assert.equal(pair.datagramsOpened, 2);
    pair.udp = 'open';
    talk(said, seconds(2));
    assert.equal(pair.client.up?.kind, 'datagram');
  });

  it('notices it by DPD where nothing is sent', () => {
    const { pair } = established();
    pair.clock.advance(seconds(20));
    pair.udp = 'silent';
    assert.ok(timeUntil(pair, isUpBy(pair, 'stream'), seconds(100)) <= seconds(61));
  });

  it('asks at once when the network says that nobody is there', () => {
    const { pair, up } = established();
    pair.udp = 'refused';
    up.send(100);
    assert.ok(timeUntil(pair, isUpBy(pair, 'stream'), seconds(10)) <= seconds(3) + 10);
  });

  it('goes by the stream at once when its own system takes the flow away, and tries another', () => {
    const { pair } = established();
    pair.clock.advance(seconds(20));
    pair.breakDatagrams();
    assert.equal(pair.client.up?.kind, 'stream');
    pair.clock.advance(seconds(1));
    assert.deepEqual(pair.client.ups, ['datagram', 'stream', 'datagram']);
  });

  it('does not begin association after association where each is ended right away', () => {
    const { pair } = established();
    for (let time = 0; time < seconds(60); time += 10) {
      pair.breakDatagrams();
      pair.clock.advance(10);
    }
    assert.ok(pair.datagramsOpened <= 6, `${pair.datagramsOpened} in a minute`);
  });

  it('never says more on UDP than DPD and keepalive while it is idle', () => {
    for (const engine of [false, true]) {
      const { pair } = established({ engine, datagram: { times: { dpd: seconds(30), keepalive: seconds(20) } } });
      const before = pair.datagramsSent;
      pair.clock.advance(seconds(300));
      assert.ok(pair.datagramsSent - before <= 30, `${pair.datagramsSent - before} datagrams`);
      assert.deepEqual(pair.client.ups, ['datagram']);
    }
  });

  it('asks no more than every five seconds while packets go one way only', () => {
    for (const engine of [false, true]) {
      const { pair, up } = established({ engine });
      const before = pair.datagramsSent;
      for (let i = 0; i < 100; i++) {
        up.send(100);
        pair.clock.advance(seconds(1));
      }
      const control = pair.datagramsSent - before - up.sent;
      assert.ok(control <= 40, `${control} datagrams beside the packets`);
      assert.deepEqual(up.missing, []);
      assert.deepEqual(pair.client.ups, ['datagram']);
    }
  });
});

describe('A tunnel whose keys are to change', () => {
  const times = { dpd: seconds(30), keepalive: seconds(20), rekey: seconds(60) };

  it('makes a new association beside the old one, and loses nothing', () => {
    for (const mode of ['psk', 'dtls12', 'legacy'] as const) {
      const said = established({ mode, datagram: { times }, link: { delay: 20, jitter: 30 } });
      const { pair, up, down } = said;
      for (let rekeys = 1; rekeys <= 2; rekeys++) {
        pair.clock.advance(seconds(57));
        talk(said, seconds(5), 5);
        assert.equal(pair.datagramsOpened, 1 + rekeys, mode);
        assert.deepEqual([up.missing, down.missing], [[], []], mode);
      }
      assert.ok(pair.client.ups.every((kind) => kind === 'datagram'));
      pair.clock.advance(seconds(5));
      assert.equal(pair.clientFlows.length, 1);
      assert.equal(pair.gateway?.paths.length, 2, 'stream and datagram');
    }
  });

  it('goes on with the old one until the gateway has proved that it reads the new one', () => {
    const said = established({ mode: 'legacy', datagram: { times } });
    const { pair, up, down } = said;
    const [old] = pair.clientFlows;
    // The client's last word of the second handshake is lost; in the oldest dialect it may not say it again.
    pair.loses = (bytes, to, path) => to === 'gateway' && path !== old && bytes[0] === 20;
    pair.clock.advance(seconds(57));
    talk(said, seconds(10), 20);
    assert.equal(pair.datagramsOpened, 2);
    assert.deepEqual([up.missing, down.missing], [[], []]);
    assert.equal(pair.client.up, old);
    talk(said, seconds(10), 20);
    assert.equal(pair.client.up?.kind, 'stream', 'an attempt takes twelve seconds');
    assert.ok(up.missing.length + down.missing.length <= 2, 'what was under way when the association was given up');
  });

  it('does so when the engine says that the keys near their end', () => {
    const said = established({ engine: true });
    const { pair, up, down } = said;
    pair.clock.advance(seconds(5));
    const [path] = pair.clientFlows;
    for (let i = 0; i < 3; i++) {
      pair.client.turn((machine, sink) => machine.notice(path ?? assert.fail(), { type: 'keys-used-up' }, pair.clock.now, sink));
    }
    talk(said, seconds(5), 5);
    assert.equal(pair.datagramsOpened, 2, 'once, however often it is said');
    assert.deepEqual([up.missing, down.missing], [[], []]);
  });

  it('goes by the stream when the new association does not come about, and tries again', () => {
    const said = established({ datagram: { times } });
    const { pair, up, down } = said;
    pair.clock.advance(seconds(59));
    pair.opensDatagram = false;
    pair.clock.advance(seconds(2));
    assert.equal(pair.client.up?.kind, 'stream');
    talk(said, seconds(1));
    pair.opensDatagram = true;
    pair.clock.advance(seconds(61));
    talk(said, seconds(1));
    assert.equal(pair.client.up?.kind, 'datagram');
    assert.deepEqual([up.missing, down.missing], [[], []]);
  });

  it('is closed as a renewal where they are the stream’s', () => {
    const { pair } = established({ terms: { times: { dpd: seconds(30), rekey: seconds(100) } } });
    pair.clock.runUntil(() => pair.client.closed !== undefined, seconds(101));
    assert.ok(pair.clock.now >= seconds(100));
    assert.equal(pair.client.closed?.kind, 'renew');
  });
});

describe('A tunnel whose client moves', () => {
  for (const gatewayEngine of [false, true]) {
    it(`is followed by the gateway to the new address${gatewayEngine ? ', where an engine has its keys' : ''}`, () => {
      const said = established({ gatewayEngine });
      const { pair, up, down } = said;
      talk(said, seconds(1));
      for (let moves = 0; moves < 3; moves++) {
        pair.rebind();
        up.send(100);
        pair.clock.advance(100);
        talk(said, seconds(1));
        assert.deepEqual([up.missing, down.missing], [[], []]);
        assert.equal(pair.datagramsOpened, 1);
        assert.equal(pair.gateway?.paths.length, 2, 'stream and datagram');
        assert.equal(pair.gateway?.up?.engine !== undefined, gatewayEngine);
      }
    });
  }
});

describe('A UDP flow that comes late', () => {
  it('is dropped when it is no longer wanted', () => {
    const pair = new TunnelPair();
    pair.datagramOpening = seconds(13);
    pair.start();
    pair.clock.advance(seconds(20));
    assert.equal(pair.datagramsOpened, 1);
    assert.deepEqual(pair.clientFlows, []);
    assert.equal(kinds(pair.client).at(-1), 'drop');
  });

  it('is dropped when the tunnel is over', () => {
    const { pair } = established();
    const [path] = pair.clientFlows;
    assert.ok(path !== undefined);
    pair.breakStream();
    const events: TunnelEvent[] = [];
    const facts = { local: endpoint, remote: endpoint, engine: false };
    pair.client.machine.opened(path, facts, pair.clock.now, { on: () => assert.fail(), event: (event) => events.push(event) });
    assert.deepEqual(events, [{ type: 'drop', path }]);
  });

  it('changes nothing by failing', () => {
    const { pair } = established();
    const error = new NetworkError('no more sockets');
    pair.client.turn((machine, sink) => machine.lost({ kind: 'datagram' }, error, pair.clock.now, sink));
    assert.equal(pair.client.up?.kind, 'datagram');
    assert.deepEqual(pair.client.ups, ['datagram']);
  });
});
