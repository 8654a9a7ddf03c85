import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HandOverOptions } from '../../../src/core/dtls/association.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { encodeHandshakeMessage } from '../../../src/core/tls-messages/handshake-fragment.ts';
import { HANDSHAKE_TYPES } from '../../../src/core/tls-messages/handshake-messages.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { REPLAY_WINDOW } from '../../../src/core/tunnel/replay-window.ts';
import { framingByMark } from '../../../src/core/tunnel/traffic.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { DatagramSink } from '../../support/datagram-sink.ts';
import { TinyEngine } from '../../support/tiny-engine.ts';
import { type DtlsPair, type Kind, kindNamed, pairUp } from './associations.ts';

const OPTIONS: HandOverOptions = { framing: framingByMark(0), tunnelMtu: 1400 };
const KINDS = ['PSK, AES-256-GCM', 'PSK, ChaCha20-Poly1305', 'resumed with a cookie', 'resumed, DTLS 0.9'].map(kindNamed);

/** A pair that has exchanged a packet each way, so that both are confirmed. */
function confirmedPair(kind: Kind): DtlsPair {
  const pair = pairUp(kind);
  pair.send('left', utf8('hello'));
  pair.send('right', utf8('hello'));
  pair.settle(pair.now + 100);
  pair.sinks.left.takeTexts();
  pair.sinks.right.takeTexts();
  return pair;
}

for (const kind of KINDS) {
  describe(`DTLS traffic handed over (${kind.name})`, () => {
    it('goes on where the layer stopped, both ways, with what stands in the description', () => {
      const { left, right, sinks } = confirmedPair(kind);
      const traffic = left.handOver(OPTIONS) ?? assert.fail();
      assert.equal(traffic.seal.nextSequence, 2, 'Finished was 0, a packet 1');
      assert.equal(traffic.open[0]?.nextSequence, 2);
      assert.equal(traffic.replayWindow, REPLAY_WINDOW);
      assert.deepEqual([traffic.framing, traffic.tunnelMtu], [OPTIONS.framing, OPTIONS.tunnelMtu]);

      const engine = new TinyEngine(traffic);
      right.receive(engine.seal(utf8('\x17from the engine')), 0, sinks.right);
      assert.deepEqual(sinks.right.takeTexts(), ['from the engine']);
      right.send(packetOf(utf8('to the engine')), 0, sinks.right);
      assert.equal(Buffer.from(engine.open(sinks.right.takeBytes()) ?? assert.fail()).toString(), '\x17to the engine');
    });

    it('leaves the layer to say and hear what is not data, content type first and in the clear', () => {
      const { left, right, sinks } = confirmedPair(kind);
      const engine = new TinyEngine(left.handOver(OPTIONS) ?? assert.fail());
      left.send(packetOf(fromHex('03aabb')), 0, sinks.left);
      const [probe] = sinks.left.take();
      assert.equal(toHex(probe ?? fromHex('')), '1703aabb');
      right.receive(engine.seal(probe ?? assert.fail()), 0, sinks.right);
      assert.deepEqual(sinks.right.packets.map(toHex), ['03aabb']);

      left.receive(fromHex('1704aabb'), 0, sinks.left);
      assert.deepEqual(sinks.left.packets.map(toHex), ['04aabb']);
      left.receive(fromHex(''), 0, sinks.left);
      assert.equal(left.counters.malformed, 1);
      left.receive(fromHex('16ff'), 0, sinks.left);
      assert.equal(left.counters.malformed, 2);

      right.close(0, sinks.right);
      left.receive(engine.open(sinks.right.takeBytes()) ?? assert.fail(), 0, sinks.left);
      assert.deepEqual(left.state, { name: 'closed', by: 'peer' });
      assert.deepEqual(sinks.left.take().map(toHex), ['150100']);
      left.receive(fromHex('1704aabb'), 0, sinks.left);
      assert.equal(sinks.left.packets.length, 1, 'nothing after the end');
    });

    it('comes back with the numbers that the engine used', () => {
      const pair = confirmedPair(kind);
      const { left, right, sinks } = pair;
      const engine = new TinyEngine(left.handOver(OPTIONS) ?? assert.fail());
      const used = [engine.seal(utf8('\x17one')), engine.seal(utf8('\x17two'))];
      for (const record of used) right.receive(new Uint8Array(record), 0, sinks.right);
      right.send(packetOf(utf8('seen by the engine')), 0, sinks.right);
      const seen = sinks.right.takeBytes();
      left.takeBack({ nextToSeal: engine.next, nextToOpen: 3 });

      left.receive(new Uint8Array(seen), 0, sinks.left);
      assert.deepEqual(sinks.left.packets, [], 'a replay of what the engine opened');
      assert.equal(left.counters.replayed, 1);
      pair.send('left', utf8('three'));
      pair.send('right', utf8('four'));
      pair.settle(pair.now + 100);
      assert.deepEqual(sinks.right.takeTexts(), ['one', 'two', 'three']);
      assert.deepEqual(sinks.left.takeTexts(), ['four']);
    });

    it('gives copies of the keys: what becomes of the layer does not reach them', () => {
      const { left, sinks } = confirmedPair(kind);
      const traffic = left.handOver(OPTIONS) ?? assert.fail();
      left.close(0, sinks.left);
      for (const key of [traffic.seal, traffic.open[0] ?? assert.fail()]) {
        assert.ok(key.key.some((byte) => byte !== 0));
        assert.ok((key.mac ?? key.iv).some((byte) => byte !== 0));
      }
    });
  });
}

