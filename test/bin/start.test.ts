/** What a command loads and starts before it knows that it is needed: each module of Node's own costs milliseconds at every start, a thread tens. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assertBuilt, DROP_IN, DROP_IN_FILE } from '../support/drop-in.ts';

/** They take a connection, a script or a file to be needed. */
const LATER = ['tls', 'crypto', 'net', 'child_process', 'dgram', 'dns', 'fs/promises', 'zlib', 'http', 'readline'];

/** Notes at the end which of Node's own modules were loaded, which files, and how many threads were started. */
const WITNESS = `
  const fs = require('node:fs');
  const { readFileSync, writeFileSync } = fs;
  const threads = require('node:worker_threads');
  const files = [];
  let workers = 0;
  fs.readFileSync = (file, ...how) => { files.push(String(file)); return readFileSync(file, ...how); };
  const { Worker } = threads;
  threads.Worker = class extends Worker { constructor(...values) { super(...values); workers++; } };
  if (threads.isMainThread) process.on('exit', () => writeFileSync(process.env.WITNESS_FILE, JSON.stringify({
    builtins: process.moduleLoadList.filter((name) => name.startsWith('NativeModule ')).map((name) => name.slice(13)),
    files,
    workers,
  })));`;

interface Seen {
  readonly builtins: readonly string[];
  readonly files: readonly string[];
  readonly workers: number;
}

describe('the drop-in', () => {
  let folder = '';
  before(() => {
    assertBuilt();
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-start-'));
    writeFileSync(path.join(folder, 'witness.cjs'), WITNESS);
    writeFileSync(
      path.join(folder, 'arguments.cjs'),
      'console.error(JSON.stringify(process.execArgv), JSON.stringify(process.argv.slice(2)))',
    );
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** The command from its start to its end. Its streams are files, as pipes would take node:net. */
  function seen(...args: readonly string[]): Seen {
    const [node, script = ''] = DROP_IN;
    const command = 'folder=$1; shift; exec "$0" --require "$folder/witness.cjs" "$@" </dev/null >"$folder/out" 2>"$folder/err"';
    const file = path.join(folder, 'seen');
    const { error } = spawnSync('sh', ['-c', command, node, folder, script, ...args], {
      env: { ...process.env, WITNESS_FILE: file },
      timeout: 60_000,
    });
    if (error !== undefined) throw error;
    return JSON.parse(readFileSync(file, 'utf8'));
  }

  it("loads none of Node's network modules before it connects, and two or three files of its own", () => {
    const { builtins, files } = seen('--version');
    assert.ok(builtins.includes('worker_threads'), 'the witness sees what is loaded');
    assert.deepEqual(
      LATER.filter((name) => builtins.includes(name)),
      [],
    );
    const ours = files.filter((file) => file.includes('/dist/bundle/'));
    assert.ok(ours.length > 0 && ours.length <= 3, ours.join());
  });

  it('is a program by itself, by whatever name, and has no list of authorities read that it does not use', () => {
    const name = path.join(folder, 'openconnect');
    symlinkSync(DROP_IN_FILE, name);
    const { stderr, status } = spawnSync(name, ['--nosuch', 'a b'], {
      encoding: 'utf8',
      env: {
        ...process.env,
        PATH: `${path.dirname(process.execPath)}:${process.env.PATH}`,
        NODE_OPTIONS: `--require ${folder}/arguments.cjs`,
      },
      timeout: 60_000,
    });
    assert.equal(status, 1);
    assert.match(stderr, /^\["--use-openssl-ca"\] \["--nosuch","a b"\]\nopenconnect: unrecognized option '--nosuch'$/m);
  });

  it('starts no thread where there will be no tunnel', () => {
    for (const option of ['--version', '-V', '--help', '--authenticate', '--cookieonly']) {
      assert.equal(seen(option, '--non-inter', '127.0.0.1:1').workers, 0, option);
    }
  });

  it('starts one where there will be', () => {
    for (const options of [[], ['--authgroup', 'x'], ['-q'], ['--verbose'], ['--printcookie']]) {
      assert.equal(seen(...options, '--non-inter', '127.0.0.1:1').workers, 1, options.join(' '));
    }
  });
});
