/** TCP between two stacks of ours over links of all kinds: what arrives is what was sent. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS } from '../../../../src/core/ip/limits.ts';
import { plainMemory } from '../../../../src/core/ip/memory.ts';
import { sized } from '../../../support/size.ts';
import { StackPair } from '../stack-pair.ts';
import { exchange, hashOf, patternOf, Reader, writeAll } from './transfer.ts';

/** Longest virtual time for one transfer over the worst link. */
const LIMIT = 3_600_000;

describe('TCP between two stacks', () => {
  for (const family of [4, 6] as const) {
    it(`carries both directions at once over IPv${family}`, () => {
      const pair = new StackPair({ link: { delay: 10 } });
      const [up, down] = [patternOf(1_000_000, 1), patternOf(700_000, 2)];
      const { atServer, atClient } = exchange(pair, 80, up, down, 60_000, family);
      assert.equal(atServer.hash, hashOf(up));
      assert.equal(atClient.hash, hashOf(down));
    });
  }

  it('sends nothing twice where nothing is lost', () => {
    const pair = new StackPair({ link: { delay: 25, bandwidth: 12_500, queue: 1_000 } });
    exchange(pair, 80, patternOf(3_000_000, 1), patternOf(10, 2), 60_000);
    const { retransmissions, timeouts, lossProbes } = pair.left.stack.counters;
    assert.deepEqual({ retransmissions, timeouts, lossProbes }, { retransmissions: 0, timeouts: 0, lossProbes: 0 });
  });

  it('sends again little more than what was lost', () => {
    let lost = 0;
    let countdown = 100;
    const tap = (packet: Uint8Array, from: string) => {
      if (from !== 'left' || packet.length < 500 || countdown-- > 0) return true;
      countdown = 100;
      lost++;
      return false;
    };
    const pair = new StackPair({ link: { delay: 25 }, tap });
    const up = patternOf(3_000_000, 1);
    assert.equal(exchange(pair, 80, up, patternOf(10, 2), 120_000).atServer.hash, hashOf(up));
    const { retransmissions, timeouts } = pair.left.stack.counters;
    assert.ok(lost >= 15 && retransmissions <= lost + 2, `${retransmissions} for ${lost}`);
    assert.equal(timeouts, 0);
  });

  it('fills a long path', () => {
    // 100 Mbit/s and 100 ms: 1.25 MB on the way. The windows have to grow to that.
    const pair = new StackPair({ link: { delay: 50, bandwidth: 12_500, queue: 200 } });
    const start = pair.clock.now;
    const up = patternOf(30_000_000, 1);
    exchange(pair, 80, up, patternOf(10, 2), 60_000);
    const megabits = (up.length * 8) / (pair.clock.now - start) / 1_000;
    assert.ok(megabits > 70, `${megabits.toFixed(1)} Mbit/s of 100`);
  });

  it('carries what was sent over any link, in any size of packet', () => {
    const links = fc.record({
      delay: fc.integer({ min: 0, max: 200 }),
      jitter: fc.integer({ min: 0, max: 120 }),
      loss: fc.constantFrom(0, 0.01, 0.05, 0.15),
      duplication: fc.constantFrom(0, 0.02, 0.2),
      bandwidth: fc.constantFrom(500, 5_000, Number.POSITIVE_INFINITY),
      queue: fc.constantFrom(50, 500),
    });
    const ends = fc.record({
      mtu: fc.constantFrom(576, 1280, 1400, 1500, 9000),
      congestion: fc.constantFrom('cubic' as const, 'new-reno' as const),
    });
    const sizes = fc.record({ up: fc.nat(sized(120_000, 1_000_000)), down: fc.nat(sized(120_000, 1_000_000)) });
    fc.assert(
      fc.property(links, ends, ends, sizes, fc.integer(), (link, left, right, { up, down }, seed) => {
        const optionsOf = (end: typeof left) => ({ mtu: end.mtu, tcp: { congestion: end.congestion } });
        const pair = new StackPair({ link, left: optionsOf(left), right: optionsOf(right) }, seed);
        const [upBytes, downBytes] = [patternOf(up, seed), patternOf(down, seed + 1)];
        const { atServer, atClient } = exchange(pair, 80, upBytes, downBytes, LIMIT);
        assert.equal(atServer.hash, hashOf(upBytes));
        assert.equal(atClient.hash, hashOf(downBytes));
      }),
      { numRuns: sized(60, 1_500) },
    );
  });

  it('uses memory again that a reader gives back, and nobody reads what is another’s', () => {
    const allocated: number[] = [];
    const allocate = (length: number) => {
      allocated.push(length);
      return new Uint8Array(length).fill(0xee);
    };
    const pair = new StackPair({ link: { delay: 5, loss: 0.01 }, right: { memory: { ...plainMemory, allocate } } });
    const listener = pair.right.stack.listen(80);
    const up = patternOf(3_000_000, 1);
    writeAll(pair.connect(80), up);
    pair.runUntil(() => {
      listener.onReady?.();
      return pair.right.stack.connections === 1;
    }, 1_000);
    const hash = createHash('sha256');
    let server = listener.accept();
    pair.runUntil(() => {
      server ??= listener.accept();
      for (let chunk = server?.read(); chunk !== undefined; chunk = server?.read()) {
        hash.update(chunk);
        server?.giveBack(chunk);
        server?.giveBack(chunk.subarray(1)); // no whole block: left to the collector
      }
      return server?.hasEnded === true;
    }, 60_000);
    assert.equal(hash.digest('hex'), hashOf(up));
    const blocks = allocated.filter((length) => length >= 65_536).length;
    assert.ok(blocks < 20, `${blocks} blocks for ${up.length} bytes`);
  });

  it('leaves nothing behind', () => {
    const pair = new StackPair({ link: { delay: 5 } });
    exchange(pair, 80, patternOf(50_000, 1), patternOf(50_000, 2), 60_000);
    pair.advance(120_000);
    for (const { stack } of [pair.left, pair.right]) {
      assert.equal(stack.connections, 0);
      assert.equal(stack.nextTimeout(), undefined);
      assert.equal(stack.wantsTransmit, false);
    }
  });

  it('holds back a writer whose reader does not read, and goes on when it does', () => {
    const pair = new StackPair({ link: { delay: 5 } });
    const listener = pair.right.stack.listen(80);
    const client = pair.connect(80);
    const up = patternOf(6_000_000, 1);
    writeAll(client, up);
    pair.advance(60_000);
    const server = listener.accept();
    assert.ok(server !== undefined);
    // The window, and what its field was rounded up by.
    const { initialReceiveBuffer } = DEFAULT_LIMITS;
    const isFull = () => server.readable >= initialReceiveBuffer && server.readable < initialReceiveBuffer + 128;
    assert.ok(isFull(), `${server.readable} bytes wait`);
    pair.advance(3_600_000);
    assert.ok(isFull(), `${server.readable} bytes wait`);
    assert.equal(client.state, 'established');
    const reader = new Reader(server);
    server.onReady = () => reader.look();
    reader.look();
    pair.runUntil(() => reader.hasEnded, 120_000);
    assert.equal(reader.hash, hashOf(up));
  });

  it('takes turns: a long transfer does not starve a short one', () => {
    const pair = new StackPair({ link: { delay: 5, bandwidth: 5_000, queue: 100 } });
    const listener = pair.right.stack.listen(80);
    listener.onReady = () => {
      for (let server = listener.accept(); server !== undefined; server = listener.accept()) {
        const reader = new Reader(server);
        const accepted = server;
        server.onReady = () => {
          reader.look();
          if (reader.hasEnded) accepted.end();
        };
      }
    };
    const long = pair.connect(80);
    writeAll(long, patternOf(20_000_000, 1));
    pair.advance(500);
    const short = pair.connect(80);
    const start = pair.clock.now;
    writeAll(short, patternOf(1_000, 2));
    pair.runUntil(() => short.state === 'time-wait', 5_000);
    assert.ok(long.room < 4_000_000 && long.state === 'established');
    assert.ok(pair.clock.now - start < 1_000);
  });
});
