/**
 * A TCP relay over bad links. Bytes stay in order and none is lost, as TCP promises: what would be a lost packet below TCP comes later, with
 * everything behind it; a link that loses everything (`loss: 1`) holds all bytes until it is better, so that both ends see silence.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import type { LinkModel } from './link-model.ts';
import { linksOf, PERFECT_CONDITIONS, type RelayConditions, type RelayOptions } from './relay-options.ts';

/** What TCP's retransmission timer costs at least (Linux: 200 ms). */
const RETRANSMISSION_DELAY: Millis = 200;

/** One direction holds this much at most; then the sender waits. */
const MAX_HELD_BYTES = 256 * 1024;

export interface TcpRelayStatistics {
  /** Connections so far, and now. */
  readonly accepted: number;
  readonly open: number;
  /** Bytes on their way, both directions together. */
  readonly held: number;
}

export class TcpRelay {
  readonly #options: RelayOptions;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  #conditions = PERFECT_CONDITIONS;
  #accepted = 0;

  private constructor(options: RelayOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#accept(client));
  }

  static async open(options: RelayOptions): Promise<TcpRelay> {
    const relay = new TcpRelay(options);
    relay.#server.listen(options.listen);
    await once(relay.#server, 'listening');
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get statistics(): TcpRelayStatistics {
    let held = 0;
    for (const { up, down } of this.#connections) held += up.heldBytes + down.heldBytes;
    return { accepted: this.#accepted, open: this.#connections.size, held };
  }

  /** From now on, for the connections there are and those to come. */
  set conditions(conditions: RelayConditions) {
    this.#conditions = conditions;
    for (const { up, down } of this.#connections) {
      up.change(conditions.up);
      down.change(conditions.down);
    }
  }

  /** Resets every connection, at both ends. */
  reset(): void {
    for (const { client, target } of this.#connections) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  }

  close(): void {
    this.#server.close();
    this.reset();
  }

  #accept(client: Socket): void {
    const target = connect({ ...this.#options.target, allowHalfOpen: true, noDelay: true });
    const links = linksOf(this.#accepted++, this.#options.random, this.#conditions);
    const connection = { client, target, up: new SlowPipe(client, target, links.up), down: new SlowPipe(target, client, links.down) };
    this.#connections.add(connection);
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      socket.on('error', () => other.resetAndDestroy()); // reset by its peer or by us: the other end learns of it
      socket.on('close', () => this.#connections.delete(connection));
    }
  }
}

interface Connection {
  readonly client: Socket;
  readonly target: Socket;
  readonly up: SlowPipe;
  readonly down: SlowPipe;
}

/** Carries the bytes of one socket to another, each chunk at its time and in order, and the end after the last. */
class SlowPipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #link: LinkModel;
  /** Undefined: the end of the stream. */
  readonly #held: { readonly bytes: Buffer | undefined; readonly time: Millis }[] = [];
  #heldBytes = 0;
  #lastTime: Millis = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, link: LinkModel) {
    this.#from = from;
    this.#to = to;
    this.#link = link;
    from.on('data', (bytes: Buffer) => this.#hold(bytes));
    from.on('end', () => this.#hold(undefined));
    to.on('drain', () => this.#flush());
    to.on('close', () => clearTimeout(this.#timer));
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  change(conditions: LinkModel['conditions']): void {
    this.#link.conditions = conditions;
    this.#flush();
  }

  #hold(bytes: Buffer | undefined): void {
    const now = performance.now();
    const [time] = this.#link.admit(bytes?.length ?? 0, now);
    const { delay } = this.#link.conditions;
    this.#lastTime = Math.max(this.#lastTime, time ?? now + delay + RETRANSMISSION_DELAY);
    this.#held.push({ bytes, time: this.#lastTime });
    this.#heldBytes += bytes?.length ?? 0;
    if (this.#heldBytes > MAX_HELD_BYTES) this.#from.pause();
    this.#flush();
  }

  /** Writes what is due and sets the timer for the rest. */
  #flush(): void {
    clearTimeout(this.#timer);
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      if (this.#link.conditions.loss >= 1 || this.#to.writableNeedDrain || this.#to.destroyed) return;
      const wait = first.time - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#flush(), wait);
        return;
      }
      this.#held.shift();
      if (first.bytes === undefined) this.#to.end();
      else this.#to.write(first.bytes);
      this.#heldBytes -= first.bytes?.length ?? 0;
      if (this.#heldBytes <= MAX_HELD_BYTES) this.#from.resume();
    }
  }
}
