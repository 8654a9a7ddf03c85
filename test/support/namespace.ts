/**
 * Tests that need interfaces of their own: the test file runs a second time inside a new network namespace, which is gone with its process.
 *
 * @example inNamespace('TUN device', import.meta.filename, () => { it('…', …) });
 */
import { execFileSync, spawn } from 'node:child_process';
import { describe, it } from 'node:test';
import { missing } from './requirements.ts';
import { HANG_LIMIT, sized } from './size.ts';

const MARK = 'SALLYPORT_TEST_NAMESPACE';

/** For the whole file, both runs. */
const FILE_TIMEOUT = sized(HANG_LIMIT, 900_000);

/** Registers the tests of `body` inside the namespace, where loopback is up; outside one test that runs them there. `programs`: what they need besides. */
export function inNamespace(name: string, file: string, body: () => void, programs: readonly string[] = []): void {
  if (process.env[MARK] === '1') {
    ip('link set lo up');
    describe(name, body);
    return;
  }
  const skip = missing('root', 'netns', 'tun', 'unshare', ...programs);
  it(`${name}, in a network namespace`, { skip, timeout: FILE_TIMEOUT }, async (test) => {
    for (const note of notesIn(await runAgain(file))) test.diagnostic(note);
  });
}

/** What the tests inside said of themselves, without the reporter's own summary. */
function notesIn(output: string): string[] {
  const notes = [...output.matchAll(/^ +ℹ (.+)$/gm)];
  return notes.map(([, note = '']) => note);
}

/** The iproute2 command of this namespace. */
export function ip(words: string): string {
  return execFileSync('ip', words.split(' '), { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What it printed. */
function runAgain(file: string): Promise<string> {
  const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
  // /sys shows the interfaces of the namespace it was mounted in.
  const script = 'mount -t sysfs sysfs /sys && exec "$0" --test-reporter=spec "$1"';
  const child = spawn('unshare', ['--net', '--mount', '/bin/sh', '-c', script, process.execPath, file], {
    env: { ...environment, [MARK]: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
    // What it printed until then says where it hangs.
    timeout: FILE_TIMEOUT - 10_000,
    killSignal: 'SIGKILL',
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => {
      const text = Buffer.concat(output).toString();
      if (status === 0) resolve(text);
      else reject(new Error(`status ${status}\n${text}`));
    });
  });
}
