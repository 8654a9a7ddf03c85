import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { UnsupportedError } from '../../../src/core/errors.ts';
import { ServiceManager, type ServiceManagerOptions } from '../../../src/node/processes/service-manager.ts';
import { startProgram } from '../../support/program.ts';
import { missing } from '../../support/requirements.ts';

const LISTENER = path.join(import.meta.dirname, 'notify-listener.ts');
const isLinux = process.platform === 'linux';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-notify-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
const newSocket = () => path.join(folder, `${count++}.sock`);

/** What arrives at a socket while something is done. */
async function messagesAt(socket: string, expected: number, talk: () => Promise<unknown>): Promise<string[]> {
  const listener = await startProgram(process.execPath, [LISTENER, socket, String(expected)], 'manager');
  await listener.waitFor(/listening/);
  await talk();
  const { stdout } = await listener.finish();
  return stdout
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line));
}

const withoutNative: Pick<ServiceManagerOptions, 'send'> = {
  send: () => {
    throw new UnsupportedError('koffi is missing');
  },
};

describe('a service manager', () => {
  it('hears how the service is', { skip: !isLinux && 'needs Linux' }, async () => {
    const socket = newSocket();
    const manager = new ServiceManager({ env: { NOTIFY_SOCKET: socket } });
    assert.equal(manager.isThere, true);
    const messages = await messagesAt(socket, 4, async () => {
      await manager.ready('Ready for 12 users');
      await manager.reloading();
      await manager.status('two\nlines');
      await manager.stopping('Draining');
    });
    assert.deepEqual(
      messages.map((message) => message.replace(/USEC=\d+/, 'USEC=N')),
      ['READY=1\nSTATUS=Ready for 12 users', 'RELOADING=1\nMONOTONIC_USEC=N', 'STATUS=two lines', 'STOPPING=1\nSTATUS=Draining'],
    );
  });

  it('hears at an abstract name, too', { skip: !isLinux && 'needs Linux' }, async () => {
    const socket = `@sallyport-test-${process.pid}`;
    const manager = new ServiceManager({ env: { NOTIFY_SOCKET: socket } });
    assert.deepEqual(await messagesAt(socket, 1, () => manager.status('ü')), ['STATUS=ü']);
  });

  it('hears the same of systemd-notify, where there is no koffi', { skip: missing('systemd-notify') }, async () => {
    const socket = newSocket();
    const manager = new ServiceManager({ env: { NOTIFY_SOCKET: socket }, ...withoutNative });
    const [message] = await messagesAt(socket, 1, () => manager.ready('Ready'));
    assert.deepEqual(message?.trim().split('\n').toSorted(), [`MAINPID=${process.pid}`, 'READY=1', 'STATUS=Ready']);
  });

  it('hears nothing where there is none, and programs that we start do not know of it', async () => {
    const silent = new ServiceManager({ env: {}, send: () => assert.fail('sent') });
    assert.equal(silent.isThere, false);
    await silent.ready('');
    assert.equal(new ServiceManager({ env: { NOTIFY_SOCKET: 'relative/path' } }).isThere, false);
    const env = { NOTIFY_SOCKET: '/run/systemd/notify' };
    assert.equal(new ServiceManager({ env }).isThere, true);
    assert.deepEqual(env, {});
  });

  it('that has gone is an error with its name', { skip: !isLinux && 'needs Linux' }, async () => {
    const socket = newSocket();
    await assert.rejects(new ServiceManager({ env: { NOTIFY_SOCKET: socket } }).ready(''), { code: 'ENOENT', message: new RegExp(socket) });
    await assert.rejects(new ServiceManager({ env: { NOTIFY_SOCKET: `/${'x'.repeat(120)}` } }).ready(''), /too long/);
  });
});
