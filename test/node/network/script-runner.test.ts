import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { CancelledError, MisuseError } from '../../../src/core/errors.ts';
import { describeScriptOutcome, mergedEnvironment, type ScriptOutcome, ScriptRunner } from '../../../src/node/network/script-runner.ts';
import { isRunning, type ProcessIdentity } from '../../../src/node/processes/process-identity.ts';
import { missing } from '../../support/requirements.ts';

const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'sallyport-scripts-')));
after(() => rmSync(folder, { recursive: true }));
const output = path.join(folder, 'output');
beforeEach(() => rmSync(output, { force: true }));

/** Runs a script with its output in a file. */
async function run(
  command: string,
  set: Record<string, string> = {},
  unset: string[] = [],
): Promise<{ outcome: ScriptOutcome; text: string }> {
  const descriptor = openSync(output, 'w');
  try {
    const runner = new ScriptRunner({ command, stdin: 'ignore', stdout: descriptor, stderr: descriptor, cwd: folder });
    const outcome = await runner.run({ set, unset });
    return { outcome, text: readFileSync(output, 'utf8') };
  } finally {
    closeSync(descriptor);
  }
}

describe('the network script', () => {
  it('is a shell command line, with arguments and all', async () => {
    const { outcome, text } = await run(`printf '%s|' "$0" 'a b' $reason; pwd`, { reason: 'connect' });
    assert.deepEqual(outcome, { kind: 'ok' });
    assert.equal(text, `/bin/sh|a b|connect|${folder}\n`);
  });

  for (const [what, happens] of [
    ['is gone by then', 'rmSync(process.cwd(), { recursive: true });'],
    ['is gone before', 'rmSync(process.cwd(), { recursive: true }); isGone = true;'],
    ['is closed to who we are by then', 'process.setuid(65534);'],
  ] as const) {
    it(`runs where our own folder ${what}`, { skip: process.getuid?.() !== 0 && 'only root can become somebody else' }, () => {
      const ours = mkdtempSync(path.join(tmpdir(), 'sallyport-scripts-'));
      const module = path.resolve(import.meta.dirname, '../../../src/node/network/script-runner.ts');
      const program = `
        import { rmSync } from 'node:fs';
        import { ScriptRunner } from ${JSON.stringify(module)};
        let isGone = false;
        const make = () => new ScriptRunner({ command: 'exit 7', stdin: 'ignore' });
        const early = make();
        ${happens}
        console.log(JSON.stringify(await (isGone ? make() : early).run({ set: {}, unset: [] })));`;
      const said = execFileSync(process.execPath, ['--no-warnings', '--input-type=module', '--eval', program], {
        cwd: ours,
        encoding: 'utf8',
      });
      rmSync(ours, { recursive: true, force: true });
      assert.deepEqual(JSON.parse(said), { kind: 'failed', status: 7 });
    });
  }

  it('runs in the root where the folder that is named is gone', async () => {
    const runner = new ScriptRunner({ command: 'test "$PWD" = /', cwd: path.join(folder, 'gone'), stdin: 'ignore' });
    assert.deepEqual(await runner.run({ set: {}, unset: [] }), { kind: 'ok' });
  });

  it('may be empty: the shell then does nothing', async () => {
    assert.deepEqual((await run('')).outcome, { kind: 'ok' });
  });

  it('sees our environment, with what is set on top and without what is unset', async () => {
    process.env.SALLYPORT_TEST_KEPT = 'kept';
    process.env.CISCO_BANNER = 'stale';
    try {
      const { text } = await run('echo "$SALLYPORT_TEST_KEPT,$TUNDEV,$(printenv CISCO_BANNER || echo unset)"', { TUNDEV: 'tun0' }, [
        'CISCO_BANNER',
      ]);
      assert.equal(text, 'kept,tun0,unset\n');
    } finally {
      delete process.env.SALLYPORT_TEST_KEPT;
      delete process.env.CISCO_BANNER;
    }
  });

  it('gets what a gateway sent as it is, and nothing of it runs', async () => {
    const banner = `$(touch pwned) \`touch pwned\` "; touch pwned; '\nline two`;
    const { text } = await run('printf %s "$CISCO_BANNER"; ls', { CISCO_BANNER: banner });
    assert.equal(text, `${banner}output\n`);
  });

  it('can fail, be missing, or be killed: each is another outcome, and said', async () => {
    const cases: readonly [string, ScriptOutcome, RegExp][] = [
      ['exit 3', { kind: 'failed', status: 3 }, /^Script 'exit 3' returned error 3$/],
      ['/no/such/script', { kind: 'not-executed', status: 127 }, /^Script '\/no\/such\/script' returned error 127$/],
      ['kill -KILL $$', { kind: 'killed', signal: 'SIGKILL' }, /^Script 'kill -KILL \$\$' exited abnormally \(SIGKILL\)$/],
    ];
    for (const [command, expected, words] of cases) {
      const { outcome } = await run(command);
      assert.deepEqual(outcome, expected);
      assert.match(describeScriptOutcome(command, outcome) ?? '', words);
    }
    assert.equal(describeScriptOutcome('x', { kind: 'ok' }), undefined);
  });

  it('is said not to start where it cannot', async () => {
    const tooLong = await run('true', { CISCO_BANNER: 'x'.repeat(1_000_000) });
    assert.equal(tooLong.outcome.kind, 'not-executed');
    assert.match(describeScriptOutcome('true', tooLong.outcome) ?? '', /could not be started: .*E2BIG/);
  });

  it('is not waited for longer than it runs, whatever it left running', async () => {
    const { outcome, text } = await run('sleep 60 & echo $!');
    assert.deepEqual(outcome, { kind: 'ok' });
    process.kill(Number(text));
  });

  it('ends when the caller says so', async () => {
    const stop = new AbortController();
    let script: ProcessIdentity | undefined;
    const onStart = (identity: ProcessIdentity) => {
      script = identity;
      stop.abort();
    };
    const runner = new ScriptRunner({ command: 'exec sleep 60' });
    const begun = performance.now();
    await assert.rejects(runner.run({ set: {}, unset: [] }, { signal: stop.signal, onStart }), CancelledError);
    assert.ok(performance.now() - begun < 30_000);
    assert.ok(script !== undefined && !isRunning(script));
    await assert.rejects(runner.run({ set: {}, unset: [] }, { signal: AbortSignal.abort() }), CancelledError);
  });

  it('cannot be given what no environment can hold', async () => {
    assert.throws(() => new ScriptRunner({ command: 'a\0b' }), MisuseError);
    for (const set of [{ 'a=b': 'x' }, { '': 'x' }, { 'a b': 'x' }, { A: 'x\0y' }]) {
      assert.throws(() => mergedEnvironment({}, { set: set as Record<string, string>, unset: [] }), MisuseError);
    }
  });
});

