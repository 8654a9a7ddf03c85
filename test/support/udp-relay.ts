/**
 * A UDP relay over bad links, as an address translator does it: each client address and port has a socket of its own towards the target,
 * so the target sees a stable port a client until {@link UdpRelay.rebind}.
 *
 *   client ──► listening socket ── link up ──► the client's socket ──► target
 *          ◄── listening socket ◄─ link down ─ the client's socket ◄──
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import type { LinkModel } from './link-model.ts';
import { linksOf, PERFECT_CONDITIONS, type RelayConditions, type RelayOptions } from './relay-options.ts';

/** Far more than a test has clients. */
const MAX_FLOWS = 1_000;

const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024; // the kernel gives what it may: the links lose packets, not the relay

/** Datagrams, both directions together. */
export interface UdpRelayStatistics {
  readonly flows: number;
  readonly received: number;
  readonly lost: number;
  readonly doubled: number;
  /** Left before one that had come earlier in the same direction of the same flow. */
  readonly overtaking: number;
}

interface Flow {
  readonly client: RemoteInfo;
  readonly up: Direction;
  readonly down: Direction;
  socket: Socket;
}

interface Direction {
  readonly link: LinkModel;
  /** Number of the last datagram that came, and the highest of those that left. */
  lastIn: number;
  highestOut: number;
}

export class UdpRelay {
  readonly #options: RelayOptions;
  readonly #listening: Socket;
  readonly #flows = new Map<string, Flow>();
  readonly #forgotten: Socket[] = [];
  #conditions = PERFECT_CONDITIONS;
  #counts = { received: 0, lost: 0, doubled: 0, overtaking: 0 };
  #isClosed = false;

  private constructor(options: RelayOptions, listening: Socket) {
    this.#options = options;
    this.#listening = listening;
    listening.on('message', (bytes, client) => this.#fromClient(bytes, client));
    listening.on('error', ignoreUnreachable);
  }

  static async open(options: RelayOptions): Promise<UdpRelay> {
    const { host, port } = options.listen;
    const socket = socketFor(host);
    socket.bind(port, host);
    await once(socket, 'listening');
    return new UdpRelay(options, socket);
  }

  get port(): number {
    return this.#listening.address().port;
  }

  get statistics(): UdpRelayStatistics {
    return { flows: this.#flows.size, ...this.#counts };
  }

  /** From now on, for the flows there are and those to come. */
  set conditions(conditions: RelayConditions) {
    this.#conditions = conditions;
    for (const { up, down } of this.#flows.values()) {
      up.link.conditions = conditions.up;
      down.link.conditions = conditions.down;
    }
  }

  /** What an address translator does when it forgets: each flow goes on from a new port, and nobody answers at the old one. */
  rebind(): void {
    for (const flow of this.#flows.values()) {
      flow.socket.removeAllListeners('message');
      this.#forgotten.push(flow.socket); // still open: a closed port would answer with ICMP, as no translator does
      flow.socket = this.#towardsTarget(flow.client, flow.down);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listening.close();
    for (const socket of [...this.#forgotten, ...[...this.#flows.values()].map((flow) => flow.socket)]) socket.close();
  }

  #fromClient(bytes: Buffer, client: RemoteInfo): void {
    const flow = this.#flowOf(client);
    const { host, port } = this.#options.target;
    if (flow !== undefined) this.#pass(bytes, flow.up, () => flow.socket.send(bytes, port, host, ignoreUnreachable));
  }

  #flowOf(client: RemoteInfo): Flow | undefined {
    const key = `${client.address} ${client.port}`;
    const known = this.#flows.get(key);
    if (known !== undefined || this.#flows.size >= MAX_FLOWS) return known;
    const { up, down } = linksOf(this.#flows.size, this.#options.random, this.#conditions);
    const back = { link: down, lastIn: 0, highestOut: 0 };
    const flow = { client, up: { link: up, lastIn: 0, highestOut: 0 }, down: back, socket: this.#towardsTarget(client, back) };
    this.#flows.set(key, flow);
    return flow;
  }

  #towardsTarget(client: RemoteInfo, down: Direction): Socket {
    const socket = socketFor(this.#options.target.host);
    socket.on('error', ignoreUnreachable);
    socket.on('message', (bytes) =>
      this.#pass(bytes, down, () => this.#listening.send(bytes, client.port, client.address, ignoreUnreachable)),
    );
    return socket;
  }

  /** Sends a datagram when its link says so. */
  #pass(bytes: Buffer, direction: Direction, send: () => void): void {
    const now = performance.now();
    const times = direction.link.admit(bytes.length, now);
    const number = ++direction.lastIn;
    this.#counts.received++;
    if (times.length === 0) this.#counts.lost++;
    if (times.length > 1) this.#counts.doubled++;
    const leave = (): void => {
      if (this.#isClosed) return;
      if (number < direction.highestOut) this.#counts.overtaking++;
      direction.highestOut = Math.max(direction.highestOut, number);
      send();
    };
    for (const time of times) {
      if (time <= now) leave();
      else setTimeout(leave, time - now);
    }
  }
}

function socketFor(host: string): Socket {
  return createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4', recvBufferSize: RECEIVE_BUFFER_BYTES });
}

/** Nobody listens there: UDP loses the datagram, and nothing says so. */
function ignoreUnreachable(): void {}
