import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { GatewayControlServer } from '../../../src/gateway/control/control-server.ts';
import { ALICE_STATUS, FakeTarget } from '../../gateway/control/fake-target.ts';
import { type Finished, type Program, type ProgramOptions, startProgram } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';

const PROGRAM = path.join(import.meta.dirname, 'occtl-program.ts');

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-occtl-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;

async function served(target = new FakeTarget()) {
  const file = path.join(folder, `${count++}.sock`);
  return { file, target, server: await GatewayControlServer.listen(target, file) };
}

const start = (args: readonly string[], options: ProgramOptions = {}): Promise<Program> =>
  startProgram(process.execPath, [PROGRAM, ...args], 'occtl', options);

const run = async (args: readonly string[], options: ProgramOptions = {}): Promise<Finished> => (await start(args, options)).finish();

const EVENT = { at: 0, id: 22_709, user: 'alice', host: 'default', remote: '192.0.2.2', address: '10.77.0.50' } as const;

describe('the program sallyport-occtl', () => {
  it('runs one command from its arguments, options first', async () => {
    const { file, server } = await served();
    await using _server = server;
    const shown = await run(['-n', '--debug', '-j', '-s', file, 'show', 'users']);
    assert.equal(shown.code, 0, shown.output);
    assert.equal(JSON.parse(shown.stdout)[1].Username, 'alice');
    const byName = await run([`--socket-file=${file}`, 'show', 'user', 'nobody']);
    assert.deepEqual([byName.code, byName.stdout], [2, 'user or ID not found\n']);
    const after = await run(['--socket-file', file, 'show', 'users', '-j']);
    assert.match(after.stdout, /^ +id +user/);
    const wrong = await run(['-s', file, 'sh', 'us']);
    assert.deepEqual(
      [wrong.code, wrong.stdout, wrong.stderr],
      [1, '', "unknown command: sh us\nuse help or '?' to get a list of the available commands\n"],
    );
  });

  it('says which socket nobody answers at', async () => {
    const file = path.join(folder, 'nobody.sock');
    const { code, stdout, stderr } = await run(['-s', file, 'show', 'status']);
    assert.deepEqual([code, stdout], [1, '']);
    assert.equal(stderr, `error connecting to ocserv socket '${file}': No such file or directory\n`);
  });

  it('shows help for options that it does not know, and its version', async () => {
    const help = await run(['-x']);
    assert.equal(help.code, 0);
    assert.match(help.stdout, /^occtl: \[OPTIONS\.\.\.\] \{COMMAND\}\n/);
    assert.equal((await run(['--help'])).stdout, help.stdout);
    const version = await run(['-v']);
    assert.match(version.stderr, /^OpenConnect server control \(occtl\) version 1\.1\.6\nSallyport /);
    assert.equal((await run(['--json'])).code, 1);
  });

  it('follows who comes and goes until q', async () => {
    const { file, target, server } = await served();
    await using _server = server;
    const program = await start(['-s', file, 'show', 'events'], { keepsInputOpen: true });
    await program.waitFor(/Press 'q' or CTRL\+C to quit/);
    target.watched.publish({ ...EVENT, type: 'connected' });
    target.watched.publish({ ...EVENT, type: 'disconnected', reason: 'user disconnected', duration: 2_000 });
    await program.waitFor(/disconnect user/);
    program.write('q');
    const { code, stdout } = await program.finish();
    assert.equal(code, 0);
    assert.deepEqual(stdout.split('\n').slice(1, -1).slice(2), [
      '',
      "Press 'q' or CTRL+C to quit",
      '',
      "default: connected user 'alice' (22709) from 192.0.2.2 with IP 10.77.0.50",
      "default: disconnect user 'alice' (22709) from 192.0.2.2 with IP 10.77.0.50 (reason: user disconnected, time:     2s)",
    ]);
  });

  it('follows in JSON, an object a line', async () => {
    const { file, target, server } = await served();
    await using _server = server;
    const program = await start(['-j', '-s', file, 'show', 'events'], { keepsInputOpen: true });
    // It says nothing before the first event, so events go on until it has seen one.
    const timer = setInterval(
      () => target.watched.publish({ ...EVENT, type: 'disconnected', reason: 'idle timeout', duration: 61_000 }),
      20,
    );
    await program.waitFor(/\n/);
    clearInterval(timer);
    program.write('q');
    const { stdout } = await program.finish();
    assert.deepEqual(JSON.parse(stdout.split('\n')[0] ?? ''), {
      Event: 'disconnected',
      ID: 22_709,
      Username: 'alice',
      vhost: 'default',
      'Remote IP': '192.0.2.2',
      IP: '10.77.0.50',
      At: '1970-01-01T00:00:00.000Z',
      Reason: 'idle timeout',
      Duration: ' 1m:01s',
      raw_duration: 61,
    });
  });

  it('ends with a word when the gateway goes while it watches', async () => {
    const { file, server } = await served();
    const program = await start(['-s', file, 'show', 'events'], { keepsInputOpen: true });
    await program.waitFor(/Press 'q'/);
    await server.close();
    const { code, stderr } = await program.finish();
    assert.equal(code, 1);
    assert.match(stderr, /The process ended before it answered\.|error connecting/);
  });

  it('takes commands from a prompt until exit', async () => {
    const { file, target, server } = await served();
    await using _server = server;
    const input = 'show users\nfoo\n\ndisconnect user alice\nshow ip\nexit\nshow users\n';
    const { code, stdout, stderr } = await run(['-s', file], { input });
    assert.equal(code, 0);
    assert.equal(stdout.split('> ').length, 7);
    assert.match(stdout, /alice {2}default/);
    assert.match(stdout, /user 'alice' was disconnected\n> +show ip bans\t/);
    assert.match(stderr, /^OpenConnect server control/);
    assert.match(stderr, /unknown command: foo\n/);
    assert.deepEqual(target.calls, ['disconnect user alice']);
  });

  it('goes on at the prompt when there is no gateway, and finds one that has come', async () => {
    const file = path.join(folder, 'later.sock');
    const program = await start(['-s', file], { keepsInputOpen: true });
    program.write('show status\n');
    await program.waitFor(/error connecting to ocserv socket/);
    await using _server = await GatewayControlServer.listen(new FakeTarget(), file);
    program.write('show status\n');
    await program.waitFor(/Status: online/);
    program.write('quit\n');
    assert.equal((await program.finish()).code, 0);
  });

  it('completes at a terminal, and pages what is longer than the screen', { skip: missing('script') }, async (t) => {
    const target = new FakeTarget();
    target.userList = Array.from({ length: 60 }, (_, id) => ({ ...ALICE_STATUS, id, user: `user${id}` }));
    const { file, server } = await served(target);
    await using _server = server;
    const command = `stty rows 24; PAGER="sed s/^/PAGED/" exec ${process.execPath} ${PROGRAM} -s ${file}`;
    const program = await startProgram('script', ['-qec', command, '/dev/null'], 'terminal', { keepsInputOpen: true });
    t.after(() => program.stop());
    await program.waitFor(/> /);
    program.write('sho\t');
    await program.waitFor(/show /);
    program.write('sta\t');
    await program.waitFor(/status /);
    program.write('\r');
    await program.waitFor(/Status: online/);
    program.write('show user user7\r');
    await program.waitFor(/Username: user7 /); // not paged
    const mark = program.output.length;
    program.write('show users\r');
    await program.waitFor(/PAGED +59 +user59/, { after: mark });
    await program.waitFor(/> /, { after: mark });
    program.write('exit\r');
    assert.equal((await program.finish()).code, 0);
  });
});
