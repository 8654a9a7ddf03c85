import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import type { LogLevel } from '../../../src/core/log.ts';
import { recover } from '../../../src/node/network/recover.ts';
import { ScriptRunner } from '../../../src/node/network/script-runner.ts';
import { ScriptSession } from '../../../src/node/network/script-session.ts';
import { lanMachine } from './samples.ts';

const root = realpathSync(mkdtempSync(path.join(tmpdir(), 'sallyport-script-session-')));
after(() => rmSync(root, { recursive: true }));
let folder = root;
let directory = root;
let count = 0;
beforeEach(() => {
  folder = path.join(root, String(++count));
  directory = path.join(folder, 'state');
  mkdirSync(folder);
});

const SCRIPT = 'echo "$reason $VPNPID $TUNDEV $INTERNAL_IP4_ADDRESS [$CISCO_CSTP_OPTIONS]" >> log';
const ENVIRONMENT = {
  VPNPID: '4711',
  TUNDEV: 'no-such-tun',
  INTERNAL_IP4_ADDRESS: '10.0.0.2',
  CISCO_SPLIT_INC: '1',
  CISCO_SPLIT_INC_0_ADDR: '10.0.0.0',
  CISCO_CSTP_OPTIONS: 'X-CSTP-Post-Auth-XML=<secret/>',
  CISCO_BANNER: 'a secret too',
  CISCO_PROXY_PAC: 'http://user:secret@proxy/',
  SECRET: 'secret',
};

function session(command = SCRIPT): ScriptSession {
  return new ScriptSession(new ScriptRunner({ command, cwd: folder, stdin: 'ignore', stdout: 'ignore' }), { directory });
}

const environment = (reason: string, more: Record<string, string> = {}) => ({
  set: { ...ENVIRONMENT, reason, ...more },
  unset: ['CISCO_DEF_DOMAIN'],
});
const journals = () => (existsSync(directory) ? readdirSync(directory) : []);
const log = () => readFileSync(path.join(folder, 'log'), 'utf8');
const recovering = () => recover({ directory, machine: lanMachine(), scriptOutput: 'ignore' });

function abandon(): void {
  for (const file of journals())
    renameSync(path.join(directory, file), path.join(directory, file.replace(/\.\d+-\d+\.jsonl$/, '.999999999-1.jsonl')));
}

describe('a script session', () => {
  it('has a journal from connect to disconnect', async () => {
    const script = session('true');
    const counts: number[] = [];
    for (const reason of ['pre-init', 'connect', 'attempt-reconnect', 'reconnect', 'disconnect']) {
      await script.run(environment(reason));
      counts.push(journals().length);
    }
    assert.deepEqual(counts, [0, 1, 1, 1, 0]);
  });

  it('writes down what a disconnect needs, and no secret', async () => {
    await session().run(environment('connect'));
    const text = readFileSync(path.join(directory, journals()[0] ?? ''), 'utf8');
    assert.match(text, /"INTERNAL_IP4_ADDRESS":"10\.0\.0\.2"/);
    assert.match(text, /"CISCO_SPLIT_INC_0_ADDR":"10\.0\.0\.0"/);
    assert.doesNotMatch(text, /secret/i);
  });

  it('runs on, and says so in the log, where a journal cannot be written', async () => {
    writeFileSync(directory, 'in the way');
    const entries: [LogLevel, string][] = [];
    const runner = new ScriptRunner({ command: SCRIPT, cwd: folder });
    const script = new ScriptSession(runner, { directory, log: { log: (level, event) => entries.push([level, event]) } });
    assert.deepEqual(await script.run(environment('connect')), { kind: 'ok' });
    assert.deepEqual(entries, [['warn', 'script journal failed']]);
    assert.match(log(), /^connect/);
  });

  it('keeps its journal when a disconnect was killed in the middle', async () => {
    const script = session('test $reason = connect || kill -KILL $$');
    await script.run(environment('connect'));
    await script.run(environment('disconnect'));
    assert.equal(journals().length, 1);
  });
});

