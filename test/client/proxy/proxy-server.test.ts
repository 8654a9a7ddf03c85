/** The proxy on loopback sockets: SOCKS 5, 4 and 4A, HTTP; proxy-limits.test.ts has the rest. The networks behind it are in memory. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, it } from 'node:test';
import { parseUserRule } from '../../../src/client/proxy/route-rules.ts';
import { encodeSocks4Request } from '../../../src/core/socks/socks4.ts';
import { encodeGreeting, encodePassword, encodeRequest } from '../../../src/core/socks/socks5.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { bytes, collected, HELLO5, LOGIN, latin1, OPEN, ProxyScene } from './proxy-scene.ts';

/** What a SOCKS 5 client that was refused has read. */
const refused5 = (reply: number) => latin1(5, 0, 5, reply, 0, 1, 0, 0, 0, 0, 0, 0);

describe('SOCKS 5 through the proxy', { timeout: HANG_LIMIT }, () => {
  it('connects to a name, which is looked up inside', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.echo();
    const answer = await scene.exchange(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port }), 'hello'));
    assert.equal(answer.slice(0, 6), latin1(5, 0, 5, 0, 0, 1));
    assert.equal(answer.slice(-5), 'hello');
    assert.deepEqual(scene.vpn.asked, ['lookup inside.test', 'connect 10.0.0.1']);
    assert.deepEqual(scene.proxy.counters.connections, [{ protocol: 'socks5', way: 'vpn', count: 1 }]);
  });

  it('tries the next address when one does not answer', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.echo();
    const answer = await scene.exchange(bytes(HELLO5, encodeRequest('connect', { host: 'second.test', port }), 'hello'));
    assert.equal(answer.slice(-5), 'hello');
    assert.deepEqual(scene.vpn.asked, ['lookup second.test', 'connect 10.255.255.255', 'connect 10.0.0.2']);
  });

  it('connects to IPv4 and IPv6 addresses, direct where the rules say so', async () => {
    await using scene = await ProxyScene.open({ rules: [parseUserRule('direct', '192.0.2.0/24'), parseUserRule('vpn', 'fd00::/8')] });
    const port = await scene.echo();
    for (const host of ['192.0.2.7', 'fd00::9']) {
      assert.equal((await scene.exchange(bytes(HELLO5, encodeRequest('connect', { host, port }), 'x'))).slice(-1), 'x');
    }
    assert.deepEqual([scene.direct.asked, scene.vpn.asked], [['connect 192.0.2.7'], ['connect fd00::9']]);
  });

  it('says why it does not connect', async () => {
    await using scene = await ProxyScene.open();
    const connect = (host: string) => scene.exchange(bytes(HELLO5, encodeRequest('connect', { host, port: 1 })));
    assert.equal(await connect('10.0.0.1'), refused5(5));
    assert.equal(await connect('nowhere.test'), refused5(4));
    assert.equal(await connect('127.0.0.1'), refused5(2));
    assert.equal(await connect('localhost.test'), refused5(2));
    assert.equal(await connect('::ffff:127.0.0.1'), refused5(2));
    assert.equal(await connect('::'), refused5(2));
    assert.equal(await connect('224.0.0.1'), refused5(2));
    assert.deepEqual(
      [...scene.proxy.counters.failures],
      [
        ['ECONNREFUSED', 1],
        ['ENOTFOUND', 1],
        ['EACCES', 5],
      ],
    );
  });

  it('refuses BIND, other commands and other kinds of addresses', async () => {
    await using scene = await ProxyScene.open();
    assert.equal(await scene.exchange(bytes(HELLO5, encodeRequest('bind', { host: '10.0.0.1', port: 1 }))), refused5(7));
    assert.equal(await scene.exchange(bytes(HELLO5, Uint8Array.of(5, 9, 0, 1, 10, 0, 0, 1, 0, 80))), refused5(7));
    assert.equal(await scene.exchange(bytes(HELLO5, Uint8Array.of(5, 1, 0, 2, 10, 0, 0, 1, 0, 80))), refused5(8));
  });

  it('wants the password where there is one', async () => {
    await using scene = await ProxyScene.open({ login: LOGIN });
    const port = await scene.echo();
    const request = bytes(encodeRequest('connect', { host: 'inside.test', port }), 'hi');
    const password = (text: string) => encodePassword({ name: utf8('alice'), password: utf8(text) });
    assert.equal(await scene.exchange(bytes(HELLO5, request)), latin1(5, 0xff));
    assert.equal(await scene.exchange(bytes(encodeGreeting([0, 2]), password('wrong'), request)), latin1(5, 2, 1, 1));
    const answer = await scene.exchange(bytes(encodeGreeting([0, 2]), password('correct horse'), request));
    assert.deepEqual([answer.slice(0, 6), answer.slice(-2)], [latin1(5, 2, 1, 0, 5, 0), 'hi']);
    assert.deepEqual([...scene.proxy.counters.failures.keys()], ['no-common-method', 'bad-password']);
  });

  it('reads a handshake byte by byte', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.echo();
    const socket = await scene.dial();
    socket.setNoDelay(true);
    for (const byte of bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port }), 'late')) {
      await new Promise((resolve) => socket.write(Uint8Array.of(byte), resolve));
    }
    socket.end();
    assert.equal((await collected(socket)).slice(-4), 'late');
  });
});

