/** The README's first command, as a newcomer runs it: as anybody, on a machine with nothing but Node. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertBuilt } from '../support/drop-in.ts';
import { OUR_GATEWAY } from '../support/gateway-program.ts';
import { type Finished, type Program, startProgram } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { AS_NOBODY } from './proxy-scene.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const DEMO = path.join(ROOT, 'examples/demo/demo.ts');
const HIDE_KOFFI = path.join(ROOT, 'test/node/ffi/hide-koffi.ts');

const TOOK = /It works, and took (\d+\.\d) s\.\n$/;

/** Of two at once. The everyday tests share the machine with others. */
const MAX_SECONDS = sized(60, 15);

/** Everything that a demo starts has its folder in its environment, so that what is left can be told from others' processes. */
function start(
  folder: string,
  { as = [], env = {} }: { as?: readonly string[]; env?: Readonly<Record<string, string>> } = {},
): Promise<Program> {
  const [command = process.execPath, ...words] = [...as, process.execPath, DEMO];
  return startProgram(command, words, 'demo', { env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', TMPDIR: folder, ...env } });
}

function processesOf(folder: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`TMPDIR=${folder}`)) return [];
        return [readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ')];
      } catch {
        return []; // it has ended, or is another user's
      }
    });
}

function assertNothingLeft(folder: string): void {
  assert.deepEqual(readdirSync(folder), []);
  assert.deepEqual(processesOf(folder), []);
}

function assertWorked({ code, stdout, stderr }: Finished): void {
  assert.equal(stderr, '');
  assert.equal(code, 0);
  for (const words of [/over DTLS\.\n +\d+ ms, \d+ Mbit\/s\. SHA-256/, /over TLS\.\n +\d+ ms, \d+ Mbit\/s\. SHA-256/, TOOK]) {
    assert.match(stdout, words);
  }
}

describe('the demo', { timeout: HANG_LIMIT, concurrency: sized(2, 1) }, () => {
  const folders: string[] = [];
  const newFolder = () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'demo-test-'));
    folders.push(folder);
    return folder;
  };
  before(() => assertBuilt(OUR_GATEWAY.command));
  after(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });

  it('brings a file through a tunnel of its own, by DTLS and by TLS, twice at once, and leaves nothing', async (test) => {
    const [one, two] = [newFolder(), newFolder()];
    const programs = await Promise.all([start(one), start(two)]);
    for (const program of programs) {
      const finished = await program.finish({ within: 60_000 });
      assertWorked(finished);
      const seconds = Number(TOOK.exec(finished.stdout)?.[1]);
      test.diagnostic(`${seconds} s`);
      assert.ok(seconds < MAX_SECONDS, finished.stdout);
    }
    for (const folder of [one, two]) assertNothingLeft(folder);
  });

  it('does so for nobody, without capabilities and without koffi', { skip: missing('root', 'setpriv') }, async () => {
    const folder = newFolder();
    chmodSync(folder, 0o777);
    const program = await start(folder, { as: ['setpriv', ...AS_NOBODY], env: { NODE_OPTIONS: `--import=${HIDE_KOFFI}` } });
    assertWorked(await program.finish({ within: 60_000 }));
    assertNothingLeft(folder);
  });

  for (const [moment, words] of [
    ['while the gateway starts', /Starting a gateway/],
    ['while the client connects', /Starting a client/],
    ['in the middle of the file', /over DTLS/],
  ] as const) {
    it(`ends well when it is interrupted ${moment}`, async () => {
      const folder = newFolder();
      const program = await start(folder);
      await program.waitFor(words, { within: 30_000 });
      program.signal('SIGINT');
      const { code, stderr } = await program.finish({ within: 20_000 });
      assert.match(stderr, /Interrupted/);
      assert.equal(code, 130);
      assertNothingLeft(folder);
    });
  }
});
