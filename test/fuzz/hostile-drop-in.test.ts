/**
 * The real drop-in command as a process of its own against a gateway that means harm: whatever that does, the command ends with a status of its
 * contract, or goes on until it is told to end; it never dies of a signal or with a stack trace.
 *
 * Read first: hostile-gateway.test.ts, which has the variables for the seed and the time. Here time is real, so a gateway's pauses are short, and a
 * command that waits is interrupted.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { assertBuilt, DROP_IN } from '../support/drop-in.ts';
import { type Finished, type Program, startProgram } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { sized } from '../support/size.ts';
import { throwawayCertificate } from '../support/throwaway-certificate.ts';
import { Dice } from './dice.ts';
import { SESSION_TOKEN } from './honest-flow.ts';
import { HostileGateway } from './hostile-gateway.ts';
import { HOSTILITIES } from './hostilities.ts';
import type { Waiting } from './virtual-time.ts';

const TIME: Millis = Number(process.env.SALLYPORT_FUZZ_MINUTES ?? sized(0.15, 3)) * 60_000;
const givenSeed = process.env.SALLYPORT_FUZZ_SEED;
const firstSeed = givenSeed === undefined ? sized(1, randomInt(2 ** 31)) : Number(givenSeed);

/** A command that has neither ended nor been up for so long waits for the gateway, which its own limits allow it for minutes. */
const PATIENCE: Millis = 2000;

const LOOK_INTERVAL: Millis = 10;

/** How long it may take to end when it is told to: 2 s for what is queued, 2 s for the script's end, and a busy machine. */
const END_LIMIT: Millis = 15_000;

/** Spec "CLI", section 7: ended as asked, failed, cookie refused. */
const STATUSES: readonly (number | null)[] = [0, 1, 2];

/** All that Node itself takes to run a program is about 50 MB; a message of the largest size and what is made of it come on top. */
const MAX_MEMORY_KIB = 450 * 1024;

/** The gateway's pauses, as short as a person would never wait. */
const HURRY: Waiting = {
  sleep: async (ms, signal) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    const timer = setTimeout(wake, Math.min(ms, 100));
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
  },
};

describe('the drop-in at a hostile gateway', { skip: missing('openssl') }, () => {
  before(() => assertBuilt());

  it('ends by its own word, or goes on until it is told to', async (context) => {
    const certificate = throwawayCertificate();
    const gateway = await HostileGateway.start(HURRY, { key: certificate.keyPem, cert: certificate.certificatePem });
    const until = performance.now() + TIME;
    const names = Object.keys(HOSTILITIES);
    const ends: Record<string, number> = {};
    let runs = 0;
    try {
      for (; givenSeed === undefined ? performance.now() < until : runs < names.length; runs++) {
        // A given seed is played with each hostility; otherwise each run has the next one of both.
        const seed = givenSeed === undefined ? firstSeed + runs : firstSeed;
        const name = names[runs % names.length] ?? '';
        const end = await runOnce(gateway, name, seed, certificate.pin).catch((error: Error) => {
          throw new Error(`"${name}", SALLYPORT_FUZZ_SEED=${seed}: ${error.message}`, { cause: error });
        });
        ends[end] = (ends[end] ?? 0) + 1;
      }
    } finally {
      await gateway[Symbol.asyncDispose]();
    }
    const counts = Object.entries(ends).map(([end, count]) => `${count} ${end}`);
    context.diagnostic(`${runs} runs from seed ${firstSeed}: ${counts.join(', ')}`);
  });
});

async function runOnce(gateway: HostileGateway, name: string, seed: number, pin: string): Promise<string> {
  const dice = new Dice(seed);
  gateway.begin(dice.fork(0), HOSTILITIES[name]?.(dice.fork(5)) ?? {});
  const wishes = dice.pick([[], ['--compression=all'], ['--no-dtls'], ['--disable-ipv6'], ['--no-xmlpost'], ['--compression=none', '-v']]);
  const options = ['--user', 'alice', '--servercert', pin, '--script-tun', '--script', 'exec sleep 600', '--reconnect-timeout', '5'];
  const program = await startProgram(
    DROP_IN[0],
    [...DROP_IN.slice(1), ...options, ...wishes, `https://127.0.0.1:${gateway.port}/`],
    'drop-in',
    {
      input: 'one\n'.repeat(20), // the name of a group, or a password
    },
  );
  let memory = 0;
  // The kernel keeps the most it ever was; only what is held first in the last moment before its end is missed.
  const look = setInterval(() => {
    memory = Math.max(memory, mostMemory(program.pid));
  }, LOOK_INTERVAL);
  try {
    const told = await toldToEnd(program, dice.pick(['SIGINT', 'SIGTERM', 'SIGHUP']));
    const finished = await program.finish({ within: END_LIMIT });
    check(finished);
    assert.ok(memory > 0 && memory < MAX_MEMORY_KIB, `it held ${Math.round(memory / 1024)} MiB`);
    return `status ${finished.code}${told === undefined ? '' : ` after ${told}`}`;
  } finally {
    clearInterval(look);
    await program.stop({ signal: 'SIGKILL' });
    await gateway.end();
  }
}

/** Waits a while for the command's own end, then sends the signal. Returns it if that was needed. */
async function toldToEnd(program: Program, signal: NodeJS.Signals): Promise<NodeJS.Signals | undefined> {
  const { promise: patience, resolve } = Promise.withResolvers<'waits'>();
  const timer = setTimeout(() => resolve('waits'), PATIENCE);
  const end = await Promise.race([program.exited, patience]);
  clearTimeout(timer);
  if (end !== 'waits') return undefined;
  program.signal(signal);
  return signal;
}

/** The most that a process ever held, in KiB; 0 if it is gone. */
function mostMemory(pid: number): number {
  try {
    return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0; // it has ended meanwhile
  }
}

function check({ code, signal, stderr, stdout, output }: Finished): void {
  const told = output.slice(-2000);
  assert.equal(signal, null, `it died of ${signal}: ${told}`);
  assert.ok(STATUSES.includes(code), `status ${code}: ${told}`);
  assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+\)?$/m, 'a stack trace');
  assert.doesNotMatch(stderr, /internal error|ERR_INTERNAL|UnhandledPromise|uncaught|Warning: /i, told);
  assert.ok(!output.includes(SESSION_TOKEN), `a secret was shown: ${told}`);
  assert.doesNotMatch(
    stdout + stderr,
    /[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/,
    'a terminal was written to by the gateway',
  );
}
