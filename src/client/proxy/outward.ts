/**
 * Connects a proxy's clients: finds the way of each destination, looks its name up there, and tries its addresses in turn.
 *
 * Read first: route-rules.ts.
 */
import { once } from 'node:events';
import { CancelledError, NetworkError } from '../../core/errors.ts';
import type { SocksDestination } from '../../core/socks/socks5.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, parseIp } from '../../core/wire/ip-address.ts';
import { systemErrorCode } from '../../node/system-error.ts';
import type { OutwardNetwork, OutwardSocket } from './outward-network.ts';
import { type RouteRules, unmapped, type Way } from './route-rules.ts';

/** For one address to answer. A client that waits longer than its user has gone. */
const CONNECT_LIMIT: Millis = 20_000;

/** Addresses of a name that are tried: a name server is not believed more. */
const MAX_ADDRESSES = 8;

export interface OutwardParts {
  readonly networks: Readonly<Record<Way, OutwardNetwork>>;
  /** Now: the gateway may say something else after a reconnect. */
  readonly rules: () => RouteRules;
}

export interface OutwardTarget {
  readonly address: string;
  readonly family: 4 | 6;
  readonly way: Way;
}

export interface Connected {
  readonly socket: OutwardSocket;
  readonly way: Way;
}

/** The rules do not let anybody go there. */
export class ForbiddenError extends NetworkError {
  constructor(host: string) {
    super(`This proxy does not connect to ${host}.`, { code: 'EACCES' });
  }
}

export class Outward {
  readonly #parts: OutwardParts;

  constructor(parts: OutwardParts) {
    this.#parts = parts;
  }

  get rules(): RouteRules {
    return this.#parts.rules();
  }

  network(way: Way): OutwardNetwork {
    return this.#parts.networks[way];
  }

  /**
   * Connects, with both directions open until each is ended. Rejects with an error that has a code of the system's: ENOTFOUND, ECONNREFUSED,
   * EACCES for what the rules forbid, …; and with {@link CancelledError}.
   */
  async connect({ host, port }: SocksDestination, signal: AbortSignal): Promise<Connected> {
    const targets = await this.resolve(host, signal);
    let last: unknown;
    for (const target of targets) {
      if (signal.aborted) throw new CancelledError();
      try {
        return { socket: await this.#connectTo(target, port, signal), way: target.way };
      } catch (error) {
        last = error;
      }
    }
    throw signal.aborted ? new CancelledError() : last;
  }

  /** The addresses of a destination with their ways; those that are forbidden left out. Rejects as {@link connect} does; never empty. */
  async resolve(host: string, signal?: AbortSignal): Promise<readonly OutwardTarget[]> {
    const rules = this.rules;
    const { texts, way } = await this.#addresses(host, rules, signal);
    const targets: OutwardTarget[] = [];
    for (const text of texts.slice(0, MAX_ADDRESSES)) {
      const parsed = parseIp(text);
      if (parsed === undefined) continue; // one with a zone: a neighbour's, which no VPN has
      const address = unmapped(parsed);
      const byAddress = rules.ofAddress(address);
      if (byAddress !== 'forbidden') targets.push({ address: formatIp(address), family: address.family, way: way ?? byAddress });
    }
    if (targets.length === 0) throw new ForbiddenError(host);
    return targets;
  }

  async #addresses(host: string, rules: RouteRules, signal: AbortSignal | undefined): Promise<{ texts: readonly string[]; way?: Way }> {
    if (parseIp(host) !== undefined) return { texts: [host] };
    const { resolver, way } = rules.ofName(host);
    const found = await this.network(resolver).lookup(host, signal === undefined ? {} : { signal });
    if (found.length === 0) throw new NetworkError(`${host} has no address.`, { code: 'ENOTFOUND' });
    return { texts: found.map(({ address }) => address), ...(way !== undefined && { way }) };
  }

  async #connectTo({ address, way }: OutwardTarget, port: number, signal: AbortSignal): Promise<OutwardSocket> {
    const cancel = new AbortController();
    const abort = () => cancel.abort();
    signal.addEventListener('abort', abort, { once: true });
    const timer = setTimeout(abort, CONNECT_LIMIT);
    let socket: OutwardSocket | undefined;
    try {
      socket = this.network(way).createConnection({
        host: address,
        port,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
        signal: cancel.signal,
      });
      socket.on('error', () => undefined); // whoever has it in the end: 'close' follows
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      socket?.destroy();
      if (signal.aborted) throw new CancelledError();
      if (cancel.signal.aborted) throw new NetworkError(`${address} port ${port} does not answer.`, { code: 'ETIMEDOUT' });
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
    }
  }
}

/** What to say of an error in the words of a protocol: by its code. */
export function failureCode(error: unknown): string {
  return systemErrorCode(error) ?? 'UNKNOWN';
}
