import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import { commitBytes, MAX_RESERVE } from '../../../src/core/tunnel/layer.ts';
import type { Path, TunnelMachine, TunnelSink } from '../../../src/core/tunnel/machine.ts';
import { type DriverWorld, TunnelDriver } from '../../../src/node/driver/tunnel-driver.ts';
import { TlsConnection } from '../../../src/node/tls-connection.ts';
import { missing } from '../../support/requirements.ts';
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

describe('tunnel driver', { skip: missing('openssl'), timeout: 30_000 }, () => {
  it('gives up a gateway that demands answers and does not read them, before they fill the memory', async () => {
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
    const { promise: reason, resolve } = Promise.withResolvers<string>();
    const driver = new TunnelDriver(new Answerer(), world, {
      config: () => undefined,
      connected: () => undefined,
      up: () => undefined,
      closed: ({ message }) => resolve(message),
    });
    const accepted = once(listener, 'secureConnection') as Promise<[TLSSocket]>;
    driver.start();
    const [peer] = await accepted;
    peer.on('error', () => undefined); // it is dropped with unread bytes
    peer.pause();
    const demand = (): void => void (peer.destroyed || peer.write(new Uint8Array(100), () => setImmediate(demand)));
    demand();
    assert.equal(await reason, 'The gateway demands answers and does not read them.');
    await driver.close({ kind: 'log-off', message: 'over' });
    peer.destroy();
    listener.close();
  });
});