describe('SOCKS 4 through the proxy', { timeout: HANG_LIMIT }, () => {
  it('connects to an address, and to a name by 4A', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.echo();
    const granted = latin1(0, 90, 0, 0, 0, 0, 0, 0);
    assert.equal(await scene.exchange(bytes(encodeSocks4Request('connect', { host: '10.0.0.4', port }), 'four')), `${granted}four`);
    assert.equal(await scene.exchange(bytes(encodeSocks4Request('connect', { host: 'inside.test', port }), '4a')), `${granted}4a`);
    assert.deepEqual(scene.vpn.asked, ['connect 10.0.0.4', 'lookup inside.test', 'connect 10.0.0.1']);
  });

  it('refuses what cannot be reached, BIND, and everybody where there is a password', async () => {
    const refusal = latin1(0, 91, 0, 0, 0, 0, 0, 0);
    await using scene = await ProxyScene.open();
    assert.equal(await scene.exchange(encodeSocks4Request('connect', { host: '10.0.0.4', port: 1 })), refusal);
    assert.equal(await scene.exchange(encodeSocks4Request('bind', { host: '10.0.0.4', port: 1 })), refusal);
    await using closed = await ProxyScene.open({ login: LOGIN });
    assert.equal(await closed.exchange(encodeSocks4Request('connect', { host: '10.0.0.4', port: 1 })), refusal);
    assert.deepEqual(closed.vpn.asked, []);
  });
});

