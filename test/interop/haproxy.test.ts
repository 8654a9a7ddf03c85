/** Debian's HAProxy in front of our gateway: whose connection it is, in both versions of the PROXY protocol, over TCP and a unix socket. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { Secret } from '../../src/core/secret.ts';
import { formatIp } from '../../src/core/wire/ip-address.ts';
import { FrontServer } from '../support/front-server.ts';
import { PlayedVisitor } from '../support/gateway-visitor.ts';
import { startProgram } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

/** A port that was free a moment ago. */
async function freePort(host: string): Promise<number> {
  const server = net.createServer().listen(0, host);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A site behind the same port as the gateway, told apart by the name that a client asks for. */
const CONFIGURATION = (frontends: readonly string[], backends: readonly string[]) => `
global
  maxconn 64
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
${[...frontends, ...backends].join('\n')}
`;

describe('Our gateway behind HAProxy', { skip: missing('haproxy', 'openssl'), timeout: HANG_LIMIT }, () => {
  let folder = '';
  let certificate: ThrowawayCertificate;
  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'sallyport-'));
    certificate = throwawayCertificate();
  });
  after(() => rmSync(folder, { recursive: true }));

  const start = (unixSocket?: string) => {
    const material = { certificate: certificate.certificatePem, key: new Secret(certificate.keyPem) };
    return FrontServer.start(new PlayedVisitor(), [{ certificates: [material] }], {
      readsProxyHeader: true,
      ...(unixSocket !== undefined && { unixSocket }),
    });
  };

  /** HAProxy on a port of this host, handing on to `target`. */
  async function proxyTo(target: string, host = '127.0.0.1') {
    const port = await freePort(host);
    const file = path.join(folder, `haproxy-${port}.cfg`);
    const frontend = `frontend front\n  bind ${host.includes(':') ? `[${host}]` : host}:${port}\n  default_backend gateway`;
    writeFileSync(file, CONFIGURATION([frontend], [`backend gateway\n  server gateway ${target}`]));
    const program = await startProgram('haproxy', ['-W', '-f', file], 'haproxy');
    await program.waitFor(/Loading success/);
    return { port, host, [Symbol.asyncDispose]: () => program.stop().then(() => undefined) };
  }

  /** One request through the proxy: the client's own end of the connection, and the answer's first line. */
  async function visit({ port, host }: { port: number; host: string }) {
    const socket = tls.connect({ port, host, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { localPort } = socket;
    socket.write('GET /logout HTTP/1.1\r\nHost: h\r\n\r\n');
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    return { localPort, line: bytes.toString().split('\r\n', 1)[0] };
  }

  for (const [version, word] of [
    [1, 'send-proxy'],
    [2, 'send-proxy-v2'],
  ] as const) {
    for (const host of ['127.0.0.1', '::1']) {
      it(`knows the client’s own address and port (version ${version}, ${host})`, async () => {
        await using server = await start();
        await using proxy = await proxyTo(`${server.authority} ${word}`, host);
        const { localPort, line } = await visit(proxy);
        assert.equal(line, 'HTTP/1.1 200 OK');
        const { remote, local } = server.facts[0] ?? assert.fail('nobody came');
        assert.equal(formatIp(remote.address), host);
        assert.equal(remote.port, localPort);
        assert.equal(local.port, proxy.port);
      });
    }

    it(`knows it over a unix socket as well (version ${version})`, async () => {
      const socket = path.join(folder, `gateway-${version}.sock`);
      await using server = await start(socket);
      await using proxy = await proxyTo(`unix@${socket} ${word}`);
      const { localPort } = await visit(proxy);
      assert.equal(server.facts[0]?.remote.port, localPort);
    });
  }

  it('takes the proxy’s health checks for what they are', async () => {
    await using server = await start();
    await using proxy = await proxyTo(`${server.authority} send-proxy-v2 check check-send-proxy inter 50ms`);
    for (let checks = 0; checks < 3; checks++) assert.equal(await server.nextFailure(), 'probe');
    assert.equal((await visit(proxy)).line, 'HTTP/1.1 200 OK');
  });

  it('believes nobody who says nothing of whose connection it is', async () => {
    await using server = await start();
    await using proxy = await proxyTo(server.authority);
    const failed = server.nextFailure();
    await assert.rejects(visit(proxy));
    assert.match(String(await failed), /PROXY header/);
    assert.equal(server.facts.length, 0);
  });
});
