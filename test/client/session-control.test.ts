import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { type ControlledSession, RemoteSession, serveSession } from '../../src/client/session-control.ts';
import type { VpnStatus } from '../../src/client/vpn-status.ts';
import { PeerMisbehavedError } from '../../src/core/errors.ts';
import type { Outcome } from '../../src/core/session/session-machine.ts';
import { ControlClient, type ControlServer } from '../../src/node/control-socket.ts';

const directory = mkdtempSync(path.join(tmpdir(), 'sallyport-session-'));
after(() => rmSync(directory, { recursive: true }));

class FakeSession implements ControlledSession {
  readonly calls: unknown[] = [];
  readonly ended = Promise.withResolvers<Outcome>();
  state: VpnStatus['state'] = 'up';

  status(): VpnStatus {
    const none = { packets: 0, bytes: 0, bytesPerSecond: 0 };
    return { state: this.state, gateway: { host: 'vpn.test', port: 443 }, addresses: [], traffic: { received: none, sent: none } };
  }

  reconnect(): void {
    this.calls.push('reconnect');
  }

  close(options: object): Promise<Outcome> {
    this.calls.push(options);
    return this.ended.promise;
  }
}

async function scene(): Promise<{ session: FakeSession; remote: RemoteSession; server: ControlServer } & AsyncDisposable> {
  const session = new FakeSession();
  const server = await serveSession(session, { directory });
  const [remote] = await RemoteSession.findAll(directory);
  assert.ok(remote !== undefined);
  const dispose = async () => {
    remote.close();
    await server.close();
  };
  return { session, remote, server, [Symbol.asyncDispose]: dispose };
}

describe('a session of another process', () => {
  it('says how it is, and which process it is', async () => {
    await using here = await scene();
    assert.equal(here.remote.pid, process.pid);
    assert.deepEqual(await here.remote.status(), here.session.status());
  });

  it('reconnects where there is something to reconnect', async () => {
    await using here = await scene();
    await here.remote.reconnect();
    here.session.state = 'reconnecting';
    await here.remote.reconnect();
    here.session.state = 'authenticating';
    await assert.rejects(here.remote.reconnect(), { code: 'ERR_MISUSE' });
    assert.deepEqual(here.session.calls, ['reconnect', 'reconnect']);
  });

  it('is ended when everything of it is undone and it is no longer found, and not before', async () => {
    await using here = await scene();
    let isEnded = false;
    const ending = here.remote.disconnect({ keepCookie: true }).then(() => {
      isEnded = true;
    });
    await here.remote.status(); // a round trip later
    assert.deepEqual([here.session.calls, isEnded], [[{ keepCookie: true }], false]);
    here.session.ended.resolve({ kind: 'detached', message: 'left' });
    await here.remote.status();
    assert.equal(isEnded, false);
    await here.server.close();
    await ending;
    assert.deepEqual(await RemoteSession.findAll(directory), []);
  });

  it('understands nothing else', async () => {
    await using here = await scene();
    using client = await ControlClient.connect(here.server.file);
    for (const request of [{}, { do: 'explode' }, { do: 'disconnect', keepCookie: 'yes' }, [], 'status']) {
      await assert.rejects(client.request(request as object, 5_000), { code: new PeerMisbehavedError('').code });
    }
    assert.deepEqual(here.session.calls, []);
  });

  it('is not found once it is over', async () => {
    await (await scene())[Symbol.asyncDispose]();
    assert.deepEqual(await RemoteSession.findAll(directory), []);
  });
});
