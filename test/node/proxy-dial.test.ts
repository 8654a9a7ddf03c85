import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { CancelledError, NetworkError, PeerRefusedError, SallyportError, TooLateError } from '../../src/core/errors.ts';
import { Secret } from '../../src/core/secret.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { dialThroughProxy, type ProxySettings } from '../../src/node/proxy-dial.ts';
import { UnreachableError } from '../../src/node/tcp-dial.ts';
import { RecordedLog } from '../support/forms.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ProxyOptions, startProxy } from '../support/test-proxies.ts';

const CREDENTIALS = { user: 'alice', password: 'open sesame' };
const ALICE = { username: 'alice', password: new Secret('open sesame') };

/** A server that says what it hears, and where it listens. */
async function startEcho() {
  const server = net.createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => void server.close(),
  };
}

/** A proxy that answers every connection with these bytes, or never. */
async function startOddProxy(answer: (socket: net.Socket) => void) {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket.on('error', () => undefined));
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

interface Dial {
  readonly proxyPort: number;
  readonly port?: number;
  readonly host?: string;
  readonly settings?: Partial<ProxySettings>;
  readonly signal?: AbortSignal;
  readonly log?: RecordedLog;
  readonly patience?: number;
}

function dial({
  proxyPort,
  port = 1,
  host = '127.0.0.1',
  settings = {},
  signal = new AbortController().signal,
  log = new RecordedLog(),
  patience,
}: Dial) {
  const proxy: ProxySettings = { kind: 'http', host: '127.0.0.1', port: proxyPort, schemes: ['digest', 'basic'], ...settings };
  return dialThroughProxy(proxy, new NodeCrypto(), {
    ...{ host, port, overrides: new Map(), signal, log },
    ...(patience !== undefined && { patience }),
  });
}

/** Dials the echo through the proxy, and hears it. */
async function reaches(options: ProxyOptions, settings: Partial<ProxySettings>): Promise<string[]> {
  const lines: string[] = [];
  await using echo = await startEcho();
  await using proxy = await startProxy(options, (line) => lines.push(line.replace(String(echo.port), 'PORT')));
  const log = new RecordedLog();
  const socket = await dial({
    proxyPort: proxy.port,
    port: echo.port,
    host: 'localhost',
    settings: { kind: options.kind, ...settings },
    log,
  });
  socket.write('hello');
  socket.resume();
  assert.equal(String((await once(socket, 'data'))[0]), 'hello');
  socket.destroy();
  assert.ok(!log.lines.join('\n').includes(CREDENTIALS.password));
  return lines;
}

