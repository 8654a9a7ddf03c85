/** How long a log-in waits for a gateway beside which there are others, over real sockets. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { GatewayDialer } from '../../src/client/gateway-dialer.ts';
import { LoginWorld } from '../../src/client/login-world.ts';
import type { ServerTrust } from '../../src/client/server-trust.ts';
import { NetworkError } from '../../src/core/errors.ts';
import { silentLogger } from '../../src/core/log.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { SilentListener } from '../support/silent-listener.ts';
import { HANG_LIMIT } from '../support/size.ts';

/** Enough to connect on a busy machine. */
const PATIENCE = 500;

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

/** One who takes connections and says nothing. */
async function startMute(server: net.Server) {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket.on('error', () => undefined).resume()));
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
  for (const [name, start, says] of [
    ['to a SYN', () => SilentListener.start('127.0.0.1'), /Connection timed out/],
    ['to a TLS hello', () => startMute(net.createServer()), /The TLS handshake with 127\.0\.0\.1 took too long/],
  ] as const) {
    it(`${name} is waited for as long as the request has patience`, async () => {
      await using mute = await start();
      const world = worldOf();
      const target = { host: mute.host, port: mute.port, path: '/' };
      const asked = world.http({ method: 'GET', target, headers: [['Host', mute.host]] }, { patience: PATIENCE });
      await assert.rejects(asked, (error) => error instanceof NetworkError && says.test(error.message));
      await world.close();
    });
  }
});
