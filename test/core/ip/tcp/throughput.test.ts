/**
 * Throughput over loss, round trip and buffer size, as a table that is kept: time is the fake clock's, so every figure comes again to the digit, and a
 * change of behaviour is a diff. `SALLYPORT_UPDATE_SNAPSHOTS=1` writes it anew.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { StackPair } from '../stack-pair.ts';
import { exchange, hashOf, patternOf } from './transfer.ts';

const FILE = path.join(import.meta.dirname, 'throughput.txt');

/** 100 Mbit/s. */
const BANDWIDTH = 12_500;
const UP = patternOf(1_500_000, 1);
const SEEDS = [1, 2, 3];

it('has the throughput that is written down', () => {
  const rows = ['loss    round trip    reordering    MTU     buffer    Mbit/s    sent again'];
  for (const loss of [0, 0.01, 0.05]) {
    for (const roundTrip of [0, 20, 200]) {
      for (const jitter of roundTrip === 0 ? [0] : [0, roundTrip / 4]) {
        for (const [mtu, buffer] of [
          [576, 1_048_576],
          [1_400, 65_536],
          [1_400, 1_048_576],
          [9_000, 1_048_576],
        ] as const) {
          rows.push(row(loss, roundTrip, jitter, mtu, buffer));
        }
      }
    }
  }
  const table = `${rows.join('\n')}\n`;
  if (process.env.SALLYPORT_UPDATE_SNAPSHOTS === '1') writeFileSync(FILE, table);
  assert.equal(table, readFileSync(FILE, 'utf8'));
});

/** Means over some seeds. */
function row(loss: number, roundTrip: number, jitter: number, mtu: number, buffer: number): string {
  let millis = 0;
  let retransmissions = 0;
  for (const seed of SEEDS) {
    const end = { mtu, limits: { sendBuffer: buffer, receiveBuffer: buffer, initialReceiveBuffer: Math.min(buffer, 262_144) } };
    const link = { delay: roundTrip / 2, jitter, loss, bandwidth: BANDWIDTH, queue: 100 };
    const pair = new StackPair({ link, left: end, right: end }, seed);
    const start = pair.clock.now;
    const { atServer } = exchange(pair, 80, UP, new Uint8Array(0), 3_600_000);
    assert.equal(atServer.hash, hashOf(UP));
    millis += pair.clock.now - start;
    retransmissions += pair.left.stack.counters.retransmissions;
  }
  const megabits = (UP.length * 8 * SEEDS.length) / millis / 1_000;
  return [
    `${loss * 100} %`.padEnd(8),
    `${roundTrip} ms`.padEnd(14),
    `${jitter} ms`.padEnd(14),
    String(mtu).padEnd(8),
    `${buffer / 1024} K`.padEnd(10),
    megabits.toFixed(2).padStart(6),
    String(Math.round(retransmissions / SEEDS.length)).padStart(14),
  ].join('');
}
