import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { inheritedSockets, MAX_INHERITED_SOCKETS } from '../../../src/node/processes/socket-activation.ts';
import { startProgram } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';

const PROGRAM = path.join(import.meta.dirname, 'inherited-program.ts');
const PID = 4711;

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-sockets-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const byName = (_fd: number, name: string) => (name === 'dtls' ? 'datagram' : 'stream') as 'datagram' | 'stream';
const read = (env: NodeJS.ProcessEnv) => inheritedSockets(env, PID, byName);

describe('sockets of a service manager', () => {
  it('are numbered from 3, with the names of the unit', () => {
    assert.deepEqual(read({ LISTEN_PID: '4711', LISTEN_FDS: '3', LISTEN_FDNAMES: 'https:dtls' }), [
      { fd: 3, name: 'https', kind: 'stream' },
      { fd: 4, name: 'dtls', kind: 'datagram' },
      { fd: 5, name: 'unknown', kind: 'stream' },
    ]);
  });

  it('are none without the variables, or when they are meant for another process', () => {
    for (const env of [{}, { LISTEN_FDS: '1' }, { LISTEN_PID: '4711' }, { LISTEN_PID: '4712', LISTEN_FDS: '1' }] as NodeJS.ProcessEnv[])
      assert.deepEqual(read(env), []);
  });

  it('are taken out of the environment of programs that we start', () => {
    const env = { LISTEN_PID: '4712', LISTEN_FDS: '1', LISTEN_FDNAMES: 'a', HOME: '/root' };
    read(env);
    assert.deepEqual(env, { HOME: '/root' });
  });

  it('are not believed to be very many, or to be of any kind', () => {
    for (const count of ['-1', '1.5', 'x', '', String(MAX_INHERITED_SOCKETS + 1), '99999'])
      assert.throws(() => read({ LISTEN_PID: '4711', LISTEN_FDS: count }), MisuseError, count);
    assert.throws(() => inheritedSockets({ LISTEN_PID: '4711', LISTEN_FDS: '1' }, PID, () => undefined), /ListenStream/);
  });

  it('come from the real one, a stream and its name', { skip: missing('systemd-socket-activate') }, async () => {
    const file = path.join(folder, 'stream.sock');
    const manager = await activate(['--listen', file, '--fdname', 'https']);
    const client = connect(file).on('error', () => undefined); // nobody takes the connection
    await once(client, 'connect');
    const { stdout } = await manager.finish();
    client.destroy();
    assert.deepEqual(JSON.parse(stdout), { sockets: [{ fd: 3, name: 'https', kind: 'stream' }], left: [], child: false });
  });

  it('come from the real one, datagrams', { skip: missing('systemd-socket-activate', 'systemd-notify') }, async () => {
    const file = path.join(folder, 'datagram.sock');
    const manager = await activate(['--datagram', '--listen', file, '--fdname', 'x']);
    // Any datagram wakes it up.
    const knock = await startProgram('systemd-notify', ['--ready'], 'knock', { env: { NOTIFY_SOCKET: file } });
    await knock.finish();
    const { stdout } = await manager.finish();
    assert.deepEqual(JSON.parse(stdout).sockets, [{ fd: 3, name: 'x', kind: 'datagram' }]);
  });
});

async function activate(args: readonly string[]) {
  const manager = await startProgram('systemd-socket-activate', [...args, process.execPath, PROGRAM], 'manager');
  await manager.waitFor(/Listening on/);
  return manager;
}
