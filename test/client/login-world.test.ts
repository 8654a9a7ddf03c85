/** How long a log-in waits for a gateway beside which there are others, over real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { GatewayDialer } from '../../src/client/gateway-dialer.ts';
import { LoginWorld } from '../../src/client/login-world.ts';
import type { ServerTrust } from '../../src/client/server-trust.ts';
import { TooLateError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { SilentListener } from '../support/silent-listener.ts';
import { HANG_LIMIT } from '../support/size.ts';

function worldOf(): LoginWorld {
  const crypto = new NodeCrypto();
  const trust = { judge: async () => undefined } as unknown as ServerTrust;
  const { signal } = new AbortController();
  return new LoginWorld({
    dialer: new GatewayDialer({ overrides: new Map(), context: () => tls.createSecureContext(), trust, crypto, log: silentLogger }),
    ...{ keepsConnections: true, crypto, log: silentLogger, signal },
    ask: () => assert.fail('a question'),
    checkHost: () => assert.fail('a host check'),
  });
}

/** One who takes connections, hears and says nothing. */
async function startMute(heard: () => void) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => undefined).once('data', heard)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

describe('a gateway that says nothing', { timeout: HANG_LIMIT }, () => {
  const ask = (world: LoginWorld, { host, port }: { readonly host: string; readonly port: number }, patience: Millis) =>
    world.http({ method: 'GET', target: { host, port, path: '/' }, headers: [['Host', host]] }, { patience });

  it('to a SYN is waited for as long as the request has patience', async () => {
    await using silent = await SilentListener.start('127.0.0.1');
    await assert.rejects(ask(worldOf(), silent, 20), /Connection timed out/);
  });

  it('to a TLS hello is waited for as long as the request has patience', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    await using mute = await startMute(() => t.mock.timers.tick(5_000));
    await assert.rejects(
      ask(worldOf(), mute, 5_000),
      (error) => error instanceof TooLateError && /The TLS handshake with 127\.0\.0\.1 took too long/.test(error.message),
    );
  });
});
