/**
 * The client against a gateway that means harm: each run is a log-in and a session on real sockets, hostile in one of {@link HOSTILITIES}, by a seed.
 *
 * `SALLYPORT_FUZZ_SEED=123` plays the one run of that seed in each of them again; `SALLYPORT_FUZZ_MINUTES=60` goes on for longer.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { missing } from '../support/requirements.ts';
import { sized } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';
import { type RunResult, runClient } from './client-run.ts';
import { Dice } from './dice.ts';
import { HostileGateway, type Hostility } from './hostile-gateway.ts';
import { HOSTILITIES } from './hostilities.ts';
import { heldBytes } from './seeded-runs.ts';
import { VirtualTime } from './virtual-time.ts';

const NAMES = Object.keys(HOSTILITIES);

/** What each kind of hostility gets of the time. */
const SHARE: Millis = (Number(process.env.SALLYPORT_FUZZ_MINUTES ?? sized(0.35, 6)) * 60_000) / NAMES.length;

/** Enough for every kind of log-in and of datagram channel to be among them. */
const HONEST_RUNS = 24;

/** What may be left on the heap after any number of runs, beyond what was there after the first few. */
const MAX_LEFT_BYTES = 24 * 1024 * 1024;

const givenSeed = process.env.SALLYPORT_FUZZ_SEED;
const firstSeed = givenSeed === undefined ? sized(1, randomInt(2 ** 31)) : Number(givenSeed);

describe('a hostile gateway', { skip: missing('openssl') }, () => {
  let time: VirtualTime;
  let certificate: ThrowawayCertificate;
  let gateway: HostileGateway;
  const strays: unknown[] = [];
  const stray = (error: unknown) => strays.push(error);

  before(async () => {
    certificate = throwawayCertificate();
    time = new VirtualTime();
    gateway = await HostileGateway.start(time, { key: certificate.keyPem, cert: certificate.certificatePem });
    process.on('unhandledRejection', stray).on('uncaughtException', stray);
  });

  after(async () => {
    await gateway[Symbol.asyncDispose]();
    time[Symbol.dispose]();
    process.off('unhandledRejection', stray).off('uncaughtException', stray);
  });

  async function run(name: string, seed: number, make: (dice: Dice) => Hostility): Promise<RunResult> {
    const dice = new Dice(seed);
    const at = `"${name}", SALLYPORT_FUZZ_SEED=${seed}`;
    try {
      const result = await runClient(gateway, time, dice, make(dice.fork(5)), certificate.pin);
      if (strays.length > 0) throw strays[0];
      assert.deepEqual(time.problems, []);
      return result;
    } catch (error) {
      throw new Error(`${at}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  it('is none as long as it keeps to the protocol: the client is up, carries packets, and leaves as it is told to', async () => {
    const results = [];
    for (let seed = firstSeed; seed < firstSeed + HONEST_RUNS; seed++) results.push(await run('honest', seed, () => ({})));
    const up = results.filter(({ states }) => states.includes('up'));
    assert.ok(up.length > results.length / 2, results.map(({ outcome }) => outcome.message).join('\n'));
    assert.ok(up.every(({ outcome }) => outcome.kind === 'logged-off' || outcome.kind === 'detached'));
    for (const usedDatagrams of [true, false]) assert.ok(up.some((result) => result.usedDatagrams === usedDatagrams && result.packets > 0));
  });

  for (const [name, make] of Object.entries(HOSTILITIES)) {
    it(`brings about neither a crash nor a hang nor a leak: ${name}`, async (context) => {
      const until = time.realNow() + SHARE;
      const ends: Record<string, number> = {};
      let runs = 0;
      let heap = 0;
      for (let seed = firstSeed; givenSeed === undefined ? time.realNow() < until : runs === 0; seed++) {
        const { outcome, states } = await run(name, seed, make);
        const end = `${outcome.kind}${states.includes('up') ? ' after up' : ''}`;
        ends[end] = (ends[end] ?? 0) + 1;
        if (++runs === WARM_UP_RUNS) heap = await heldBytes();
      }
      context.diagnostic(
        `${runs} runs from seed ${firstSeed}: ${Object.entries(ends)
          .map(([end, count]) => `${count} ${end}`)
          .join(', ')}`,
      );
      if (runs <= WARM_UP_RUNS) return;
      const left = (await heldBytes()) - heap;
      assert.ok(left < MAX_LEFT_BYTES, `"${name}" from seed ${firstSeed}: ${runs} runs left ${Math.round(left / 2 ** 20)} MiB on the heap`);
    });
  }
});

/** Code is compiled and pools are filled in the first runs. */
const WARM_UP_RUNS = 5;
