/**
 * Ports that lead to one destination, written as ssh writes them.
 *
 *   -L [bind:]port:host:hostport   a port here leads to a destination behind the proxy's networks
 *   -R [bind:]port:host:hostport   a port inside the VPN, at our address there, leads to a destination of this machine's network
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { CancelledError, MisuseError, SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { isHostName } from '../../core/socks/host-name.ts';
import type { SocksDestination } from '../../core/socks/socks5.ts';
import { parseIp } from '../../core/wire/ip-address.ts';
import type { IpNetwork, IpServer, IpSocket } from '../../node/ip/ip-network.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { failureCode, type Outward } from './outward.ts';
import { systemNetwork } from './outward-network.ts';
import type { ProxyCounters } from './proxy-counters.ts';
import { splice } from './splice.ts';

export interface PortForward {
  /** An IP address; undefined: loopback here, every one of our addresses inside. */
  readonly bind: string | undefined;
  /** 0: a free one. */
  readonly port: number;
  readonly to: SocksDestination;
}

/** Open at a time, for one port. */
const MAX_CONNECTIONS = 1_024;

/** Reads `[bind:]port:host:hostport`, IPv6 addresses in brackets; a bind address of `*` or nothing is every address. Throws {@link MisuseError}. */
export function parsePortForward(text: string): PortForward {
  const match = /^(?:(\[[^\]]*\]|[^:[\]]*):)?(\d{1,5}):(\[[^\]]+\]|[^:[\]]+):(\d{1,5})$/.exec(text);
  const [, bindText, portText, hostText = '', hostPortText] = match ?? [];
  const bind = bindText === undefined ? undefined : bindAddress(unbracketed(bindText));
  const host = unbracketed(hostText);
  const [port, hostPort] = [Number(portText), Number(hostPortText)];
  const isPossible = match !== null && bind !== null && isHostName(host) && port <= 0xffff && hostPort >= 1 && hostPort <= 0xffff;
  if (!isPossible) throw new MisuseError(`"${text}" is no forward: expected [BIND:]PORT:HOST:HOSTPORT.`);
  return { bind, port, to: { host, port: hostPort } };
}

/** Null: none. */
function bindAddress(text: string): string | null {
  if (text === '' || text === '*') return '0.0.0.0';
  if (text === 'localhost') return '127.0.0.1';
  return parseIp(text) === undefined ? null : text;
}

function unbracketed(text: string): string {
  return text.replace(/^\[(.*)\]$/, '$1');
}

export interface ForwardParts {
  readonly outward: Outward;
  readonly counters: ProxyCounters;
  readonly log: Logger;
}

/** A port of this machine. */
export class LocalForward implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** Rejects with SallyportError (`ERR_LISTEN`) if the port is taken. */
  static async listen({ bind = '127.0.0.1', port, to }: PortForward, parts: ForwardParts): Promise<LocalForward> {
    const forward = new LocalForward(to, parts);
    const server = forward.#server;
    try {
      const listening = once(server, 'listening'); // rejects at 'error'
      server.listen(port, bind);
      await listening;
    } catch (cause) {
      throw new SallyportError('ERR_LISTEN', `Port ${port} at ${bind} cannot be forwarded: ${systemErrorText(cause)}.`, { cause });
    }
    server.on('error', () => undefined); // a connection that could not be accepted: its client sees it
    return forward;
  }

  private constructor(to: SocksDestination, parts: ForwardParts) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      void carry(socket, to, parts);
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('drop', () => parts.counters.dropped++);
  }

  get address(): AddressInfo {
    return this.#server.address() as AddressInfo; // it listens, and not at a path
  }

  /** Ends its connections. Safe to call twice. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A port inside the VPN. */
export class RemoteForward implements Disposable {
  readonly #server: IpServer;
  readonly #sockets = new Set<IpSocket>();

  /**
   * Starts to listen. Rejects with NetworkError if it cannot. What comes from there goes to this machine's own network, to the one destination that
   * the user has named: also to loopback.
   */
  static async listen(
    forward: PortForward,
    inside: IpNetwork,
    parts: ForwardParts,
    maxConnections: number = MAX_CONNECTIONS,
  ): Promise<RemoteForward> {
    const { bind, port } = forward;
    const made = new RemoteForward(forward.to, inside, parts, maxConnections);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    made.#server.once('error', reject);
    const isEvery = bind === undefined || bind === '0.0.0.0' || bind === '::';
    made.#server.listen({ port, ...(!isEvery && { host: bind }) }, resolve);
    await promise;
    return made;
  }

  private constructor(to: SocksDestination, inside: IpNetwork, parts: ForwardParts, maxConnections: number) {
    this.#server = inside.createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (far) => {
      far.on('error', () => undefined); // 'close' follows
      if (this.#sockets.size >= maxConnections) {
        parts.counters.dropped++;
        far.resetAndDestroy();
        return;
      }
      this.#sockets.add(far);
      far.once('close', () => this.#sockets.delete(far));
      void toHere(far, to, parts);
    });
  }

  get isOpen(): boolean {
    return this.#server.listening;
  }

  /** Ends its connections. Safe to call twice. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

async function toHere(far: IpSocket, { host, port }: SocksDestination, { counters, log }: ForwardParts): Promise<void> {
  const socket = systemNetwork.createConnection({
    host,
    port,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    signal: new AbortController().signal,
  }) as Socket; // the system's are
  socket.on('error', () => undefined); // 'close' follows
  const farGone = () => socket.destroy(new CancelledError());
  far.once('close', farGone);
  try {
    await once(socket, 'connect');
  } catch (error) {
    if (error instanceof CancelledError) return;
    counters.failed(failureCode(error));
    log.log('debug', 'remote forward failed', { host, port, reason: failureCode(error) });
    far.resetAndDestroy();
    return;
  } finally {
    far.off('close', farGone);
  }
  counters.connected('remote-forward', 'vpn');
  await splice(socket, far);
  counters.carried(socket);
}

async function carry(socket: Socket, to: SocksDestination, { outward, counters, log }: ForwardParts): Promise<void> {
  const gone = new AbortController();
  socket.on('error', () => undefined); // 'close' follows
  socket.once('close', () => gone.abort());
  try {
    const { socket: far, way } = await outward.connect(to, gone.signal);
    counters.connected('forward', way);
    await splice(socket, far);
    counters.carried(socket);
  } catch (error) {
    if (error instanceof CancelledError) return;
    counters.failed(failureCode(error));
    log.log('debug', 'forward failed', { ...to, reason: failureCode(error) });
    socket.resetAndDestroy();
  }
}