describe('HTTP through the proxy', { timeout: HANG_LIMIT }, () => {
  it('connects by CONNECT, and passes on what came with the request', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.echo();
    const answer = await scene.exchange(`CONNECT inside.test:${port} HTTP/1.1\r\nHost: inside.test:${port}\r\n\r\nearly`);
    assert.equal(answer, 'HTTP/1.1 200 Connection established\r\n\r\nearly');
    assert.match(await scene.exchange(`CONNECT [fd00::1]:${port} HTTP/1.0\r\n\r\n`), /^HTTP\/1\.1 200 /);
    assert.deepEqual(scene.vpn.asked, ['lookup inside.test', 'connect 10.0.0.1', 'connect fd00::1']);
  });

  it('passes requests on: the fields of its own hop left out, Host from the target', async () => {
    await using scene = await ProxyScene.open();
    await using web = await webServer();
    const answer = await scene.exchange(
      `POST http://inside.test:${web.port}/a?b=c HTTP/1.1\r\nHost: liar.test\r\nProxy-Connection: keep-alive\r\nConnection: close, X-Mine\r\n` +
        'X-Mine: 1\r\nX-Other: 2\r\nUpgrade: h2c\r\nContent-Length: 4\r\n\r\nbody',
      OPEN,
    );
    assert.match(answer, /^HTTP\/1\.1 201 Made\r\nX-Answer: yes\r\n/);
    assert.deepEqual(web.seen, [
      {
        line: 'POST /a?b=c',
        headers: ['Host', `inside.test:${web.port}`, 'X-Other', '2', 'Content-Length', '4', 'Via', '1.1 sallyport', 'Connection', 'close'],
        body: 'body',
      },
    ]);
    assert.match(answer, /\r\n\r\n4\r\nfine\r\n0\r\n\r\n$/);
  });

  it('passes an answer in chunks on as one that its end ends, to a client of HTTP/1.0', async () => {
    await using scene = await ProxyScene.open();
    await using web = await webServer();
    for (const field of ['', 'Connection: keep-alive\r\n']) {
      const answer = await scene.exchange(`GET http://inside.test:${web.port}/ HTTP/1.0\r\n${field}\r\n`, OPEN);
      assert.match(answer, /^HTTP\/1\.1 201 .*\r\n\r\nfine$/s);
      assert.doesNotMatch(answer, /transfer-encoding/i);
    }
  });

  it('passes on several requests of one connection, to different hosts, with bodies in chunks', async () => {
    await using scene = await ProxyScene.open();
    await using web = await webServer();
    const request = (host: string, end: string) =>
      `PUT http://${host}:${web.port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n${end}\r\n3\r\nabc\r\n0\r\n\r\n`;
    const answer = await scene.exchange(request('inside.test', '') + request('second.test', 'Connection: close\r\n'), OPEN);
    assert.equal(answer.match(/HTTP\/1\.1 201 Made/g)?.length, 2);
    assert.deepEqual(
      web.seen.map(({ body, headers }) => [body, headers.includes('chunked')]),
      [
        ['abc', true],
        ['abc', true],
      ],
    );
    assert.ok(scene.vpn.asked.includes('connect 10.0.0.2'));
  });

  it('answers with a status where it does not connect', async () => {
    await using scene = await ProxyScene.open({ rules: [parseUserRule('direct', 'out.test')] });
    const ask = async (line: string) =>
      (await scene.exchange(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, OPEN)).slice(9, 12);
    assert.equal(await ask('CONNECT 10.0.0.1:1'), '502');
    assert.equal(await ask('CONNECT nowhere.test:80'), '502');
    assert.equal(await ask('CONNECT 127.0.0.1:80'), '403');
    assert.equal(await ask('CONNECT inside.test'), '400');
    assert.equal(await ask('CONNECT inside.test:99999'), '400');
    assert.equal(await ask('GET http://127.0.0.1/'), '403');
    assert.equal(await ask('GET https://inside.test/'), '400');
    assert.equal(await ask('GET http://in^side.test/'), '400');
    assert.equal(await ask('GET http://10.0.0.1:1/'), '502');
    assert.equal(await ask('GET /'), '404');
    assert.equal(await scene.exchange('GET\u0001\r\n\r\n', OPEN).then((text) => text.slice(9, 12)), '400');
  });

  it('outlives an upstream that answers what may not be written', async () => {
    await using scene = await ProxyScene.open();
    const ask = async (answer: string) => {
      const port = await scene.serve((socket) => void socket.end(`${answer}\r\nContent-Length: 0\r\n\r\n`, 'latin1'));
      return scene.exchange(`GET http://inside.test:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, OPEN);
    };
    assert.match(await ask('HTTP/1.1 099 Low'), /^HTTP\/1\.1 502 /);
    assert.match(await ask('HTTP/1.1 000 None'), /^HTTP\/1\.1 502 /);
    assert.match(await ask('HTTP/1.1 200 a\u0001b'), /^HTTP\/1\.1 (200 a\?b|502 )/);
    assert.match(await ask('HTTP/1.1 200 Fine'), /^HTTP\/1\.1 200 Fine/);
  });

  it('wants the password where there is one', async () => {
    await using scene = await ProxyScene.open({ login: LOGIN });
    const port = await scene.echo();
    const connect = (field: string) => scene.exchange(`CONNECT inside.test:${port} HTTP/1.1\r\nHost: x\r\n${field}\r\n`);
    const basic = (text: string) => `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}\r\n`;
    assert.match(await connect(''), /^HTTP\/1\.1 407 .*\r\nProxy-Authenticate: Basic realm=/s);
    assert.match(await connect(basic('alice:wrong')), /^HTTP\/1\.1 407 /);
    assert.match(await connect(basic('alicecorrect horse')), /^HTTP\/1\.1 407 /);
    assert.match(await connect(basic('alice:correct horse')), /^HTTP\/1\.1 200 /);
    assert.match(
      await scene.exchange(`GET http://inside.test:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`, OPEN),
      /^HTTP\/1\.1 407 /,
    );
  });

  it('serves pages, by name and by method', async () => {
    const page = { status: 200, type: 'text/plain', body: 'all is well\n' };
    await using scene = await ProxyScene.open({ pages: async (path) => (path === '/healthz' ? page : undefined) });
    const ask = (line: string) => scene.exchange(`${line} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`, OPEN);
    assert.match(await ask('GET /healthz?x'), /^HTTP\/1\.1 200 .*\r\n\r\nall is well\n$/s);
    assert.match(await ask('GET /healthz'), /\r\nX-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n/);
    assert.match(await ask('HEAD /healthz'), /^HTTP\/1\.1 200 .*\r\n\r\n$/s);
    assert.match(await ask('POST /healthz'), /^HTTP\/1\.1 405 /);
    assert.match(await ask('GET /elsewhere'), /^HTTP\/1\.1 404 /);
  });
});

