/** Node's HTTP server as a foreign server: what our client side writes and reads, on real sockets. */
import assert from 'node:assert/strict';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { HttpRequest, HttpResponse } from '../../src/core/http/message.ts';
import type { Received } from '../../src/core/http/message-reader.ts';
import { renderRequest } from '../../src/core/http/render.ts';
import { ResponseParser } from '../../src/core/http/response-parser.ts';
import { fromUtf8, utf8 } from '../../src/core/wire/text.ts';

/** Sends requests one after the other on one connection and gives what came for each. */
async function exchange(port: number, requests: readonly HttpRequest[]): Promise<Received<HttpResponse>[]> {
  const socket = net.connect(port, '127.0.0.1');
  const parser = new ResponseParser();
  const arriving = socket[Symbol.asyncIterator]();
  const responses: Received<HttpResponse>[] = [];
  for (const request of requests) {
    parser.expect(request.method);
    socket.write(renderRequest(request));
    let response = parser.next();
    while (response === undefined) {
      const { done, value } = await arriving.next();
      if (done === true) break;
      parser.push(value);
      response = parser.next();
    }
    response ??= parser.finish();
    assert.ok(response !== undefined);
    responses.push(response);
  }
  socket.destroy();
  return responses;
}

const request = (method: string, target: string, body = ''): HttpRequest => ({
  method,
  target,
  version: '1.1',
  headers: [
    ['Host', 'vpn.example'],
    ['Content-Length', String(body.length)],
  ],
  body: utf8(body),
});

describe('a Node HTTP server', () => {
  it('is understood in every framing it uses, on one connection', async () => {
    const server = http.createServer((incoming, outgoing) => {
      if (incoming.url === '/close') outgoing.setHeader('Connection', 'close');
      if (incoming.url === '/none') outgoing.statusCode = 204;
      outgoing.setHeader('X-Method', incoming.method ?? '');
      if (incoming.url === '/early') outgoing.writeEarlyHints({ link: '</a>; rel=preload' });
      if (incoming.url === '/length') {
        outgoing.end('in one piece');
        return;
      }
      outgoing.write('in pieces: '); // no length yet: chunked
      incoming.on('data', (bytes) => outgoing.write(bytes));
      incoming.on('end', () => outgoing.end());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const sent = [
        request('GET', '/length'),
        request('HEAD', '/length'),
        request('POST', '/chunked', 'a=b'),
        request('GET', '/none'),
        request('POST', '/early', 'c=d'),
        request('POST', '/close', 'e=f'),
      ];
      const received = await exchange((server.address() as AddressInfo).port, sent);
      assert.deepEqual(
        received.map(({ message, connection }) => [message.status, fromUtf8(message.body), connection]),
        [
          [200, 'in one piece', 'keep-alive'],
          [200, '', 'keep-alive'],
          [200, 'in pieces: a=b', 'keep-alive'],
          [204, '', 'keep-alive'],
          [200, 'in pieces: c=d', 'keep-alive'],
          [200, 'in pieces: e=f', 'close'],
        ],
      );
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
