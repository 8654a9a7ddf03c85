/**
 * The connections that one session's tunnels run on: in the packet engine where that can be, else the one that the log-in kept, else a new one of
 * node:tls.
 *
 * The engine's is opened while the log-in still goes on ({@link TunnelDialer.prepare}), as a handshake takes as long as a request. Nothing is sent on it
 * before the log-in has its cookie, and a log-in that fails closes it.
 */
import type { Credential, Target } from '../core/auth/login-io.ts';
import { CancelledError, SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { formatIp, type IpAddress } from '../core/wire/ip-address.ts';
import type { EngineStream } from '../node/engine/engine-stream.ts';
import type { PacketEngine } from '../node/engine/packet-engine.ts';
import type { TlsConnection } from '../node/tls-connection.ts';
import type { TlsStream } from '../node/tls-stream.ts';
import type { EngineDialer } from './engine-dialer.ts';
import type { GatewayDialer } from './gateway-dialer.ts';

/** How long a second connection may take while the log-in's is there: a firewall that allows one only may answer nothing at all. */
const SECOND_CONNECTION_LIMIT: Millis = 5000;

/** How long closing the log-in's connection may take. */
const CLOSE_LIMIT: Millis = 500;

export interface TunnelDialerOptions {
  readonly portable: Pick<GatewayDialer, 'dial'>;
  /** Absent through a proxy. */
  readonly fast?: Pick<EngineDialer, 'dial'>;
  readonly engine?: Promise<PacketEngine | undefined>;
  /** Default: {@link SECOND_CONNECTION_LIMIT}. */
  readonly secondConnectionLimit?: Millis;
  readonly log: Logger;
}

/** Nobody looks for a connection beside one that is there already. */
const SILENT: Logger = { log: () => undefined };

/** A connection that is opened before it is needed. */
interface Prepared {
  readonly gateway: Target;
  readonly address: IpAddress;
  readonly cancel: AbortController;
  /** Undefined if it came to nothing, whatever the reason. Never rejects. */
  readonly stream: Promise<EngineStream | undefined>;
}

export class TunnelDialer {
  readonly #options: TunnelDialerOptions;
  #prepared: Prepared | undefined;
  #kept: TlsConnection | undefined;
  #isOnly = false;
  #gaveKept = false;

  constructor(options: TunnelDialerOptions) {
    this.#options = options;
  }

  /**
   * Opens the first tunnel's connection ahead, to the machine that answers the log-in: its key must be one that the log-in's own connection has shown.
   * Another gateway takes the place of the one before.
   */
  prepare(gateway: Target, address: IpAddress): void {
    const { fast, engine } = this.#options;
    if (fast === undefined || engine === undefined || (this.#prepared !== undefined && isTo(this.#prepared, gateway, address))) return;
    this.abandon();
    const cancel = new AbortController();
    // Whatever it comes to, the tunnel's turn will show it again.
    const stream = fast.dial(engine, gateway, { signal: cancel.signal, address, log: SILENT }).catch(() => undefined);
    this.#prepared = { gateway, address, cancel, stream };
  }

  /** There will be no tunnel: what was prepared is closed. */
  abandon(): void {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    prepared?.cancel.abort();
    void prepared?.stream.then((stream) => stream?.destroy());
  }

  /** The log-in's connection, for the first tunnel. `isOnly`: it cannot begin on another. */
  keep(connection: TlsConnection | undefined, isOnly = false): void {
    this.#kept = connection;
    this.#isOnly = isOnly;
  }

  /** Gives back what {@link keep} was given, if no tunnel has it yet. */
  takeKept(): TlsConnection | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    return kept;
  }

  /** The tunnel begins with UDP: what is open is of no use. */
  letGo(): void {
    this.abandon();
    void this.takeKept()?.close(CLOSE_LIMIT);
  }

  /** The last connection that was given has carried other requests. */
  get gaveKept(): boolean {
    return this.#gaveKept;
  }

  async dial(credential: Credential, previous: TunnelConfig | undefined, signal: AbortSignal): Promise<TlsStream> {
    const { portable } = this.#options;
    const { gateway } = credential;
    const address = previous?.gatewayMoves === true ? undefined : credential.address;
    const kept = this.takeKept();
    if (kept !== undefined && this.#isOnly) {
      this.abandon();
      this.#gaveKept = true;
      return kept;
    }
    const stream = await this.#fromEngine(credential, address, kept !== undefined, signal).catch((error: unknown) => {
      kept?.destroy();
      throw error;
    });
    this.#gaveKept = stream === undefined && kept !== undefined;
    if (stream === undefined) return kept ?? portable.dial(gateway, signal, { address });
    void kept?.close(CLOSE_LIMIT);
    return stream;
  }

  /** If nobody wanted it. */
  close(): void {
    this.abandon();
    this.#kept?.destroy();
  }

  async #fromEngine(
    credential: Credential,
    address: IpAddress | undefined,
    hasKept: boolean,
    signal: AbortSignal,
  ): Promise<TlsStream | undefined> {
    const prepared = await this.#takePrepared(credential, address, hasKept, signal);
    if (prepared === 'failed' && hasKept) return undefined; // it would fail again
    return prepared === 'failed' || prepared === undefined ? this.#dialEngine(credential, address, hasKept, signal) : prepared;
  }

  /** What was prepared for this gateway, if it is still open: a gateway may not wait as long as a person needs to log in. */
  async #takePrepared(
    { gateway }: Credential,
    address: IpAddress | undefined,
    hasKept: boolean,
    signal: AbortSignal,
  ): Promise<EngineStream | 'failed' | undefined> {
    const prepared = this.#prepared;
    if (prepared === undefined) return undefined;
    if (address === undefined || signal.aborted || !isTo(prepared, gateway, address)) {
      this.abandon();
      return undefined;
    }
    const patience = this.#patience(hasKept, signal);
    const cancel = () => prepared.cancel.abort();
    patience.addEventListener('abort', cancel, { once: true });
    const stream = await prepared.stream;
    patience.removeEventListener('abort', cancel);
    if (signal.aborted) this.abandon();
    if (this.#prepared !== prepared) throw new CancelledError();
    this.#prepared = undefined;
    if (stream?.isOver !== true) return stream ?? 'failed';
    stream.destroy();
    return undefined;
  }

  /** How long a second connection is waited for. */
  #patience(hasKept: boolean, signal: AbortSignal): AbortSignal {
    const { secondConnectionLimit = SECOND_CONNECTION_LIMIT } = this.#options;
    return hasKept ? AbortSignal.any([signal, AbortSignal.timeout(secondConnectionLimit)]) : signal;
  }

  async #dialEngine(
    { gateway }: Credential,
    address: Credential['address'],
    hasKept: boolean,
    signal: AbortSignal,
  ): Promise<TlsStream | undefined> {
    const { fast, engine, log } = this.#options;
    if (fast === undefined || engine === undefined) return undefined;
    const patience = this.#patience(hasKept, signal);
    try {
      return await fast.dial(engine, gateway, { signal: patience, address, log: hasKept ? SILENT : log });
    } catch (error) {
      // A gateway may allow one connection only: then the log-in's goes on.
      if (!hasKept || signal.aborted || !(error instanceof SallyportError)) throw error;
      log.log('debug', 'second connection refused', { reason: error.message });
      return undefined;
    }
  }
}

function isTo({ gateway, address }: Prepared, { host, port }: Target, to: IpAddress): boolean {
  return gateway.host === host && gateway.port === port && formatIp(address) === formatIp(to);
}
