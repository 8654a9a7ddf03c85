import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { utf8 } from '../../../src/core/wire/text.ts';
import { LayerPair } from '../../support/layer-pair.ts';
import { LossyLink } from '../../support/lossy-link.ts';
import { sized } from '../../support/size.ts';
import { bothUp, clientOf, type DtlsPair, KINDS, pairOf, pairUp, pskServerOptions, SESSION_ID, serverOf } from './associations.ts';

/** Longer than fourteen repetitions take: 1 + 2 + 4 + … + 60 + 60 + 60 seconds. Of 10,000 runs some need ten. */
const PATIENCE = 600_000;

/** Sends numbered packets both ways and says which arrived, by end. */
function exchange(pair: DtlsPair, count: number): { readonly left: string[]; readonly right: string[] } {
  for (let i = 0; i < count; i++) {
    pair.send('left', utf8(`to the right ${i}`));
    pair.send('right', utf8(`to the left ${i}`));
  }
  pair.settle(pair.now + 10_000);
  return { left: pair.sinks.left.takeTexts(), right: pair.sinks.right.takeTexts() };
}

for (const kind of KINDS) {
  describe(`DTLS client and server (${kind.name})`, () => {
    it('agree on the session, and carry packets both ways', () => {
      const pair = pairUp(kind);
      assert.ok(pair.left.state.name === 'up' && pair.right.state.name === 'up');
      assert.deepEqual(pair.left.state.session, pair.right.state.session);
      assert.equal(pair.left.state.session.version, kind.version);
      assert.equal(pair.left.state.session.suite.id, kind.suite);
      assert.equal(pair.left.state.session.isResumed, kind.psk === undefined);
      assert.equal(pair.left.state.session.hasExtendedMasterSecret, kind.psk !== undefined);
      const { left, right } = exchange(pair, 3);
      assert.deepEqual(left, ['to the left 0', 'to the left 1', 'to the left 2']);
      assert.deepEqual(right, ['to the right 0', 'to the right 1', 'to the right 2']);
    });

    it('are confirmed to each other after the first packets', () => {
      const pair = pairUp(kind);
      exchange(pair, 1);
      assert.ok(pair.left.state.name === 'up' && pair.left.state.confirmed);
      assert.ok(pair.right.state.name === 'up' && pair.right.state.confirmed);
    });

    it('end together when one of them closes', () => {
      for (const end of ['left', 'right'] as const) {
        const pair = pairUp(kind);
        pair.close(end);
        pair.settle(pair.now + 1_000);
        assert.deepEqual(pair[end].state, { name: 'closed', by: 'us' });
        assert.deepEqual(pair[end === 'left' ? 'right' : 'left'].state, { name: 'closed', by: 'peer' });
        assert.equal(pair.left.nextTimeout(), undefined);
        assert.equal(pair.right.nextTimeout(), undefined);
      }
    });
  });
}

describe('DTLS over a bad link', () => {
  /** What one run came to. */
  function run(seed: number): { readonly name: string; readonly pair: DtlsPair; readonly isUp: boolean; readonly repeats: boolean } {
    const kind = KINDS[seed % KINDS.length] ?? assert.fail();
    const conditions = {
      loss: ((seed >>> 2) % 4) * 0.1,
      duplication: ((seed >>> 4) % 3) * 0.2,
      delay: 10,
      jitter: ((seed >>> 1) % 5) * 100,
    };
    const pair = pairOf(kind, conditions, seed);
    const isUp = pair.run(bothUp(pair), PATIENCE);
    return { name: `seed ${seed}, ${kind.name}, ${JSON.stringify(conditions)}`, pair, isUp, repeats: kind.version !== '0.9' };
  }

  it('comes up whatever is lost, repeated or overtaken, and carries what the link carries', () => {
    const stuck: string[] = [];
    const count = sized(200, 10_000);
    for (let seed = 1; seed <= count; seed++) {
      const { name, pair, isUp, repeats } = run(seed);
      if (!isUp) {
        // The pre-RFC dialect forbids the client to repeat its Finished: if that is lost, the server waits for its owner to give up.
        assert.ok(!repeats, `${name}: ${pair.left.state.name}, ${pair.right.state.name}`);
        assert.deepEqual([pair.left.state.name, pair.right.state.name], ['up', 'handshaking'], name);
        stuck.push(name);
        continue;
      }
      const sent = 20;
      const { left, right } = exchange(pair, sent);
      for (const [packets, direction] of [
        [left, 'left'],
        [right, 'right'],
      ] as const) {
        assert.equal(new Set(packets).size, packets.length, `${name}: a packet came twice`);
        for (const packet of packets) assert.match(packet, new RegExp(`^to the ${direction} \\d+$`), name);
        assert.ok(packets.length > 0, `${name}: nothing arrived`);
      }
      assert.equal(pair.left.counters.forged + pair.right.counters.forged, 0, name);
      assert.equal(pair.left.counters.malformed + pair.right.counters.malformed, 0, name);
    }
    assert.ok(stuck.length < count / 20, `${stuck.length} of ${count} stuck`);
  });

  it('does the same again with the same seed', () => {
    for (let seed = 30; seed < 40; seed++) {
      const [one, two] = [run(seed), run(seed)];
      assert.equal(one.pair.now, two.pair.now);
      assert.deepEqual(one.pair.left.counters, two.pair.left.counters);
    }
  });

  it('comes up in two or three round trips without loss', () => {
    for (const kind of KINDS) {
      const pair = pairOf(kind);
      assert.ok(pair.run(bothUp(pair), 1_000));
      const flights = (kind.psk === undefined ? 3 : 4) + (kind.cookie === true ? 2 : 0);
      assert.equal(pair.now, flights * 5, `${kind.name}: 5 ms a flight`);
    }
  });

  it('never comes up when the keys differ: what cannot be opened is dropped until the owner gives up', () => {
    for (const kind of KINDS) {
      const credentials =
        kind.psk === undefined
          ? ({ kind: 'resumption', masterSecret: new Uint8Array(48).fill(9), sessionId: SESSION_ID, suite: kind.suite } as const)
          : { ...pskServerOptions, findKey: () => utf8('another key'), suites: kind.psk.suites };
      const pair = new LayerPair(clientOf(kind), serverOf(kind, 2, { credentials }), new LossyLink({}, 1));
      pair.settle(12_000);
      assert.deepEqual([pair.left.state.name, pair.right.state.name], ['handshaking', 'handshaking'], kind.name);
      assert.ok(pair.left.counters.forged + pair.right.counters.forged > 0, kind.name);
      pair.close('left');
      assert.deepEqual(pair.left.state, { name: 'closed', by: 'us' });
    }
  });
});
