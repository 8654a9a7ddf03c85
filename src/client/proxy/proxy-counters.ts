/** What a proxy has done so far, for metrics. */
import type { Socket } from 'node:net';
import type { Way } from './route-rules.ts';

/** How a client speaks, or which service it came to. */
export type ProxyProtocol = 'socks4' | 'socks5' | 'http' | 'udp' | 'dns' | 'forward' | 'remote-forward';

export class ProxyCounters {
  /** Clients that were turned away, as there were too many. */
  dropped = 0;
  /** Bytes of connections that are over and of datagrams, from programs of this machine and to them, with the proxy's own. */
  readonly bytes = { fromClients: 0, toClients: 0 };
  readonly #made = new Map<string, { readonly protocol: ProxyProtocol; readonly way: Way; count: number }>();
  readonly #failed = new Map<string, number>();
  #active = 0;
  #settled: PromiseWithResolvers<void> | undefined;

  /** Clients that are connected now. */
  get active(): number {
    return this.#active;
  }

  /** A client has connected. */
  entered(): void {
    this.#active++;
  }

  /** Its connection is closed. */
  left(): void {
    if (--this.#active > 0) return;
    this.#settled?.resolve();
    this.#settled = undefined;
  }

  /** Resolves when no client is connected any more. */
  settled(): Promise<void> {
    if (this.#active === 0) return Promise.resolve();
    this.#settled ??= Promise.withResolvers();
    return this.#settled.promise;
  }

  /** A destination was reached. */
  connected(protocol: ProxyProtocol, way: Way): void {
    const key = `${protocol} ${way}`;
    const entry = this.#made.get(key) ?? { protocol, way, count: 0 };
    entry.count++;
    this.#made.set(key, entry);
  }

  /** A connection is over whose end at this machine was `socket`: all of its bytes. */
  carried({ bytesRead, bytesWritten }: Pick<Socket, 'bytesRead' | 'bytesWritten'>): void {
    this.bytes.fromClients += bytesRead;
    this.bytes.toClients += bytesWritten;
  }

  /** @param reason a code of the system's, or of a short list of ours: never what a client sent */
  failed(reason: string): void {
    this.#failed.set(reason, (this.#failed.get(reason) ?? 0) + 1);
  }

  get connections(): readonly { readonly protocol: ProxyProtocol; readonly way: Way; readonly count: number }[] {
    return [...this.#made.values()];
  }

  get failures(): ReadonlyMap<string, number> {
    return this.#failed;
  }
}
