import assert from 'node:assert/strict';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { PeerRefusedError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { sessionEnvironment } from '../../../src/gateway/network/session-environment.ts';
import { MAX_SCRIPTS_AT_ONCE, SessionScripts } from '../../../src/gateway/network/session-scripts.ts';
import { ALICES_SESSION, variablesOf } from './session-facts.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-scripts-'));
after(() => rmSync(folder, { recursive: true }));

function script(name: string, body: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  return file;
}

const refused = (reason: RegExp) => (error: unknown) => error instanceof PeerRefusedError && reason.test(error.message);

describe('session scripts', () => {
  it('run without arguments in the root folder, with our environment and the session’s on top', async () => {
    const out = path.join(folder, 'env');
    process.env.OCSERV_NEXT_SCRIPT = 'inherited by mistake';
    process.env.SALLYPORT_TEST_INHERITED = 'yes';
    const connect = script('dump', `env -0 > ${out}; echo "$# $PWD" >> ${out}.args`);
    await new SessionScripts({ scripts: { connect }, log: silentLogger }).run('connect', ALICES_SESSION);
    const variables = variablesOf(readFileSync(out, 'utf8'));
    const expected = sessionEnvironment('connect', ALICES_SESSION).set;
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, variables[name]])), expected);
    assert.equal(variables.OCSERV_NEXT_SCRIPT, undefined);
    assert.equal(variables.SALLYPORT_TEST_INHERITED, 'yes');
    assert.equal(readFileSync(`${out}.args`, 'utf8'), '0 /\n');
  });

  it('send what they print to the descriptor that they are given', async () => {
    const file = path.join(folder, 'printed');
    const output = openSync(file, 'w');
    const connect = script('print', 'echo out; echo err >&2');
    await new SessionScripts({ scripts: { connect }, log: silentLogger, output }).run('connect', ALICES_SESSION);
    closeSync(output);
    assert.equal(readFileSync(file, 'utf8'), 'out\nerr\n');
  });

  it('refuse the client when connect says no, dies, hangs, or cannot be run', async () => {
    const run = (connect: string, maxTime?: number) => {
      const scripts = new SessionScripts({ scripts: { connect }, log: silentLogger, ...(maxTime !== undefined && { maxTime }) });
      return scripts.run('connect', ALICES_SESSION);
    };
    await assert.rejects(run(script('no', 'exit 3')), refused(/said no \(status 3\)/));
    await assert.rejects(run(script('dead', 'kill -TERM $$')), refused(/ended by SIGTERM/));
    await assert.rejects(run(path.join(folder, 'none')), refused(/could not be run.*ENOENT/));
    writeFileSync(path.join(folder, 'plain'), 'exit 0', { mode: 0o644 });
    await assert.rejects(run(path.join(folder, 'plain')), refused(/could not be run.*EACCES/));
    await assert.rejects(run(script('hang', 'sleep 100 & wait'), 200), refused(/took more than 200 ms/));
  });

  it('are not there: nothing happens', async () => {
    const scripts = new SessionScripts({ scripts: {}, log: silentLogger });
    for (const kind of ['connect', 'disconnect', 'host-update'] as const) await scripts.run(kind, ALICES_SESSION);
    await scripts.settled();
  });

  it('do not keep anyone waiting but for connect, and are known until they end', async () => {
    const [pipe, ended] = [path.join(folder, 'go'), path.join(folder, 'ended')];
    const disconnect = script('wait', `while [ ! -e ${pipe} ]; do sleep 0.01; done; echo "$REASON $STATS_DURATION" > ${ended}`);
    const failures: unknown[] = [];
    const log = { log: (level: string, event: string, fields?: object) => level === 'error' && failures.push([event, fields]) };
    const scripts = new SessionScripts({ scripts: { disconnect, hostUpdate: script('fails', 'exit 1') }, log });
    await scripts.run('disconnect', { ...ALICES_SESSION, usage: { received: 1, sent: 2, duration: 61_999 } });
    await scripts.run('host-update', ALICES_SESSION);
    assert.ok(!existsSync(ended));
    writeFileSync(pipe, '');
    await scripts.settled();
    assert.equal(readFileSync(ended, 'utf8'), 'disconnect 61\n');
    assert.equal(failures.length, 1);
  });

  it('run only so many at once, and all in the end', async () => {
    const log = path.join(folder, 'at-once');
    const disconnect = script('count', `echo + >> ${log}; sleep 0.05; echo - >> ${log}`);
    const scripts = new SessionScripts({ scripts: { disconnect }, log: silentLogger });
    const sessions = MAX_SCRIPTS_AT_ONCE + 8;
    for (let i = 0; i < sessions; i++) await scripts.run('disconnect', ALICES_SESSION);
    await scripts.settled();
    const signs = readFileSync(log, 'utf8').split('\n').filter(Boolean);
    let [running, most] = [0, 0];
    for (const sign of signs) {
      running += sign === '+' ? 1 : -1;
      most = Math.max(most, running);
    }
    assert.equal(signs.length, 2 * sessions);
    assert.ok(most <= MAX_SCRIPTS_AT_ONCE, String(most));
  });
});

describe('a script’s environment', () => {
  const of = (more: Partial<typeof ALICES_SESSION>, reason: 'connect' | 'disconnect' = 'connect') =>
    sessionEnvironment(reason, { ...ALICES_SESSION, ...more }).set;

  it('makes one line of what a client says, and not a long one', () => {
    const client = { hostname: 'a\nb', userAgent: `x\u0000y\u001b[1m\r\n${'z'.repeat(1000)}`, deviceType: '$(reboot)' };
    const set = of({ client });
    assert.equal(set.HOSTNAME, 'a b');
    assert.match(set.USER_AGENT ?? '', /^xy\[1m z{250}$/);
    assert.equal(set.DEVICE_TYPE, '$(reboot)'); // no shell reads it
  });

  it('has no variable for what there is not', () => {
    const set = of({ lease: {}, client: { userAgent: '' }, policy: { dns: [], routes: [], noRoutes: [], restrictsToRoutes: false } });
    assert.deepEqual(Object.keys(set).sort(), [
      'DEVICE',
      'DEVICE_PLATFORM',
      'DEVICE_TYPE',
      'GROUPNAME',
      'ID',
      'IP_REAL',
      'IP_REAL_LOCAL',
      'REASON',
      'USERNAME',
      'USER_AGENT',
      'VHOST',
    ]);
  });

  it('names everything that it may set among what is not inherited', () => {
    const usage = { received: 1, sent: 2, duration: 3000 };
    const policy = {
      ...ALICES_SESSION.policy,
      restrictsToRoutes: true,
      restrictsToPorts: { isNegated: true, ports: [{ protocol: 'tcp', port: 1 }] },
    } as const;
    const { set, unset } = sessionEnvironment('disconnect', { ...ALICES_SESSION, usage, policy });
    assert.deepEqual(
      Object.keys(set).filter((name) => !unset.includes(name)),
      [],
    );
  });
});
