/**
 * A gateway on loopback that keeps to the protocol up to the moment at which it does not. What it does then, a {@link Hostility} says: each layer of
 * the way from the socket to the tunnel can be taken over by itself, everything else stays honest.
 *
 *   socket ─ wire ─► TLS ─ http ─► log-in, CONNECT (honest-flow.ts) ─ grant ─► tunnel        UDP ─ hostile-datagrams.ts
 *
 * One gateway serves many runs, one after the other: {@link HostileGateway.begin} starts one, {@link HostileGateway.end} takes everything back.
 */
import net, { type AddressInfo, type Socket } from 'node:net';
import { TLSSocket, type TLSSocketOptions } from 'node:tls';
import { SallyportError } from '../../src/core/errors.ts';
import type { HttpHeaders, HttpRequest, HttpResponse } from '../../src/core/http/message.ts';
import { renderResponse } from '../../src/core/http/render.ts';
import { RequestParser } from '../../src/core/http/request-parser.ts';
import { echoPackets, FakeTunnel } from '../support/fake-tunnel.ts';
import type { Dice } from './dice.ts';
import { granted, grantedHeaders, HonestFlow } from './honest-flow.ts';
import { type Delivery, deliver, honestly, type Outlet } from './hostile-bytes.ts';
import { DatagramHost, type DatagramHostility } from './hostile-datagrams.ts';
import type { Waiting } from './virtual-time.ts';

/** What is taken over; what is not there is honest. Each is asked at every moment of its kind, with dice of that moment. */
export interface Hostility {
  /** What TLS runs on. Undefined: there is no TLS, the connection has been dealt with. */
  readonly wire?: (socket: Socket, moment: Moment) => Promise<Socket | undefined>;
  readonly tls?: (moment: Moment) => TLSSocketOptions;
  /** After the TLS handshake, before the first request. False: it is over. */
  readonly greeting?: (visit: Visit) => Promise<boolean>;
  readonly document?: (answer: HttpResponse, visit: Visit) => HttpResponse;
  /** Of the log-in. */
  readonly http?: (answer: HttpResponse, visit: Visit) => Delivery;
  /** The answer to CONNECT as it goes on the wire. */
  readonly connect?: (answer: HttpResponse, visit: Visit) => Delivery;
  readonly grant?: (headers: HttpHeaders, visit: Visit) => HttpHeaders;
  readonly tunnel?: (tunnel: FakeTunnel, visit: Visit) => Promise<unknown>;
  readonly datagrams?: DatagramHostility;
}

export interface Moment {
  readonly dice: Dice;
  readonly time: Waiting;
  /** The run is over. */
  readonly signal: AbortSignal;
  /** 0 for the first connection of the run. */
  readonly connection: number;
}

/** A client on a TLS connection. */
export interface Visit extends Moment, Outlet {
  readonly stream: TLSSocket;
  /** Requests answered on this connection. */
  readonly answered: number;
}

interface Run {
  readonly dice: Dice;
  readonly hostility: Hostility;
  readonly flow: HonestFlow;
  readonly over: AbortController;
  connections: number;
}

/** A client that comes more often than this in one run is not going to stop. */
const MAX_CONNECTIONS = 500;

export class HostileGateway implements AsyncDisposable {
  readonly time: Waiting;
  readonly #tls: TLSSocketOptions;
  readonly #server = net.createServer((socket) => this.#accept(socket));
  readonly #sockets = new Set<Socket>();
  readonly #visits = new Set<Promise<void>>();
  readonly #datagrams: DatagramHost;
  #run: Run | undefined;
  /** To TCP connections of this run that have closed. */
  #sentBytes = 0;
  /** What went wrong in the gateway itself, or with a client that never has enough. */
  #failure: unknown;

  private constructor(time: Waiting, tls: TLSSocketOptions, datagrams: DatagramHost) {
    this.time = time;
    this.#tls = tls;
    this.#datagrams = datagrams;
  }

