import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TunnelEvent } from '../../../../src/core/tunnel/machine.ts';
import { framingByMark } from '../../../../src/core/tunnel/traffic.ts';
import { seconds, TunnelPair } from './tunnel-pair.ts';
import type { PairOptions } from './tunnel-pair-options.ts';
import { established, talk, timeUntil } from './tunnel-talk.ts';

const trafficOf = (pair: TunnelPair) =>
  pair.client.events.filter((event): event is Extract<TunnelEvent, { type: 'traffic' }> => event.type === 'traffic');

describe('A tunnel on the packet engine', () => {
  it('describes the traffic of its datagram path once, before packets leave by it', () => {
    for (const mode of ['psk', 'dtls12', 'legacy'] as const) {
      const said = established({ mode, engine: true });
      const { pair } = said;
      talk(said, seconds(200), seconds(1));
      const types = pair.client.events.map(({ type }) => type);
      assert.deepEqual(types, ['open', 'config', 'open', 'traffic', 'up'], mode);
      const [event] = trafficOf(pair);
      assert.equal(event?.path, pair.client.up);
      assert.equal(event?.traffic?.tunnelMtu, pair.client.mtu);
      assert.deepEqual(event?.traffic?.framing, framingByMark(0));
      assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
    }
  });

  it('does not describe it where the path has no engine, or the engine could not carry it: compression', () => {
    const compressed: PairOptions = { engine: true, client: { encodings: ['lzs'] }, terms: { encodings: ['lzs'] } };
    for (const options of [{}, compressed] as const) {
      const said = established(options);
      talk(said, seconds(20));
      assert.deepEqual(trafficOf(said.pair), []);
      assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
    }
  });

  it('does not do so before the gateway has its Finished: what repeats the handshake is sealed by the machine', () => {
    // In a resumption the client speaks last. If that is lost, the gateway repeats itself, and the client has to.
    const pair = new TunnelPair({ mode: 'dtls12', engine: true });
    pair.clock.runUntil(() => pair.datagramsOpened === 1, seconds(1));
    pair.clock.runUntil(() => pair.gateway?.machine.status(0).datagram.state === 'connecting', seconds(1));
    pair.udp = 'silent-to-gateway';
    pair.clock.advance(seconds(3));
    assert.deepEqual(trafficOf(pair), []);
    assert.equal(pair.client.up?.kind, 'stream');
    pair.udp = 'open';
    pair.clock.advance(seconds(5));
    assert.equal(trafficOf(pair).length, 1);
    assert.equal(pair.client.up?.kind, 'datagram');
  });

  it('is kept alive by what the engine has carried: no DPD while packets come', () => {
    const said = established({ engine: true, datagram: { times: { dpd: seconds(4), keepalive: seconds(3) } } });
    const { pair, up, down } = said;
    pair.clock.advance(seconds(2));
    const before = pair.datagramsSent;
    talk(said, seconds(100), 500);
    assert.deepEqual([up.missing, down.missing], [[], []]);
    assert.equal(pair.datagramsSent - before, up.sent + down.sent, 'nothing but packets');
    assert.deepEqual(pair.client.ups, ['datagram']);
  });

  it('is not taken for dead by old news of the engine, when its own questions are answered', () => {
    // No data for minutes: the engine last heard a packet long ago, and the machine's requests are all that keeps the path alive.
    const said = established({ engine: true, datagram: { times: { dpd: seconds(10), keepalive: 0 } } });
    talk(said, seconds(5));
    said.pair.clock.advance(seconds(300));
    talk(said, seconds(1));
    assert.deepEqual([said.up.missing, said.down.missing], [[], []]);
    assert.deepEqual(said.pair.client.ups, ['datagram']);
  });

  it('is answered by the machine where the gateway asks', () => {
    const { pair } = established({ engine: true, datagram: { times: { dpd: seconds(20) } }, client: { dpd: seconds(1000) } });
    pair.clock.advance(seconds(500));
    assert.equal(pair.gateway?.machine.status(pair.clock.now).datagram.state, 'established', 'its requests were answered');
    assert.deepEqual(pair.client.ups, ['datagram']);
  });

  it('moves its packets to the stream when the path swallows them, and back', () => {
    const said = established({ engine: true });
    const { pair, up } = said;
    talk(said, seconds(10));
    pair.udp = 'silent';
    const before = up.sent;
    let moved = 0;
    const time = timeUntil(
      pair,
      () => {
        if (pair.clock.now % 100 === 0) up.send(100);
        moved = up.sent;
        return pair.client.up?.kind === 'stream';
      },
      seconds(30),
    );
    assert.ok(time <= seconds(14), `${time} ms: five more than without an engine, whose news come every five seconds`);
    talk(said, seconds(5));
    assert.ok(up.missing.every((number) => number >= before && number < moved));
    pair.udp = 'open';
    talk(said, seconds(15));
    assert.equal(pair.client.up?.kind, 'datagram');
    assert.equal(trafficOf(pair).length, 1, 'it was the engine’s all the time');
  });

  it('describes a new association after a rekey, while the old one still receives', () => {
    const said = established({
      engine: true,
      datagram: { times: { dpd: seconds(30), rekey: seconds(30) } },
      link: { delay: 20, jitter: 10 },
    });
    const { pair } = said;
    talk(said, seconds(100), 20);
    assert.equal(pair.datagramsOpened, 4);
    assert.equal(trafficOf(pair).length, 4);
    assert.deepEqual(new Set(trafficOf(pair).map(({ path }) => path)).size, 4);
    assert.equal(pair.client.up?.engine !== undefined, true);
    const { up, down } = said;
    // Records that were under way when the engine took over count as seen (see DtlsAssociation.handOver): a few, where datagrams overtake each other.
    assert.ok(up.missing.length + down.missing.length <= 4, `${up.missing.length} and ${down.missing.length} lost`);
  });
});