describe('a connection through the proxy', { timeout: HANG_LIMIT }, () => {
  it('is half-closed by each side alone', async () => {
    await using scene = await ProxyScene.open();
    // Answers when the client has ended, then ends.
    const port = await scene.serve((socket) => socket.once('end', () => socket.end('after the end')).resume());
    const answer = await scene.exchange(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port }), 'question'));
    assert.match(answer, /after the end$/);
    // Ends first, and still reads.
    const { promise, resolve } = Promise.withResolvers<string>();
    const second = await scene.serve((socket) => {
      socket.end('I am done');
      void collected(socket).then(resolve);
    });
    const socket = await scene.dial();
    socket.write(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port: second })));
    assert.match(await collected(socket), /I am done$/);
    socket.end('but I am not');
    assert.equal(await promise, 'but I am not');
  });

  it('holds a fast sender back while the receiver does not read', async () => {
    await using scene = await ProxyScene.open();
    const { promise, resolve } = Promise.withResolvers<Socket>();
    const port = await scene.serve((socket) => resolve(socket.pause()));
    const socket = await scene.dial();
    socket.write(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port })));
    await once(socket, 'data');
    const far = await promise;
    const block = Buffer.alloc(1024 * 1024, 7);
    let sent = 0;
    while (socket.write(block)) sent += block.length;
    const most = 512 * block.length;
    // It stops: what was not taken over waits in the client.
    while (sent < most && (await drained(socket))) {
      socket.write(block);
      sent += block.length;
    }
    assert.ok(sent < most, `${sent} bytes were taken though nobody read`);
    let received = 0;
    far.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    far.resume();
    socket.end();
    await once(far, 'end');
    assert.equal(received % block.length, 0);
    assert.ok(received >= sent);
  });

  it('is one of many at a time, each with its own bytes', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.echo();
    const answers = await Promise.all(
      Array.from({ length: 400 }, (_, i) => {
        const text = `${i} `.repeat(500);
        const start =
          i % 2 === 0
            ? bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port }))
            : `CONNECT inside.test:${port} HTTP/1.1\r\nHost: x\r\n\r\n`;
        return scene.exchange(bytes(start, text)).then((answer) => answer.endsWith(text));
      }),
    );
    assert.deepEqual(new Set(answers), new Set([true]));
    assert.equal(
      scene.proxy.counters.connections.reduce((sum, { count }) => sum + count, 0),
      400,
    );
  });

  it('breaks when the other side breaks', async () => {
    await using scene = await ProxyScene.open();
    const port = await scene.serve((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const socket = await scene.dial();
    socket.write(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port })));
    await once(socket, 'data');
    socket.write('go');
    const [error] = await once(socket, 'error');
    assert.equal(error.code, 'ECONNRESET');
    const { promise, resolve } = Promise.withResolvers<NodeJS.ErrnoException>();
    const second = await scene.serve((far) => far.on('error', resolve));
    const client = await scene.dial();
    client.write(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port: second })));
    await once(client, 'data');
    client.resetAndDestroy();
    assert.equal((await promise).code, 'ECONNRESET');
  });
});

/** Resolves with true when the socket takes more, with false when it did not for a while that is long for loopback. */
async function drained(socket: Socket): Promise<boolean> {
  const signal = AbortSignal.timeout(500);
  return once(socket, 'drain', { signal }).then(
    () => true,
    () => false,
  );
}

interface Seen {
  readonly line: string;
  readonly headers: readonly string[];
  readonly body: string;
}

async function webServer(): Promise<AsyncDisposable & { readonly port: number; readonly seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ line: `${request.method} ${request.url}`, headers: request.rawHeaders, body });
    response.writeHead(201, 'Made', ['X-Answer', 'yes']).end('fine');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
