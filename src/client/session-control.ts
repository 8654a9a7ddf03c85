/**
 * Asking a connection of another process of the same user how it is, to reconnect, or to end.
 *
 * Read first: node/control-socket.ts (where, who may, limits).
 *
 *   {"do":"status"}                          → a VpnStatus
 *   {"do":"disconnect","keepCookie":false}   → how it ended, once everything is undone
 *   {"do":"reconnect"}                       → {}
 */
import { setTimeout as delay } from 'node:timers/promises';
import { MisuseError, PeerMisbehavedError } from '../core/errors.ts';
import type { Outcome } from '../core/session/session-machine.ts';
import type { Millis } from '../core/tunnel/packet.ts';
import { ControlClient, ControlServer, type ControlServerOptions, findControls } from '../node/control-socket.ts';
import { parseVpnStatus, type VpnStatus } from './vpn-status.ts';

/** What a connection lets others do with it: a {@link Vpn}. */
export interface ControlledSession {
  status(): VpnStatus;
  reconnect(): void;
  close(options: { readonly keepCookie: boolean }): Promise<Outcome>;
}

/** Serves a connection of this process until the server is closed. Rejects as {@link ControlServer.listen} does. */
export function serveSession(session: ControlledSession, options: ControlServerOptions = {}): Promise<ControlServer> {
  return ControlServer.listen(async (request) => answer(session, parseRequest(request)), options);
}

type SessionRequest = { readonly do: 'status' | 'reconnect' } | { readonly do: 'disconnect'; readonly keepCookie: boolean };

/** Throws {@link PeerMisbehavedError}. */
function parseRequest(value: unknown): SessionRequest {
  const { do: verb, keepCookie = false } = (typeof value === 'object' && value !== null ? value : {}) as Partial<Record<string, unknown>>;
  if (verb === 'status' || verb === 'reconnect') return { do: verb };
  if (verb === 'disconnect' && typeof keepCookie === 'boolean') return { do: verb, keepCookie };
  throw new PeerMisbehavedError('a request that this version does not know');
}

async function answer(session: ControlledSession, request: SessionRequest): Promise<object> {
  switch (request.do) {
    case 'status':
      return session.status();
    case 'reconnect':
      if (session.status().state !== 'up' && session.status().state !== 'reconnecting') throw new MisuseError('It is not connected yet.');
      session.reconnect();
      return {};
    case 'disconnect': {
      const { kind, message } = await session.close({ keepCookie: request.keepCookie });
      return { kind, message };
    }
  }
}

/** A reply needs no waiting for anything. */
const REPLY_TIMEOUT: Millis = 5_000;
/** The gateway is told, and each step of the network set-up taken back. */
const DISCONNECT_TIMEOUT: Millis = 60_000;
/** For its server to close, once it has said that the connection is over. */
const GOODBYE_TIMEOUT: Millis = 2_000;

/** A connection of a process of this user. */
export class RemoteSession {
  readonly pid: number;
  readonly #client: ControlClient;

  private constructor(pid: number, client: ControlClient) {
    this.pid = pid;
    this.#client = client;
  }

  /**
   * All there are, the oldest first. A process that is just ending, or does not answer, is left out.
   * Rejects with SallyportError if others can write to the folder of the sockets. Close each of them.
   */
  static async findAll(directory?: string): Promise<readonly RemoteSession[]> {
    const controls = await findControls(directory);
    const opened = await Promise.allSettled(
      controls.map(async ({ file, owner }) => new RemoteSession(owner.pid, await ControlClient.connect(file))),
    );
    return opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  }

  /** Each of these rejects as {@link ControlClient.request} does. */
  async status(): Promise<VpnStatus> {
    return parseVpnStatus(await this.#client.request({ do: 'status' }, REPLY_TIMEOUT));
  }

  async reconnect(): Promise<void> {
    await this.#client.request({ do: 'reconnect' }, REPLY_TIMEOUT);
  }

  /** Resolves when everything of the connection is undone, and the session is no longer found. */
  async disconnect(options: { readonly keepCookie: boolean }): Promise<void> {
    await this.#client.request({ do: 'disconnect', ...options }, DISCONNECT_TIMEOUT);
    await Promise.race([this.#client.closed, delay(GOODBYE_TIMEOUT, undefined, { ref: false })]);
  }

  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