describe('the recovery of a script session', () => {
  it("runs the script's disconnect with the values of the last reconnect, but for what may be secret", async () => {
    const script = session();
    await script.run(environment('connect'));
    await script.run(environment('reconnect', { INTERNAL_IP4_ADDRESS: '10.0.0.3' }));
    abandon();
    const [report, ...others] = await recovering();
    assert.equal(others.length, 0);
    assert.equal(report?.outcome, 'undone');
    assert.deepEqual(report?.lines, [
      `The script session by process ${process.pid} was left behind.`,
      `Ran its script '${SCRIPT}' to disconnect.`,
    ]);
    assert.equal(log().split('\n').at(-2), 'disconnect 4711 no-such-tun 10.0.0.3 []');
    assert.deepEqual(journals(), []);
    assert.deepEqual(await recovering(), []);
  });

  it('is tried once where the script dies of a signal, and says what is left to do', async () => {
    await session('echo "$reason" >> log; test $reason = connect || kill -KILL $$').run(environment('connect'));
    abandon();
    const [report] = await recovering();
    assert.equal(report?.outcome, 'incomplete');
    assert.equal(report?.file, undefined);
    assert.match(report?.lines.at(-2) ?? '', /exited abnormally \(SIGKILL\)$/);
    assert.equal(report?.lines.at(-1), 'It is not run again: look at addresses, routes and DNS yourself.');
    assert.deepEqual(journals(), []);
    assert.deepEqual(await recovering(), []);
    assert.equal(log(), 'connect\ndisconnect\n');
  });

  it('happens once, however many start it', async () => {
    await session().run(environment('connect'));
    abandon();
    const reports = await Promise.all([recovering(), recovering(), recovering()]);
    assert.equal(reports.flat().length, 1);
    assert.equal(log().match(/^disconnect/gm)?.length, 1);
  });

  it('leaves the sessions of the living alone', async () => {
    await session().run(environment('connect'));
    assert.deepEqual(await recovering(), []);
    assert.equal(journals().length, 1);
    assert.doesNotMatch(log(), /disconnect/);
  });

  it('waits for the script that was running when its process died', async () => {
    const command = 'if test $reason = connect; then sleep 0.3; fi; echo "$reason done" >> log';
    const running = session(command).run(environment('connect'));
    while (journals().every((file) => !readFileSync(path.join(directory, file), 'utf8').includes('"running"')))
      await new Promise(setImmediate);
    abandon();
    await recovering();
    assert.equal(log(), 'connect done\ndisconnect done\n');
    await running;
  });

  it('waits for another time while the device of its name is not its own', async () => {
    await session().run(environment('connect', { TUNDEV: 'lo' }));
    abandon();
    const [file = ''] = journals();
    const text = readFileSync(path.join(directory, file), 'utf8');
    assert.match(text, /"device":\{"name":"lo","index":1\}/);
    writeFileSync(path.join(directory, file), text.replace('"index":1}', '"index":999999}'));
    const [report] = await recovering();
    assert.equal(report?.outcome, 'left');
    assert.match(report?.lines.join() ?? '', /lo is another program's device by now/);
    assert.equal(journals().length, 1);
    assert.doesNotMatch(log(), /disconnect/);
  });

  it('does not run in another network, nor after a restart of the machine', async () => {
    for (const [pattern, replacement, outcome] of [
      [/"network":"[^"]*"/, '"network":"net:[1]"', 'left'],
      [/"boot":"[^"]*"/, '"boot":"another"', 'undone'],
    ] as const) {
      await session().run(environment('connect'));
      abandon();
      const [file = ''] = journals();
      writeFileSync(path.join(directory, file), readFileSync(path.join(directory, file), 'utf8').replace(pattern, replacement));
      const [report] = await recovering();
      assert.equal(report?.outcome, outcome);
      assert.equal(journals().length, outcome === 'left' ? 1 : 0);
      assert.doesNotMatch(log(), /disconnect/);
      rmSync(directory, { recursive: true });
    }
  });
});
