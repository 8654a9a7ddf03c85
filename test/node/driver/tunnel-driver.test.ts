import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { commitBytes, MAX_RESERVE } from '../../../src/core/tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink } from '../../../src/core/tunnel/machine.ts';
import type { DatagramPath } from '../../../src/node/datagram-path.ts';
import type { DriverWorld } from '../../../src/node/driver/driver-world.ts';
import { TunnelDriver } from '../../../src/node/driver/tunnel-driver.ts';
import { TlsConnection } from '../../../src/node/tls-connection.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { throwawayCertificate } from '../../support/throwaway-certificate.ts';

/** A machine that answers whatever comes with one full record, and is closed when it has lost its path. */
class Answerer implements TunnelMachine {
  #isNew = true;

  opened(): void {}
  notice(): void {}
  send(): void {}
  close(): void {}

  receive(path: Path, _bytes: Uint8Array, _now: number, out: TunnelSink): void {
    commitBytes(out.on(path), new Uint8Array(MAX_RESERVE));
  }

  lost(_path: Path, error: Parameters<TunnelMachine['lost']>[1], _now: number, out: TunnelSink): void {
    out.event({ type: 'closed', reason: { kind: 'path-lost', message: error.message, error } });
  }

  nextTimeout(): number | undefined {
    return this.#isNew ? 0 : undefined;
  }

  handleTimeout(_now: number, out: TunnelSink): void {
    if (this.#isNew) out.event({ type: 'open', plan: { to: 'gateway' } });
    this.#isNew = false;
  }

  status(): ReturnType<TunnelMachine['status']> {
    return { stream: { state: 'down' }, datagram: { state: 'down' } };
  }
}

/** A machine that wants new keys at once, and is closed when it hears that there are none. */
class KeyWisher extends Answerer {
  override opened(path?: Path, _facts?: unknown, _now?: number, out?: TunnelSink): void {
    if (path !== undefined) out?.event({ type: 'update-keys', path });
  }

  override notice(_path?: Path, notice?: PathNotice, _now?: number, out?: TunnelSink): void {
    out?.event({ type: 'closed', reason: { kind: 'renew', message: String(notice?.type) } });
  }
}

/** A machine with a connection of node:tls, and the peer's end of that. */
async function driven(machine: TunnelMachine) {
  const certificate = throwawayCertificate();
  const listener = tls.createServer({ key: certificate.keyPem, cert: certificate.certificatePem });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const world: DriverWorld = {
    peer: 'The gateway',
    dial: {
      gateway: async (signal) => {
        const raw = net.connect(port, '127.0.0.1');
        await once(raw, 'connect');
        const options = { host: '127.0.0.1', context: tls.createSecureContext(), judge: () => Promise.resolve(), signal };
        return TlsConnection.open(raw, options);
      },
      datagram: () => Promise.reject(new Error('there is none')),
    },
    route: () => Promise.resolve(),
    pathMtu: () => undefined,
    now: () => performance.now(),
  };
  const { promise: closed, resolve } = Promise.withResolvers<CloseReason>();
  const driver = new TunnelDriver(machine, world, {
    config: () => undefined,
    connected: () => undefined,
    up: () => undefined,
    closed: resolve,
  });
  const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
  driver.start();
  const [peer] = await accepted;
  peer.on('error', () => undefined); // it is dropped with unread bytes
  return {
    peer,
    closed,
    async [Symbol.asyncDispose]() {
      await driver.close({ kind: 'log-off', message: 'over' });
      peer.destroy();
      listener.close();
    },
  };
}

describe('tunnel driver', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  it('gives up a gateway that demands answers and does not read them, before they fill the memory', async () => {
    await using t = await driven(new Answerer());
    t.peer.pause();
    const demand = (): void => void (t.peer.destroyed || t.peer.write(new Uint8Array(100), () => setImmediate(demand)));
    demand();
    assert.equal((await t.closed).message, 'The gateway demands answers and does not read them.');
  });

  it('lets no engine carry a UDP flow where its packets are to be counted', () => {
    const end = { address: { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) }, port: 1 } as const;
    const path = { kind: 'datagram', local: end, remote: end, canCarry: true, start: () => undefined } as unknown as DatagramPath;
    const seen = [true, false, undefined].map((mayCarry) => {
      let engine: boolean | undefined;
      const machine = Object.assign(new Answerer(), {
        opened: (_path: Path, facts: PathFacts) => {
          engine = facts.engine;
        },
        nextTimeout: () => undefined,
      });
      const nothing = () => undefined;
      const listener = { config: nothing, connected: nothing, up: nothing, closed: nothing };
      const world = {
        peer: '',
        route: () => Promise.resolve(),
        pathMtu: nothing,
        now: () => 0,
        ...(mayCarry !== undefined && { mayCarry }),
      };
      new TunnelDriver(machine, world, listener).datagramArrived(path);
      return engine;
    });
    assert.deepEqual(seen, [true, false, true]);
  });

  it('waits no longer than a timer can, however late something is due', ({ mock }) => {
    const waits: number[] = [];
    mock.method(globalThis, 'setTimeout', (_run: () => void, wait: number) => void waits.push(wait));
    const nothing = () => undefined;
    const machine = Object.assign(new Answerer(), { nextTimeout: () => 2_592_000_000, handleTimeout: nothing }); // thirty days
    const world = { peer: '', route: () => Promise.resolve(), pathMtu: nothing, now: () => 0 };
    new TunnelDriver(machine, world, { config: nothing, connected: nothing, up: nothing, closed: nothing }).start();
    assert.deepEqual(waits, [2_147_483_647]);
  });

  it('tells the machine that keys could not be renewed, which is no loss of the connection', async () => {
    await using t = await driven(new KeyWisher());
    assert.deepEqual(await t.closed, { kind: 'renew', message: 'keys-used-up' });
  });
});