describe('DTLS hand-over', () => {
  const [gcm] = KINDS;
  assert.ok(gcm !== undefined);

  it('waits until the peer has proved that it has our Finished', () => {
    const pair = pairUp(kindNamed('resumed, AES-256-GCM'));
    assert.throws(() => pair.left.handOver(OPTIONS), MisuseError);
    assert.ok(pair.right.handOver(OPTIONS) !== undefined, 'the server of a resumption has the last word of the client');
    const full = pairUp(gcm);
    assert.ok(full.left.handOver(OPTIONS) !== undefined);
    assert.throws(() => full.right.handOver(OPTIONS), MisuseError);
  });

  it('is not disturbed by a peer that repeats its last flight: what would answer it could only be numbered here', () => {
    const finished = encodeHandshakeMessage({ type: HANDSHAKE_TYPES.finished, sequence: 1, body: new Uint8Array(12) });
    const { left, sinks } = confirmedPair(kindNamed('resumed, AES-256-GCM'));
    left.handOver(OPTIONS);
    left.receive(Buffer.concat([Uint8Array.of(22), finished]), 60_000, sinks.left);
    assert.deepEqual(sinks.left.take(), []);
    assert.equal(left.counters.unexpected, 1);
  });

  it('happens once, and back once', () => {
    const { left } = confirmedPair(gcm);
    assert.throws(() => left.takeBack({ nextToSeal: 2, nextToOpen: 2 }), MisuseError);
    left.handOver(OPTIONS);
    assert.throws(() => left.handOver(OPTIONS), MisuseError);
    left.takeBack({ nextToSeal: 2, nextToOpen: 2 });
    assert.ok(left.handOver(OPTIONS) !== undefined, 'and again');
  });

  it('does not go backwards: a used number would be used again', () => {
    const { left } = confirmedPair(gcm);
    left.handOver(OPTIONS);
    assert.throws(() => left.takeBack({ nextToSeal: 1, nextToOpen: 2 }), MisuseError);
    assert.throws(() => left.takeBack({ nextToSeal: 2, nextToOpen: 1 }), MisuseError);
    left.send(packetOf(utf8('x')), 0, new DatagramSink());
    assert.equal(left.state.name, 'up');
  });

  it('ends when the numbers are used up: nothing is sent under a number twice', () => {
    const { left, sinks } = confirmedPair(gcm);
    left.handOver(OPTIONS);
    left.takeBack({ nextToSeal: 2 ** 48 - 1, nextToOpen: 2 });
    left.send(packetOf(utf8('the last')), 0, sinks.left);
    assert.equal(toHex(sinks.left.takeBytes().subarray(3, 11)), '0001ffffffffffff');
    left.send(packetOf(utf8('one too many')), 0, sinks.left);
    left.close(0, sinks.left);
    assert.deepEqual(sinks.left.take(), []);
    assert.equal(left.counters.notUp, 1);
  });
});
