/**
 * The connections that one session's tunnels run on: in the packet engine where that can be, else the one that the log-in kept, else a new one of
 * node:tls.
 */
import type { Credential } from '../core/auth/login-io.ts';
import { SallyportError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import type { TunnelConfig } from '../core/tunnel/config.ts';
import type { Millis } from '../core/tunnel/packet.ts';
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

export class TunnelDialer {
  readonly #options: TunnelDialerOptions;
  #kept: TlsConnection | undefined;
  #gaveKept = false;

  constructor(options: TunnelDialerOptions) {
    this.#options = options;
  }

  /** The log-in's connection, for the first tunnel. */
  keep(connection: TlsConnection | undefined): void {
    this.#kept = connection;
  }

  /** The last connection that was given has carried other requests. */
  get gaveKept(): boolean {
    return this.#gaveKept;
  }

  async dial(credential: Credential, previous: TunnelConfig | undefined, signal: AbortSignal): Promise<TlsStream> {
    const { portable } = this.#options;
    const { gateway } = credential;
    const address = previous?.gatewayMoves === true ? undefined : credential.address;
    const kept = this.#kept;
    this.#kept = undefined;
    const stream = await this.#dialEngine(credential, address, kept !== undefined, signal).catch((error: unknown) => {
      kept?.destroy();
      throw error;
    });
    this.#gaveKept = stream === undefined && kept !== undefined;
    if (stream === undefined) return kept ?? portable.dial(gateway, signal, address);
    void kept?.close(CLOSE_LIMIT);
    return stream;
  }

  /** If nobody wanted it. */
  close(): void {
    this.#kept?.destroy();
  }

  async #dialEngine(
    { gateway }: Credential,
    address: Credential['address'],
    hasKept: boolean,
    signal: AbortSignal,
  ): Promise<TlsStream | undefined> {
    const { fast, engine, secondConnectionLimit = SECOND_CONNECTION_LIMIT, log } = this.#options;
    if (fast === undefined || engine === undefined) return undefined;
    const patience = hasKept ? AbortSignal.any([signal, AbortSignal.timeout(secondConnectionLimit)]) : signal;
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
