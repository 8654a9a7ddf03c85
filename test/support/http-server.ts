/** An HTTP server on loopback made of our own codec: it reads what foreign clients write, and they read what it writes. */
import net, { type AddressInfo } from 'node:net';
import tls, { type TlsOptions } from 'node:tls';
import type { HttpRequest } from '../../src/core/http/message.ts';
import { RequestParser } from '../../src/core/http/request-parser.ts';

export interface TestHttpServer extends AsyncDisposable {
  readonly port: number;
  readonly requests: readonly HttpRequest[];
}

/**
 * `answer` gives the bytes of a response, and whether the connection closes after it. `connection` is an object for each connection.
 * With `secure` it speaks TLS.
 */
export async function startHttpServer(
  answer: (request: HttpRequest, connection: object) => { readonly bytes: Uint8Array; readonly closes?: boolean },
  secure?: TlsOptions,
): Promise<TestHttpServer> {
  const requests: HttpRequest[] = [];
  const sockets = new Set<net.Socket>();
  const serve = (socket: net.Socket) => {
    const parser = new RequestParser();
    const connection = {};
    sockets.add(socket);
    socket.on('error', () => socket.destroy()); // the client went away
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (bytes) => {
      parser.push(bytes);
      for (let received = parser.next(); received !== undefined; received = parser.next()) {
        requests.push(received.message);
        const { bytes: response, closes = false } = answer(received.message, connection);
        if (closes) socket.end(response);
        else socket.write(response);
      }
    });
  };
  const server = secure === undefined ? net.createServer(serve) : tls.createServer(secure, serve);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