  /** `tls`: the certificate, unless a run has another. */
  static async start(time: Waiting, tls: TLSSocketOptions): Promise<HostileGateway> {
    const gateway = new HostileGateway(time, tls, await DatagramHost.open());
    await new Promise<void>((resolve) => gateway.#server.listen(0, '127.0.0.1', resolve));
    return gateway;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    await Promise.all([new Promise((resolve) => this.#server.close(resolve)), this.#datagrams.close()]);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections of this run so far. */
  get connections(): number {
    return this.#run?.connections ?? 0;
  }

  /** What this run, or the last one, has sent by TCP. */
  get sentBytes(): number {
    return [...this.#sockets].reduce((sum, socket) => sum + socket.bytesWritten, this.#sentBytes);
  }

  begin(dice: Dice, hostility: Hostility): void {
    this.#sentBytes = 0;
    this.#run = { dice, hostility, flow: new HonestFlow(dice.fork(1), this.port), over: new AbortController(), connections: 0 };
    this.#datagrams.begin(dice.fork(2), hostility.datagrams);
  }

  /** Ends the run and every connection of it. Throws what went wrong here. */
  async end(): Promise<void> {
    this.#run?.over.abort();
    this.#run = undefined;
    this.#datagrams.end();
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#visits);
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure !== undefined) throw failure;
  }

  #accept(socket: Socket): void {
    const run = this.#run;
    socket.on('error', () => undefined); // the client went away
    if (run === undefined) {
      socket.destroy();
      return;
    }
    const connection = run.connections++;
    if (connection > MAX_CONNECTIONS) this.#failure ??= new Error(`the client made more than ${MAX_CONNECTIONS} connections`);
    this.#sockets.add(socket);
    socket.on('close', () => {
      if (this.#sockets.delete(socket)) this.#sentBytes += socket.bytesWritten;
    });
    const visit = this.#serve(socket, run, connection)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#visits.delete(visit);
        socket.destroySoon();
      });
    this.#visits.add(visit);
  }

  async #serve(raw: Socket, run: Run, connection: number): Promise<void> {
    const { hostility } = run;
    const moment: Moment = { dice: run.dice.fork(100 + connection), time: this.time, signal: run.over.signal, connection };
    const wire = hostility.wire === undefined ? raw : await hostility.wire(raw, moment);
    if (wire === undefined || run.over.signal.aborted) return;
    const options = { ...this.#tls, ...hostility.tls?.(moment), isServer: true, rejectUnauthorized: false };
    const stream = new TLSSocket(wire, options);
    stream.on('error', () => undefined); // the client went away, or does not like us
    try {
      const visit = { ...moment, stream, raw, answered: 0 };
      if ((await hostility.greeting?.(visit)) !== false) await this.#exchange(visit, run);
    } finally {
      stream.end();
    }
  }

  async #exchange(visit: Visit & { answered: number }, run: Run): Promise<void> {
    const { stream, signal } = visit;
    const parser = new RequestParser();
    for (;;) {
      const request = await nextRequest(stream, parser, signal);
      if (request === undefined) return;
      const moment: Visit = { ...visit, dice: visit.dice.fork(visit.answered) };
      visit.answered++;
      if (request.method === 'CONNECT') return this.#connect(request, parser, moment, run);
      const honest = run.flow.answer(request);
      const answer = run.hostility.document?.(honest, moment) ?? honest;
      const delivery = run.hostility.http?.(answer, moment) ?? honestly(renderResponse(answer));
      if (!(await deliver(moment, delivery))) return;
    }
  }

  async #connect(request: HttpRequest, parser: RequestParser, visit: Visit, run: Run): Promise<void> {
    const { hostility } = run;
    const { stream, dice } = visit;
    const honest = grantedHeaders(dice.fork(1), request, { udpPort: this.#datagrams.port, hasIpv6: run.flow.hasIpv6 });
    const headers = hostility.grant?.(honest, visit) ?? honest;
    this.#datagrams.expect(request, headers, stream);
    const answer = granted(headers);
    const delivery = hostility.connect?.(answer, visit) ?? honestly(renderResponse(answer));
    const tunnel = new FakeTunnel(stream, parser.takeRest());
    if (!(await deliver(visit, delivery))) return;
    await ignoringNonsense(hostility.tunnel?.(tunnel, visit) ?? echoPackets(tunnel));
  }
}

/** What the client sends is checked elsewhere. */
async function ignoringNonsense(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
  }
}

const NO_BYTES = new Uint8Array(0);

/** The next request; undefined when the client is gone or sends what is no HTTP, or the run is over. */
async function nextRequest(stream: TLSSocket, parser: RequestParser, signal: AbortSignal): Promise<HttpRequest | undefined> {
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
  read(NO_BYTES);
  if (stream.destroyed || stream.readableEnded || signal.aborted) end();
  stream.on('data', read).once('close', end).once('end', end).resume();
  signal.addEventListener('abort', end, { once: true });
  try {
    return await promise;
  } finally {
    stream.pause().off('data', read).off('close', end).off('end', end);
    signal.removeEventListener('abort', end);
  }
}