describe('a connection through a proxy', { timeout: HANG_LIMIT }, () => {
  it('is a stream to the host, whose name the proxy resolves', async () => {
    assert.deepEqual(await reaches({ kind: 'http' }, {}), ['localhost:PORT: connected']);
    assert.deepEqual(await reaches({ kind: 'socks5' }, {}), ['localhost:PORT: connected']);
  });

  it('proves who it is for, on the same connection or on a new one', async () => {
    for (const hangsUp of [false, true]) {
      for (const scheme of ['Basic', 'Digest'] as const) {
        const lines = await reaches({ kind: 'http', credentials: CREDENTIALS, scheme, hangsUp }, { credentials: ALICE });
        assert.deepEqual(lines, ['localhost:PORT by nothing: refused', `localhost:PORT by ${scheme}: connected`]);
      }
    }
    assert.deepEqual(await reaches({ kind: 'socks5', credentials: CREDENTIALS }, { credentials: ALICE }), [
      'localhost:PORT as alice: connected',
    ]);
  });

  it('brackets IPv6 for HTTP', async () => {
    let head = '';
    await using proxy = await startOddProxy((socket) =>
      socket.on('data', (bytes) => {
        head += String(bytes);
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
      }),
    );
    (await dial({ proxyPort: proxy.port, host: '2001:db8::1', port: 443 })).destroy();
    assert.equal(head, 'CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n');
  });

  it('fails as the proxy says', async () => {
    await using proxy = await startOddProxy((socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'));
    const log = new RecordedLog();
    await assert.rejects(
      dial({ proxyPort: proxy.port, log }),
      (error) => error instanceof PeerRefusedError && /HTTP 403 Forbidden/.test(error.message),
    );
    assert.ok(log.lines.includes('error proxy refused status=403'));
  });

  it('says what the user can do where credentials are missing, wrong or not to be sent', async () => {
    await using proxy = await startProxy({ kind: 'http', credentials: CREDENTIALS }, () => undefined);
    const wrong = { username: 'alice', password: new Secret('a guess') };
    const cases: readonly (readonly [Partial<ProxySettings>, RegExp])[] = [
      [{}, /http:\/\/USER:PASSWORD@HOST:PORT/],
      [{ credentials: wrong }, /Basic: the name or password was not accepted/],
      [{ credentials: ALICE, schemes: ['digest'] }, /Basic: it is switched off/],
    ];
    for (const [settings, message] of cases) {
      await assert.rejects(dial({ proxyPort: proxy.port, settings }), (error) => {
        assert.ok(error instanceof PeerRefusedError);
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /guess|sesame/);
        return true;
      });
    }
  });

  const odd: readonly (readonly [name: string, answer: (socket: net.Socket) => void])[] = [
    ['hangs up', (socket) => socket.end()],
    ['hangs up in the middle', (socket) => socket.end('HTTP/1.1 200 O')],
    ['speaks something else', (socket) => socket.write('220 mail.example ESMTP\r\n\r\n')],
    ['never ends its head', (socket) => sendForever(socket, 'HTTP/1.1 200 OK\r\n', `X: ${'x'.repeat(1000)}\r\n`)],
    [
      'never ends the page that comes with its refusal',
      (socket) =>
        sendForever(
          socket,
          'HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nTransfer-Encoding: chunked\r\n\r\n',
          `400\r\n${'x'.repeat(1024)}\r\n`,
        ),
    ],
    ['resets the connection', (socket) => socket.resetAndDestroy()],
  ];
  for (const kind of ['http', 'socks5'] as const) {
    for (const [name, answer] of odd) {
      it(`fails with a proxy (${kind}) that ${name}`, async () => {
        await using proxy = await startOddProxy((socket) => socket.once('data', () => answer(socket)));
        await assert.rejects(
          dial({ proxyPort: proxy.port, settings: { kind, credentials: ALICE } }),
          (error) => error instanceof SallyportError,
        );
      });
    }
  }

  it('fails for what is no proxy, as for a way to the gateway that is not there', async () => {
    const manyWays = `HTTP/1.1 407 No\r\nProxy-Authenticate: ${'Basic, '.repeat(40)}Basic\r\nContent-Length: 0\r\n\r\n`;
    for (const answer of ['', 'hello\r\n\r\n', 'HTTP/1.1 200', manyWays]) {
      await using proxy = await startOddProxy((socket) => void socket.once('data', () => socket.end(answer)));
      await assert.rejects(dial({ proxyPort: proxy.port }), (error: Error) => {
        assert.ok(
          error instanceof NetworkError && /^The proxy 127\.0\.0\.1 does not answer as a proxy does: /.test(error.message),
          error.message,
        );
        return true;
      });
    }
  });

  it('refuses what SOCKS has no room for', async () => {
    const long = 'u'.repeat(256);
    for (const credentials of [
      { username: long, password: new Secret('p') },
      { username: 'u', password: new Secret(long) },
    ]) {
      await assert.rejects(dial({ proxyPort: 1, settings: { kind: 'socks5', credentials } }), {
        name: 'MisuseError',
        message: /at most 255 bytes/,
      });
    }
  });

  it('fails where the proxy is not there', async () => {
    const proxy = await startOddProxy(() => undefined);
    await proxy[Symbol.asyncDispose]();
    for (const kind of ['http', 'socks5'] as const) {
      const says = new RegExp(`^The proxy cannot be reached\\. Cannot connect to 127\\.0\\.0\\.1 port ${proxy.port} `);
      await assert.rejects(
        dial({ proxyPort: proxy.port, settings: { kind } }),
        (error) => error instanceof UnreachableError && says.test(error.message),
      );
    }
  });

  it('is given up after as long as the caller has patience, and then it was too late', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    for (const kind of ['http', 'socks5'] as const) {
      await using proxy = await startOddProxy((socket) => socket.once('data', () => t.mock.timers.tick(5_000)));
      await assert.rejects(dial({ proxyPort: proxy.port, settings: { kind }, patience: 5_000 }), (error: Error) => {
        assert.ok(error instanceof TooLateError || error.cause instanceof TooLateError, error.message);
        return /does not answer\.$|: Proxy connection timed out\.$/.test(error.message);
      });
    }
  });

  it('can be cancelled while the proxy says nothing, and leaves no connection', async () => {
    for (const kind of ['http', 'socks5'] as const) {
      const controller = new AbortController();
      const closed = Promise.withResolvers<void>();
      await using proxy = await startOddProxy((socket) => {
        socket.once('data', () => controller.abort());
        socket.once('close', closed.resolve);
      });
      await assert.rejects(dial({ proxyPort: proxy.port, settings: { kind }, signal: controller.signal }), CancelledError);
      await closed.promise;
    }
  });
});

/** Sends for as long as anybody listens. */
function sendForever(socket: net.Socket, first: string, again: string): void {
  socket.write(first);
  const more = () => {
    while (socket.writable && socket.write(again));
  };
  socket.on('drain', more);
  more();
}
