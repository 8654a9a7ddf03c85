import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { NetworkError, SallyportError } from '../../../src/core/errors.ts';
import { MAX_NAME_LENGTH } from '../../../src/gateway/control/control-request.ts';
import { GatewayControlServer } from '../../../src/gateway/control/control-server.ts';
import { GatewayControl } from '../../../src/gateway/control/gateway-control.ts';
import { ControlClient } from '../../../src/node/control-socket.ts';
import { startProgram } from '../../support/program.ts';
import { ALICE_STATUS, FakeTarget } from './fake-target.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-occtl-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
const newFile = () => path.join(folder, `${count++}.sock`);

const forever = new AbortController().signal;

describe('the control socket of a gateway', () => {
  it('answers with all that the gateway knows, as it was', async () => {
    const target = new FakeTarget();
    target.banList = [{ address: '192.0.2.9', score: 40, bannedUntil: 5 }];
    const file = newFile();
    await using _server = await GatewayControlServer.listen(target, file);
    using control = await GatewayControl.connect(file);
    assert.deepEqual(await control.status(), await target.status());
    assert.deepEqual(await control.users(), target.userList);
    assert.deepEqual(await control.sessions(), target.sessionList);
    assert.deepEqual(await control.bans(), target.banList);
  });

  it('passes actions on, and says what came of them', async () => {
    const target = new FakeTarget();
    const file = newFile();
    await using _server = await GatewayControlServer.listen(target, file);
    using control = await GatewayControl.connect(file);
    assert.equal(await control.disconnectUser('alice'), 1);
    assert.equal(await control.disconnectUser('nobody'), 0);
    assert.equal(await control.disconnectId(ALICE_STATUS.id), true);
    assert.equal(await control.unban('2001:db8::1'), false);
    await control.reload();
    await control.maintain(true);
    await control.stop();
    assert.deepEqual(target.calls, [
      'disconnect user alice',
      'disconnect user nobody',
      `disconnect id ${ALICE_STATUS.id}`,
      'unban 2001:db8::1',
      'reload',
      'maintain true',
      'stop',
    ]);
    target.failure = new SallyportError('ERR_CONFIG', 'line 3: no such key');
    await assert.rejects(control.reload(), { code: 'ERR_CONFIG', message: 'line 3: no such key' });
  });

  it('shows who comes and goes as it happens', async () => {
    const target = new FakeTarget();
    const file = newFile();
    await using _server = await GatewayControlServer.listen(target, file);
    using control = await GatewayControl.connect(file);
    const { last } = await control.events(undefined, forever);
    const waiting = control.events(last, forever);
    await control.status(); // the question before it has arrived, too
    target.watched.publish({
      type: 'connected',
      at: 0,
      id: 1,
      user: 'alice',
      host: 'default',
      remote: '192.0.2.2',
      address: '10.0.0.1',
    });
    assert.equal((await waiting).events[0]?.user, 'alice');
  });

  it('lets watchers go when it closes, and takes its socket away', async () => {
    const file = newFile();
    const server = await GatewayControlServer.listen(new FakeTarget(), file);
    using control = await GatewayControl.connect(file);
    const waiting = control.events(0, forever);
    await control.status();
    await server.close();
    assert.deepEqual((await waiting).events, []);
    assert.equal(existsSync(file), false);
    await server.close();
  });

  it('can be connected to by its owner alone', async () => {
    const file = newFile();
    await using _server = await GatewayControlServer.listen(new FakeTarget(), file);
    assert.equal(statSync(file).mode & 0o777, 0o711);
  });

  it('refuses requests that make no sense, and goes on', async () => {
    const file = newFile();
    const target = new FakeTarget();
    await using _server = await GatewayControlServer.listen(target, file);
    using client = await ControlClient.connect(file);
    for (const request of [
      {},
      { verb: 'format' },
      { verb: 'disconnect-id', id: '1' },
      { verb: 'disconnect-id', id: 1.5 },
      { verb: 'disconnect-user', name: 'a'.repeat(MAX_NAME_LENGTH + 1) },
      { verb: 'unban', address: '$(reboot)' },
      { verb: 'events', after: -1 },
    ])
      await assert.rejects(client.request(request, 5_000), { code: 'ERR_MISUSE' });
    assert.deepEqual(target.calls, []);
    await client.request({ verb: 'stop' }, 5_000);
    assert.deepEqual(target.calls, ['stop']);
  });

  it('takes the place of a socket that a dead gateway left, and of nothing else', async () => {
    const file = newFile();
    const left = createServer().listen(file);
    await new Promise((resolve) => left.once('listening', resolve));
    await assert.rejects(GatewayControlServer.listen(new FakeTarget(), file), /Another process listens at/);
    left.close();

    const dead = newFile();
    await leaveSocket(dead);
    assert.ok(statSync(dead).isSocket());
    await using server = await GatewayControlServer.listen(new FakeTarget(), dead);
    using control = await GatewayControl.connect(dead);
    assert.equal((await control.status()).state, 'online');
    await server.close();

    const other = newFile();
    writeFileSync(other, 'keep me');
    await assert.rejects(GatewayControlServer.listen(new FakeTarget(), other), /is no socket/);
    assert.ok(existsSync(other));
  });

  it('refuses a name that the system would cut', async () => {
    const file = path.join(folder, 'x'.repeat(120));
    await assert.rejects(GatewayControlServer.listen(new FakeTarget(), file), /too long/);
  });

  it('carries ten thousand users', async () => {
    const target = new FakeTarget();
    target.userList = Array.from({ length: 10_000 }, (_, id) => ({ ...ALICE_STATUS, id }));
    const file = newFile();
    await using _server = await GatewayControlServer.listen(target, file);
    using control = await GatewayControl.connect(file);
    assert.equal((await control.users()).length, 10_000);
  });

  it('is missed with the name of its file', async () => {
    const file = newFile();
    await assert.rejects(GatewayControl.connect(file), (error) => error instanceof NetworkError && error.message.includes(file));
  });
});

/** A process listens there, and is killed. */
async function leaveSocket(file: string): Promise<void> {
  const code = `require('node:net').createServer().listen(${JSON.stringify(file)}, () => console.log('listening'))`;
  const program = await startProgram(process.execPath, ['-e', code], 'gateway');
  await program.waitFor(/listening/);
  await program.stop({ signal: 'SIGKILL' });
}
