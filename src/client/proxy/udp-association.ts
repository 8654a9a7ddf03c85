/**
 * Datagrams of one SOCKS 5 client: a local UDP socket for it, and outward ones, at most one for each way and family.
 *
 *   client ──► header, payload ──► [ this ] ──► payload ──► destination
 *          ◄── header, payload ◄──          ◄── payload ◄── whoever was sent to before, and nobody else
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Logger } from '../../core/log.ts';
import { decodeDatagram, encodeDatagram, type SocksDestination } from '../../core/socks/socks5.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { failureCode, type Outward, type OutwardTarget } from './outward.ts';
import type { OutwardDatagram } from './outward-network.ts';
import type { ProxyCounters } from './proxy-counters.ts';
import { normalName } from './route-rules.ts';

/** Destinations that are remembered: who was sent to longest ago is forgotten. */
const MAX_PEERS = 256;
/** Names that are looked up at a time; datagrams to further ones are lost, as datagrams may. */
const MAX_LOOKUPS = 16;
const MAX_NAMES = 64;
/** How long the answer for a name is believed. */
const NAME_LIFE: Millis = 60_000;

export interface AssociationOptions {
  readonly outward: Outward;
  readonly counters: ProxyCounters;
  readonly log: Logger;
  /** The address that the client's connection comes from, as {@link bareAddress} has it: only its datagrams count. */
  readonly client: string;
  /** The port that it says it sends from; 0: that of its first datagram. */
  readonly clientPort: number;
}

export class UdpAssociation {
  readonly #options: AssociationOptions;
  readonly #client: string;
  #clientPort: number;
  #local: Socket | undefined;
  readonly #outward = new Map<string, OutwardDatagram>();
  /** Addresses that datagrams may come from. */
  readonly #peers = new Set<string>();
  readonly #names = new Map<string, { readonly target: OutwardTarget; readonly until: Millis }>();
  readonly #lookups = new Set<string>();
  readonly #cancel = new AbortController();

  constructor(options: AssociationOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#clientPort = options.clientPort;
  }

  /** Resolves with where the client is to send. Rejects with the system's error. */
  async open(address: string, family: 4 | 6): Promise<SocksDestination> {
    const local = createSocket(family === 4 ? 'udp4' : 'udp6');
    this.#local = local;
    local.on('message', (bytes, from) => this.#fromClient(bytes, from));
    const listening = once(local, 'listening'); // rejects at 'error'
    local.bind({ port: 0, address });
    await listening;
    local.on('error', (error) => this.#lost(error));
    return { host: address, port: local.address().port };
  }

  /** Safe to call twice, and if it was never opened. */
  close(): void {
    this.#cancel.abort();
    this.#local?.close();
    this.#local = undefined;
    for (const socket of this.#outward.values()) socket.close();
    this.#outward.clear();
  }

  #fromClient(bytes: Buffer, { address, port }: RemoteInfo): void {
    if (address !== this.#client) return;
    if (this.#clientPort === 0) this.#clientPort = port;
    if (port !== this.#clientPort) return;
    const datagram = decodeDatagram(bytes);
    if (datagram === undefined || datagram.destination.port === 0) {
      this.#options.counters.failed('bad-datagram');
      return;
    }
    const { destination, payload } = datagram;
    const known = this.#names.get(normalName(destination.host));
    if (known !== undefined && performance.now() < known.until) this.#send(known.target, destination.port, payload);
    else void this.#lookUp(destination, payload);
  }

  /** An address or a name for the first time. */
  async #lookUp({ host, port }: SocksDestination, payload: Uint8Array): Promise<void> {
    const name = normalName(host);
    if (this.#lookups.size >= MAX_LOOKUPS || this.#lookups.has(name)) return;
    this.#lookups.add(name);
    try {
      const [target] = await this.#options.outward.resolve(host, this.#cancel.signal);
      if (target === undefined || this.#local === undefined) return;
      remember(this.#names, name, { target, until: performance.now() + NAME_LIFE }, MAX_NAMES);
      this.#send(target, port, payload);
    } catch (error) {
      if (!this.#cancel.signal.aborted) this.#lost(error);
    } finally {
      this.#lookups.delete(name);
    }
  }

  #send(target: OutwardTarget, port: number, payload: Uint8Array): void {
    this.#peers.delete(target.address); // the newest come last
    this.#peers.add(target.address);
    for (const oldest of this.#peers) {
      if (this.#peers.size <= MAX_PEERS) break;
      this.#peers.delete(oldest);
    }
    this.#options.counters.bytes.fromClients += payload.length;
    try {
      this.#socketFor(target).send(payload, port, target.address);
    } catch (error) {
      this.#lost(error); // the VPN is not up: datagrams may be lost
    }
  }

  #socketFor({ way, family }: OutwardTarget): OutwardDatagram {
    const key = `${way} ${family}`;
    const open = this.#outward.get(key);
    if (open !== undefined) return open;
    const socket = this.#options.outward.network(way).createDatagram({ family });
    socket.on('message', (bytes, from) => this.#toClient(bytes, from));
    socket.on('error', (error) => this.#lost(error));
    this.#outward.set(key, socket);
    this.#options.counters.connected('udp', way);
    return socket;
  }

  #toClient(bytes: Uint8Array, { address, port }: { readonly address: string; readonly port: number }): void {
    if (!this.#peers.has(address) || this.#clientPort === 0) return;
    this.#options.counters.bytes.toClients += bytes.length;
    this.#local?.send(encodeDatagram({ host: address, port }, bytes), this.#clientPort, this.#client);
  }

  #lost(error: unknown): void {
    const reason = failureCode(error);
    this.#options.counters.failed(reason);
    this.#options.log.log('debug', 'proxy datagram lost', { reason });
  }
}

/** Without the way in which a socket of both families writes IPv4 addresses. */
export function bareAddress(text: string): string {
  return text.replace(/^::ffff:(?=\d+\.)/i, '');
}

function remember<T>(map: Map<string, T>, key: string, value: T, most: number): void {
  map.delete(key); // the newest come last
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= most) break;
    map.delete(oldest);
  }
}
