import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import tls, { type TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { fortinetGateway } from '../../../src/core/protocols/fortinet/gateway.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { CertificateMaterial } from '../../../src/gateway/worker/host-material.ts';
import { FrontServer, type FrontServerOptions } from '../../support/front-server.ts';
import { PlayedVisitor } from '../../support/gateway-visitor.ts';
import { Pki } from '../../support/pki.ts';
import { talkRaw } from '../../support/raw-exchange.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';

const STUB = 'GET /logout HTTP/1.1\r\nHost: h\r\n\r\n';
const CONNECT = (cookie: string) =>
  `CONNECT /CSCOSSLC/tunnel HTTP/1.1\r\nCookie: webvpn=${cookie}\r\nX-DTLS-Master-Secret: ${'01'.repeat(48)}\r\nX-DTLS-CipherSuite: PSK-NEGOTIATE\r\n\r\n`;

describe('A client’s connection', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let certificate: CertificateMaterial;
  before(() => {
    pki = new Pki();
    const issued = pki.issueServer();
    certificate = { certificate: issued.certificatePem, key: new Secret(issued.keyPem) };
  });
  after(() => pki[Symbol.dispose]());

  async function start(visitor = new PlayedVisitor({ users: { alice: { password: 'pw' } } }), options: FrontServerOptions = {}) {
    const server = await FrontServer.start(visitor, [{ certificates: [certificate] }], options);
    return { server, visitor, port: server.port, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() };
  }

  async function dial(port: number): Promise<TLSSocket> {
    const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
    socket.on('error', () => undefined); // closed by the server
    await once(socket, 'secureConnect');
    return socket;
  }

  /** All that comes until the connection ends. */
  async function untilEnd(socket: TLSSocket): Promise<string> {
    let text = '';
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString();
    });
    if (!socket.closed) await once(socket, 'close');
    return text;
  }

  it('answers one request after the other, also those that came together', async () => {
    await using gateway = await start();
    const { answers, end } = await talkRaw({ host: '127.0.0.1', port: gateway.port, requests: [STUB, STUB + STUB, '', STUB] });
    assert.equal(answers.filter((answer) => answer.startsWith('HTTP/1.1 200 OK')).length, 4);
    assert.equal(end, 'open');
  });

  it('answers HEAD with what it would say of the body, and no body: the next answer is none of it', async () => {
    await using gateway = await start(undefined, { protocol: fortinetGateway });
    const { answers, end } = await talkRaw({ host: '127.0.0.1', port: gateway.port, requests: ['HEAD /nope HTTP/1.1\r\nHost: h\r\n\r\n'] });
    assert.match(answers[0] ?? '', /^HTTP\/1\.1 404 [\s\S]*\r\n\r\n$/);
    assert.match(answers[0] ?? '', /\r\nContent-length: [1-9]\d*\r\n/i);
    assert.equal(end, 'open');
  });

  it('says goodbye in TLS after the last answer', async () => {
    await using gateway = await start();
    const { answers, end } = await talkRaw({ host: '127.0.0.1', port: gateway.port, requests: ['GET /nope HTTP/1.1\r\n\r\n'] });
    assert.match(answers[0] ?? '', /404 Not found/);
    assert.equal(end, 'end');
  });

  it('answers what is no request in HTTP’s words, and ends', async () => {
    await using gateway = await start();
    for (const [request, status] of [
      ['FOO\r\n\r\n', '400 Bad Request'],
      ['GET / HTTP/1.1\r\nbad header\r\n\r\n', '400 Bad Request'],
      ['POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n', '400 Bad Request'],
      ['POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n', '501 Not Implemented'],
      [`POST / HTTP/1.1\r\nContent-Length: ${64 * 1024 + 1}\r\n\r\n`, '413 Content Too Large'],
      [`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(101)}\r\n`, '413 Content Too Large'],
      [`GET / HTTP/1.1\r\nX: ${'y'.repeat(33 * 1024)}\r\n\r\n`, '413 Content Too Large'],
    ] as const) {
      const { answers, end } = await talkRaw({ host: '127.0.0.1', port: gateway.port, requests: [request] });
      assert.equal(answers[0], `HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      assert.equal(end, 'end');
    }
  });

  it('is handed over to the tunnel with the key that it asked for, and what came behind the request', async () => {
    const datagram = { port: 443, allowsPsk: true, allowsLegacy: false, matchesTlsCipher: false };
    await using gateway = await start(new PlayedVisitor({ terms: { datagram } }));
    const { visitor, server } = gateway;
    const { cookie } = visitor.admit('alice', {}) as { cookie: Secret };
    const handed = Promise.withResolvers<void>();
    server.onHandOver = handed.resolve;
    const socket = await dial(gateway.port);
    socket.write(`${CONNECT(cookie.reveal())}STF\u0001`);
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    await handed.promise;
    assert.match(bytes.toString(), /^HTTP\/1\.1 200 CONNECTED\r\n/);
    const [handOver] = server.handOvers;
    assert.equal(Buffer.from(handOver?.early ?? []).toString(), 'STF\u0001');
    const { label, length } = handOver?.plan.exporter ?? assert.fail('it asks for a key');
    const key = socket.exportKeyingMaterial(length, label, undefined as unknown as Buffer);
    assert.deepEqual(Buffer.from(handOver?.connection.exportNow(label, length) ?? []), key);
    handOver?.connection.destroy();
    socket.destroy();
  });

  it('is given up when its log-in takes too long, and when one request does', async (t) => {
    for (const [behind, limit] of [
      ['', 60_000],
      ['GET / HTTP/1.1\r\nHost:', 30_000],
    ] as const) {
      await using gateway = await start();
      t.mock.timers.enable({ apis: ['setTimeout'] });
      const socket = await dial(gateway.port);
      const [ended, answered] = [untilEnd(socket), once(socket, 'data')];
      socket.write(STUB + behind); // one record: when the answer is there, all of it has been read
      await answered;
      t.mock.timers.tick(limit - 1);
      assert.equal(gateway.visitor.log.lines.length, 0);
      t.mock.timers.tick(1);
      assert.match(await ended, /^HTTP\/1\.1 200 OK/);
      assert.match(gateway.visitor.log.lines[0] ?? '', /client given up/);
      t.mock.timers.reset();
    }
  });

  it('leaves an error to nobody when the client says nothing', async () => {
    await using gateway = await start();
    const socket = await dial(gateway.port);
    socket.end();
    await untilEnd(socket);
    assert.deepEqual(gateway.server.failures, []);
    assert.deepEqual(gateway.visitor.log.lines, []);
  });

  it('answers whatever comes, in any slices, with HTTP or its end', async () => {
    await using gateway = await start();
    const pieces = fc.constantFrom(
      'GET / HTTP/1.1\r\n',
      'POST /auth HTTP/1.1\r\n',
      'CONNECT x HTTP/1.1\r\n',
      'Content-Length: 5\r\n',
      '\r\n',
      'Transfer-Encoding: chunked\r\n',
      '5\r\nhello\r\n0\r\n\r\n',
      '<?xml ',
      '\u0000',
      'Cookie: webvpn=x\r\n',
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(pieces, fc.string({ maxLength: 10 })), { minLength: 1, maxLength: 10 }), async (parts) => {
        const socket = await dial(gateway.port);
        const ended = untilEnd(socket);
        for (const part of parts) socket.write(part);
        socket.end();
        const answer = await ended;
        assert.match(answer, /^(?:$|HTTP\/1\.[01] [2-5]\d\d )/);
        assert.ok(answer.length < 16 * 4096);
      }),
      { numRuns: 60 },
    );
    assert.deepEqual(gateway.server.failures, []);
  });
});