describe('a Ctrl-C at the terminal', { skip: missing('script') }, () => {
  it('does not cut the script, even if it reaches it', async () => {
    // A terminal of its own (script(1)), our runner in its foreground, and the interrupt character typed into it while the script runs.
    const source = path.join(import.meta.dirname, '../../../src/node/network/script-runner.ts');
    const program = `
      process.on('SIGINT', () => console.log('we got it'));
      const { ScriptRunner } = await import(${JSON.stringify(source)});
      const runner = new ScriptRunner({ command: 'trap "echo script got it; exit 9" INT; echo ready; read line; echo "$line"' });
      console.log(JSON.stringify(await runner.run({ set: {}, unset: [] })));`;
    const command = `${process.execPath} --disable-warning=ExperimentalWarning --input-type=module -e '${program.replaceAll("'", `'\\''`)}'`;
    const terminal = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'inherit'] });
    let seen = '';
    for await (const chunk of terminal.stdout) {
      const before = seen;
      seen += String(chunk);
      const isFirst = (word: string) => seen.includes(word) && !before.includes(word);
      if (isFirst('ready')) terminal.stdin.write('\x03');
      if (isFirst('we got it')) terminal.stdin.write('to its end\n');
    }
    assert.match(seen, /we got it[\s\S]*to its end[\s\S]*"kind":"ok"/);
    assert.doesNotMatch(seen, /script got it/);
    if (terminal.exitCode === null) await once(terminal, 'exit');
  });
});
