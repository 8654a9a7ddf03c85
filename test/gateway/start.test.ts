/** How a gateway begins: administrators first, then clients. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import tls from 'node:tls';
import { silentLogger } from '../../src/core/log.ts';
import { selfSigned } from '../../src/gateway/fake/self-signed.ts';
import { Gateway, type GatewayOptions } from '../../src/gateway/gateway.ts';
import { loadGatewayToml } from '../../src/gateway/index.ts';

/** As far as one can know. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return address !== null && typeof address === 'object' ? address.port : assert.fail();
}

async function startWith(beforeOpening: NonNullable<GatewayOptions['beforeOpening']>) {
  const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-start-'));
  const { certificate, key } = await selfSigned();
  const file = (name: string, text: string) => {
    const place = path.join(folder, name);
    writeFileSync(place, text, { mode: 0o600 });
    return place;
  };
  const config = file(
    'gateway.toml',
    [
      ...[
        '[listen]',
        'host = "127.0.0.1"',
        `tcp-port = ${await freePort()}`,
        '[process]',
        `state = "${folder}/state"`,
        '[control]',
        'enabled = false',
      ],
      ...['[network]', 'device = "userspace"', '[tls]'],
      `certificates = [{ certificate = "${file('cert.pem', certificate)}", key = "${file('key.pem', key)}" }]`,
      ...['[auth]', `required = [{ method = "plain", passwords = "${file('passwords', '')}" }]`, '[pool]', 'ipv4 = "10.99.9.0/24"'],
    ].join('\n'),
  );
  const gateway = await Gateway.start({ load: () => loadGatewayToml(config), serverName: 'a test', log: silentLogger, beforeOpening });
  return {
    gateway,
    [Symbol.asyncDispose]: async () => {
      await gateway.stop();
      rmSync(folder, { recursive: true });
    },
  };
}

async function isServed(port: number | undefined): Promise<boolean> {
  const socket = tls.connect({ host: '127.0.0.1', port: port ?? assert.fail(), rejectUnauthorized: false });
  const failed = once(socket, 'error').then(() => false);
  const served = await Promise.race([once(socket, 'secureConnect').then(() => true), failed]);
  socket.destroy();
  return served;
}

describe('a gateway that begins', { timeout: 60_000 }, () => {
  it('is in maintenance where an administrator has wanted that before clients came, until the end of it', async () => {
    await using started = await startWith((control) => control.maintain(true));
    const { gateway } = started;
    assert.equal((await gateway.control.status()).state, 'maintenance');
    assert.equal(await isServed(gateway.port), false);
    gateway.maintain(false);
    assert.equal(await isServed(gateway.port), true);
  });
});
