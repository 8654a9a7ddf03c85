/**
 * An AnyConnect gateway on loopback for tests: real TLS, our own HTTP reader and writer, and whatever behaviour a test scripts, Cisco's as
 * well. It answers requests by a handler, and a CONNECT may start a tunnel ({@link FakeTunnel}).
 *
 * @example
 * await using gateway = await startFakeGateway((request) => ({ response: documentOf('<auth id="main">…</auth>') }));
 * const url = `https://127.0.0.1:${gateway.port}/`;
 */
import net, { type AddressInfo } from 'node:net';
import { createSecureContext, TLSSocket, type TLSSocketOptions } from 'node:tls';
import { SallyportError } from '../../src/core/errors.ts';
import type { HttpRequest, HttpResponse } from '../../src/core/http/message.ts';
import { renderResponse } from '../../src/core/http/render.ts';
import { RequestParser } from '../../src/core/http/request-parser.ts';
import { FakeTunnel } from './fake-tunnel.ts';
import { type ThrowawayCertificate, throwawayCertificate } from './throwaway-certificate.ts';

export interface FakeGateway extends AsyncDisposable {
  readonly port: number;
  /** `127.0.0.1:PORT`, as it stands in URLs and in `Host`. */
  readonly authority: string;
  readonly certificate: ThrowawayCertificate;
  /** In the order they came. */
  readonly requests: readonly GatewayRequest[];
  /** TLS connections so far. */
  readonly connections: number;
  /** What a handler or a tunnel threw: the first of it. Disposing throws it too. */
  readonly failure: unknown;
}

export interface GatewayRequest extends HttpRequest {
  /** 1 for the first. */
  readonly connection: number;
  /** DER of the client's certificate, where the gateway asked for one and got it. */
  readonly clientCertificate?: Uint8Array;
  /** verify_data of the client's Finished (STRAP). */
  readonly clientFinished: Uint8Array | undefined;
}

/** What a handler wants done. */
export type GatewayReply =
  | { readonly response: HttpResponse; readonly closes?: boolean }
  /** The head of the answer to CONNECT, then the tunnel; the connection ends when `run` does. */
  | { readonly response: HttpResponse; readonly run: (tunnel: FakeTunnel) => Promise<unknown> }
  /** These bytes, whatever they are, then the end. */
  | { readonly bytes: Uint8Array }
  | 'hang-up'
  /** No answer, for as long as the client waits. */
  | 'stall';

export type GatewayHandler = (request: GatewayRequest) => GatewayReply | Promise<GatewayReply>;

const NO_BYTES = new Uint8Array(0);

export interface FakeGatewayOptions {
  /** Default: one made for this gateway. */
  readonly certificate?: ThrowawayCertificate;
  /** Which connections (1 for the first) are asked for a certificate. Default: none. */
  readonly asksForCertificate?: (connection: number) => boolean;
  /** Handed to node:tls for each connection. */
  readonly tls?: TLSSocketOptions;
}

export async function startFakeGateway(handler: GatewayHandler, options: FakeGatewayOptions = {}): Promise<FakeGateway> {
  const gateway = new Gateway(handler, options);
  await gateway.listen();
  return gateway;
}

class Gateway implements FakeGateway {
  readonly certificate: ThrowawayCertificate;
  readonly requests: GatewayRequest[] = [];
  connections = 0;
  failure: unknown;
  readonly #handler: GatewayHandler;
  readonly #options: FakeGatewayOptions;
  readonly #sockets = new Set<TLSSocket>();
  readonly #serving = new Set<Promise<void>>();
  readonly #server: net.Server;

  constructor(handler: GatewayHandler, options: FakeGatewayOptions) {
    this.#handler = handler;
    this.#options = options;
    this.certificate = options.certificate ?? throwawayCertificate();
    const secureContext = createSecureContext({ key: this.certificate.keyPem, cert: this.certificate.certificatePem });
    this.#server = net.createServer((socket) => {
      const serving = this.#serve(socket, secureContext).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get authority(): string {
    return `127.0.0.1:${this.port}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...this.#serving]);
    if (this.failure !== undefined) throw this.failure;
  }

  async #serve(socket: net.Socket, secureContext: TLSSocketOptions['secureContext']): Promise<void> {
    const connection = ++this.connections;
    const requestCert = this.#options.asksForCertificate?.(connection) ?? false;
    const tls = new TLSSocket(socket, { ...this.#options.tls, isServer: true, secureContext, requestCert, rejectUnauthorized: false });
    this.#sockets.add(tls);
    tls.on('close', () => this.#sockets.delete(tls));
    tls.on('error', () => socket.destroy()); // the client went away, or it does not like our certificate
    try {
      await this.#exchange(tls, connection);
    } catch (error) {
      this.failure ??= error;
    }
    tls.end();
  }

  /** Requests and answers in turn, until one of them ends the connection. */
  async #exchange(tls: TLSSocket, connection: number): Promise<void> {
    const parser = new RequestParser();
    for (;;) {
      const request = await nextRequest(tls, parser);
      if (request === undefined) return;
      const { raw } = tls.getPeerCertificate();
      const seen: GatewayRequest = {
        ...request,
        connection,
        ...(raw !== undefined && { clientCertificate: new Uint8Array(raw) }),
        clientFinished: tls.getPeerFinished(),
      };
      this.requests.push(seen);
      const reply = await this.#handler(seen);
      if (reply === 'hang-up') return;
      if (reply === 'stall') {
        await closed(tls);
        return;
      }
      if ('bytes' in reply) {
        tls.write(reply.bytes);
        return;
      }
      tls.write(renderResponse(reply.response));
      if ('run' in reply) {
        await reply.run(new FakeTunnel(tls, parser.takeRest()));
        return;
      }
      if (reply.closes === true) return;
    }
  }
}

/** The next request; undefined when the client is gone, or sends what is no HTTP. */
async function nextRequest(tls: TLSSocket, parser: RequestParser): Promise<HttpRequest | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpRequest | undefined>();
  const read = (bytes: Uint8Array) => {
    try {
      parser.push(bytes);
      const received = parser.next();
      if (received !== undefined) resolve(received.message);
    } catch (error) {
      if (error instanceof SallyportError) resolve(undefined);
      else reject(error);
    }
  };
  const end = () => resolve(undefined);
  read(NO_BYTES); // a request that came together with the one before
  if (tls.destroyed) end(); // while the last one was answered
  tls.on('data', read).once('close', end).once('end', end).resume();
  try {
    return await promise;
  } finally {
    tls.pause().off('data', read).off('close', end).off('end', end);
  }
}

/** Waits until the client has gone. */
async function closed(tls: TLSSocket): Promise<void> {
  if (tls.destroyed) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  tls.once('end', resolve).once('close', resolve).resume();
  await promise;
}
