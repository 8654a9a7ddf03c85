import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { GatewayHttp, type GatewayHttpOptions } from '../../src/client/gateway-http.ts';
import type { LoginRequest, Target } from '../../src/core/auth/login-io.ts';
import { CancelledError, NetworkError, TooLateError } from '../../src/core/errors.ts';
import type { HttpRequest, HttpResponse } from '../../src/core/http/message.ts';
import { TlsConnection } from '../../src/node/tls-connection.ts';
import { pinOf } from '../../src/node/trust/fingerprints.ts';
import { RecordedLog } from '../support/forms.ts';
import { startHttpServer } from '../support/http-server.ts';
import { type Issued, Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';

type Answer = { readonly bytes: Uint8Array; readonly closes?: boolean };

const ok = (body: string, headers = ''): Answer => ({
  bytes: Buffer.from(`HTTP/1.1 200 OK\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`),
});
const textOf = ({ body }: HttpResponse) => Buffer.from(body).toString();
/** The connection ends without a byte. */
const NOTHING: Answer = { bytes: new Uint8Array(0), closes: true };

describe('HTTP to a gateway', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  let pki: Pki;
  let certificate: Issued;
  before(() => {
    pki = new Pki();
    certificate = pki.issueServer({ addresses: ['127.0.0.1'] });
  });
  after(() => pki[Symbol.dispose]());

  const targetAt = (port: number, path = '/'): Target => ({ host: '127.0.0.1', port, path });
  const get = (target: Target): LoginRequest => ({ method: 'GET', target, headers: [['Host', target.host]] });
  const post = (target: Target, text: string): LoginRequest => {
    const body = Buffer.from(text);
    return { method: 'POST', target, headers: [['Content-Length', String(body.length)]], body, shownBody: '[secret]' };
  };

  /** A gateway that answers so, and our side of it. The connections of the gateway are numbered in the order they were first heard of. */
  async function open(answer: (request: HttpRequest, connection: number) => Answer, options: Partial<GatewayHttpOptions> = {}) {
    const connections = new Map<object, number>();
    const server = await startHttpServer(
      (request, connection) => {
        if (!connections.has(connection)) connections.set(connection, connections.size + 1);
        return answer(request, connections.get(connection) ?? 0);
      },
      { key: certificate.keyPem, cert: certificate.certificatePem },
    );
    const log = new RecordedLog();
    const { signal } = new AbortController();
    const http = new GatewayHttp({ dial: (target) => dial(target, options.signal ?? signal), keepsAlive: true, log, signal, ...options });
    return {
      http,
      log,
      server,
      target: targetAt(server.port),
      connections: () => connections.size,
      [Symbol.asyncDispose]: async () => {
        await http.close();
        await server[Symbol.asyncDispose]();
      },
    };
  }

  async function dial({ host, port }: Target, signal: AbortSignal): Promise<TlsConnection> {
    const raw = net.connect(port, host);
    await once(raw, 'connect');
    return TlsConnection.open(raw, { host, context: tls.createSecureContext(), judge: async () => undefined, signal });
  }

  it('keeps one connection for all requests to a server', async () => {
    await using gateway = await open((request) => ok(request.target));
    for (const path of ['/', '/auth', '/auth']) {
      const response = await gateway.http.request(get({ ...gateway.target, path }));
      assert.deepEqual([response.status, textOf(response)], [200, path]);
    }
    assert.equal(gateway.connections(), 1);
  });

  it('waits for an answer no longer than the request has patience, and tells the dialer of it', async () => {
    const patiences: (number | undefined)[] = [];
    await using gateway = await open(() => ({ bytes: new Uint8Array(0) }), {
      dial: (to, patience) => {
        patiences.push(patience);
        return dial(to, new AbortController().signal);
      },
    });
    const asked = gateway.http.request(get(gateway.target), { patience: 20 });
    await assert.rejects(asked, (error) => error instanceof TooLateError && /did not answer within 0\.02 s/.test(error.message));
    assert.deepEqual(patiences, [20]);
  });

  it('asks for the headers of a request when there is a connection', async () => {
    let isOpen = false;
    await using gateway = await open(() => ok('yes'), {
      dial: async (to) => {
        const connection = await dial(to, new AbortController().signal);
        isOpen = true;
        return connection;
      },
    });
    const { target } = gateway;
    const request: LoginRequest = {
      ...{ method: 'GET', target },
      get headers() {
        assert.ok(isOpen);
        return [['Host', target.host]] as const;
      },
    };
    assert.equal(textOf(await gateway.http.request(request)), 'yes');
  });

  it('opens another where it is told to, where the server says so, and for another server', async () => {
    await using gateway = await open(({ target }) => (target === '/last' ? ok('', 'Connection: close\r\n') : ok('')));
    await using other = await open(() => ok(''));
    const { http, target } = gateway;
    await http.request(get(target));
    await http.request(get(target), { fresh: true });
    await http.request(get({ ...target, path: '/last' }));
    await http.request(get(target));
    assert.equal(gateway.connections(), 3);
    await http.request(get(other.target));
    await http.request(get(target));
    assert.deepEqual([gateway.connections(), other.connections()], [4, 1]);
  });

  it('opens one for each request if connections are not to be kept', async () => {
    await using gateway = await open(() => ok(''), { keepsAlive: false });
    for (let i = 0; i < 3; i++) {
      await gateway.http.request(get(gateway.target));
      assert.equal(gateway.http.facts?.isKept, false);
    }
    assert.equal(gateway.connections(), 3);
  });

  it('sends a request again, once, on a new connection if the kept one ends without an answer', async () => {
    await using gateway = await open(({ target }, connection) => (connection === 1 && target === '/second' ? NOTHING : ok(target)));
    const { http, server } = gateway;
    await http.request(get(gateway.target));
    const response = await http.request(post({ ...gateway.target, path: '/second' }, 'user=alice'));
    assert.equal(textOf(response), '/second');
    assert.deepEqual(
      server.requests.map(({ target, body }) => [target, Buffer.from(body).toString()]),
      [
        ['/', ''],
        ['/second', 'user=alice'],
        ['/second', 'user=alice'],
      ],
    );
  });

  it('goes on with a new connection after the kept one was closed', async () => {
    await using gateway = await open((_, connection) => ({ ...ok(''), closes: connection === 1 }));
    await gateway.http.request(get(gateway.target));
    await gateway.http.request(get(gateway.target));
    assert.equal(gateway.connections(), 2);
  });

  it('fails if the new connection ends too, and if a first one does', async () => {
    await using gateway = await open(({ target }) => (target === '/never' ? NOTHING : ok('')));
    const never = { ...gateway.target, path: '/never' };
    await assert.rejects(gateway.http.request(get(never)), NetworkError);
    assert.equal(gateway.server.requests.length, 1);
    await gateway.http.request(get(gateway.target));
    await assert.rejects(gateway.http.request(get(never)), NetworkError);
    assert.equal(gateway.server.requests.length, 4);
  });

  it('gives a kept connection up on which bytes come that answer nothing, instead of keeping them', async () => {
    const listener = tls.createServer({ key: certificate.keyPem, cert: certificate.certificatePem });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const target = targetAt((listener.address() as net.AddressInfo).port);
    const log = new RecordedLog();
    const { signal } = new AbortController();
    const http = new GatewayHttp({ dial: () => dial(target, signal), keepsAlive: true, log, signal });
    try {
      const accepted = once(listener, 'secureConnection') as Promise<[tls.TLSSocket]>;
      const answered = http.request(get(target));
      const [peer] = await accepted;
      peer.on('error', () => undefined); // a reset, as there is no one who reads
      await once(peer, 'data');
      peer.write(ok('first').bytes);
      assert.equal(textOf(await answered), 'first');
      const closed = once(peer, 'close');
      peer.write(ok('unasked').bytes);
      await closed;
    } finally {
      await http.close();
      listener.close();
    }
  });

  it('does not send a request again of whose answer a byte has come', async () => {
    await using gateway = await open(({ target }) =>
      target === '/cut' ? { bytes: Buffer.from('HTTP/1.1 200 OK\r\nContent-Le'), closes: true } : ok(''),
    );
    await gateway.http.request(get(gateway.target));
    await assert.rejects(gateway.http.request(post({ ...gateway.target, path: '/cut' }, 'password=x')));
    assert.equal(gateway.server.requests.filter(({ target }) => target === '/cut').length, 1);
  });

  it('does not send a request again that is not answered in time', async (context) => {
    await using gateway = await open(({ target }) => (target === '/slow' ? { bytes: new Uint8Array(0) } : ok('')));
    await gateway.http.request(get(gateway.target));
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const waiting = gateway.http.request(get({ ...gateway.target, path: '/slow' }));
    while (gateway.server.requests.length < 2) await new Promise(setImmediate);
    context.mock.timers.tick(300_000);
    await assert.rejects(waiting, /did not answer within 300 s/);
    context.mock.timers.reset();
    assert.equal(gateway.server.requests.length, 2);
  });

  it('takes nothing that came unasked for an answer', async () => {
    const forged = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged';
    await using gateway = await open(({ target }, connection) =>
      connection === 1 ? { bytes: Buffer.concat([ok('').bytes, Buffer.from(forged)]) } : ok(target),
    );
    await gateway.http.request(get(gateway.target));
    const response = await gateway.http.request(get({ ...gateway.target, path: '/second' }));
    assert.equal(textOf(response), '/second');
    assert.equal(gateway.connections(), 2);
  });

  it('ends with a connection where it is cancelled, in the middle and before', async () => {
    const controller = new AbortController();
    await using gateway = await open(
      ({ target }) => {
        if (target !== '/slow') return ok('');
        controller.abort();
        return { bytes: new Uint8Array(0) };
      },
      { signal: controller.signal },
    );
    await gateway.http.request(get(gateway.target));
    await assert.rejects(gateway.http.request(get({ ...gateway.target, path: '/slow' })), CancelledError);
    await assert.rejects(gateway.http.request(get(gateway.target)), CancelledError);
    assert.equal(gateway.server.requests.length, 2);
  });

  it('reads an answer that ends with the connection', async () => {
    await using gateway = await open(() => ({ bytes: Buffer.from('HTTP/1.0 200 OK\r\n\r\nto the end'), closes: true }));
    const response = await gateway.http.request(get(gateway.target));
    assert.equal(textOf(response), 'to the end');
    assert.equal(gateway.http.facts?.isKept, false);
  });

  it('sends what is larger than a record', async () => {
    await using gateway = await open((request) => ok(String(request.body.length)));
    const response = await gateway.http.request(post(gateway.target, 'x'.repeat(100_000)));
    assert.equal(textOf(response), '100000');
  });

  it('knows the connection that brought the last answer', async () => {
    const clientCertificate = Buffer.from('DER');
    await using gateway = await open(() => ok(''), { clientCertificate });
    assert.equal(gateway.http.facts?.pin, undefined);
    await gateway.http.request(get(gateway.target));
    const { facts } = gateway.http;
    assert.equal(facts?.remote.port, gateway.target.port);
    assert.equal(facts?.pin, pinOf(certificate.certificate.raw));
    assert.equal(facts?.clientCertificate, clientCertificate);
    assert.equal(facts?.isKept, true);
  });

  it('gives its connection away once, if there is one', async () => {
    await using gateway = await open(() => ok(''));
    assert.equal(await gateway.http.take(gateway.target), undefined);
    await gateway.http.request(get(gateway.target));
    const taken = await gateway.http.take(gateway.target);
    assert.ok(taken !== undefined);
    assert.equal(await gateway.http.take(gateway.target), undefined);
    await gateway.http.request(get(gateway.target));
    assert.equal(gateway.connections(), 2);
    taken.destroy();
  });

  it('closes a connection to another server instead of giving it away', async () => {
    await using gateway = await open(() => ok(''));
    await gateway.http.request(get(gateway.target));
    assert.equal(await gateway.http.take({ ...gateway.target, host: 'localhost' }), undefined);
    await gateway.http.request(get(gateway.target));
    assert.equal(gateway.connections(), 2);
  });

  it('gives away a connection whose bytes go to the new owner alone', async () => {
    await using gateway = await open((request) => ok(request.target));
    await gateway.http.request(get(gateway.target));
    const taken = await gateway.http.take(gateway.target);
    assert.ok(taken !== undefined);
    const received = Promise.withResolvers<string>();
    taken.onData((bytes) => received.resolve(Buffer.from(bytes).toString()));
    taken.write(Buffer.from('GET /new HTTP/1.1\r\n\r\n'));
    assert.match(await received.promise, /^HTTP\/1\.1 200 OK\r\n.*\/new$/s);
    taken.destroy();
  });

  it('shows what is sent and received without what is secret', async () => {
    const cookie = 'Set-Cookie: webvpn=C00KIE; Secure\r\n';
    const document = '<config-auth><session-token id="1">T0KEN</session-token><message>Hello</message></config-auth>';
    await using gateway = await open(() => ok(document, cookie));
    const request = post(gateway.target, 'password=PASSW0RD');
    const headers = [...request.headers, ['Cookie', 'webvpn=C00KIE'], ['Authorization', 'Basic AUTH0R'], ['User-Agent', 'ours']] as const;
    await gateway.http.request({ ...request, headers });
    const lines = gateway.log.lines.join('\n');
    assert.doesNotMatch(lines, /C00KIE|T0KEN|PASSW0RD|AUTH0R/);
    for (const line of [
      'trace http sent line=POST / HTTP/1.1',
      'trace http sent line=Cookie: [secret]',
      'trace http sent line=User-Agent: ours',
      'trace http sent line=[secret]',
      'debug http response header line=Set-Cookie: webvpn=[secret]; Secure',
      'trace http received line=<config-auth><session-token id="1">[secret]</session-token><message>Hello</message></config-auth>',
    ]) {
      assert.ok(gateway.log.lines.includes(line), `${line}\nin\n${lines}`);
    }
  });

  it("shows neither what opens a tunnel of F5's nor an id in a path", async () => {
    await using gateway = await open(() =>
      ok('<object><ur_Z>Z3CRET</ur_Z><Session_ID>5ESSION</Session_ID><DNS0>10.0.0.53</DNS0></object>'),
    );
    await gateway.http.request({ ...get({ ...gateway.target, path: '/saml?id=1DENTITY' }), shownPath: '/saml?id=…' });
    const lines = gateway.log.lines.join('\n');
    assert.doesNotMatch(lines, /Z3CRET|5ESSION|1DENTITY/);
    assert.match(lines, /<ur_Z>\[secret\]<\/ur_Z><Session_ID>\[secret\]<\/Session_ID><DNS0>10\.0\.0\.53</);
    assert.match(lines, /http sent line=GET \/saml\?id=… HTTP/);
  });

  it("shows neither GlobalProtect's cookies nor its keys", async () => {
    await using gateway = await open(() =>
      ok(
        '<r><argument>5E1F</argument><portal-userauthcookie>5E2F</portal-userauthcookie><portal-prelogonuserauthcookie>5E3F</portal-prelogonuserauthcookie><prelogin-cookie>5E4F</prelogin-cookie><ekey-c2s><bits>128</bits><val>5E5F</val></ekey-c2s></r>',
      ),
    );
    await gateway.http.request(get(gateway.target));
    const lines = gateway.log.lines.join('\n');
    assert.doesNotMatch(lines, /5E\dF/);
    assert.match(lines, /<bits>128<\/bits><val>\[secret\]<\/val>/);
  });
});
