/**
 * Two stacks on a fake clock with a bad link between them.
 *
 * @example
 * const pair = new StackPair({ link: { loss: 0.05, delay: 20 } }, seed);
 * const server = pair.right.stack.listen(80);
 * const client = pair.connect(80);
 * pair.runUntil(() => client.isMade, 10_000);
 */
import { IpStack, type IpStackOptions } from '../../../src/core/ip/ip-stack.ts';
import type { PacketSink } from '../../../src/core/ip/packet-sink.ts';
import type { TcpConnection } from '../../../src/core/ip/tcp/connection.ts';
import type { Millis, Packet } from '../../../src/core/tunnel/packet.ts';
import { type IpAddress, parseIp } from '../../../src/core/wire/ip-address.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../support/link-model.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

export function ipOf(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new Error(`${text} is no address`);
  return address;
}

export const LEFT = ipOf('10.9.0.1');
export const RIGHT = ipOf('10.9.0.2');
export const LEFT6 = ipOf('fd09::1');
export const RIGHT6 = ipOf('fd09::2');

/** Collects packets; holds up to `limit` until they are taken. */
export class CollectingSink implements PacketSink {
  packets: { readonly bytes: Uint8Array; readonly segment: number; readonly isUnfinished: boolean }[] = [];
  limit = Number.POSITIVE_INFINITY;
  readonly #room: Packet = { buffer: new Uint8Array(70_000), start: 16, end: 16 };

  reserve(length: number): Packet | undefined {
    if (this.packets.length >= this.limit) return undefined;
    this.#room.end = this.#room.start + length;
    return this.#room;
  }

  commit(length: number, segment: number, isUnfinished: boolean): void {
    const { buffer, start } = this.#room;
    this.packets.push({ bytes: buffer.slice(start, start + length), segment, isUnfinished });
  }

  take(): Uint8Array[] {
    return this.packets.splice(0).map(({ bytes }) => bytes);
  }
}

/** One host, driven by a clock. */
export class StackEnd {
  readonly stack: IpStack;
  readonly sink = new CollectingSink();
  /** Where packets go; set by the pair. */
  send: (packet: Uint8Array) => void = () => undefined;
  readonly #clock: FakeClock;

  constructor(clock: FakeClock, addresses: readonly IpAddress[], options: Partial<IpStackOptions>, seed: number) {
    const random = new SeededRandom(seed);
    this.#clock = clock;
    this.stack = new IpStack({
      addresses,
      mtu: 1500,
      secret: Uint8Array.from({ length: 32 }, () => random.uint32()),
      random: () => random.uint32(),
      ...options,
    });
    clock.attach({
      nextTimeout: () => this.stack.nextTimeout(),
      handleTimeout: (now) => {
        this.stack.handleTimeout(now);
        this.pump();
      },
    });
  }

  /** The packet is lent for the call, in a Buffer, whose slices are views: who keeps one sees it spoilt. */
  receive(packet: Uint8Array): void {
    const lent = Buffer.from(packet);
    this.stack.receive(lent, 0, lent.length, this.#clock.now);
    lent.fill(0xee);
    this.pump();
  }

  /** Tells users and sends, until there is nothing more to do. */
  pump(): void {
    do {
      this.stack.dispatch();
      this.stack.transmit(this.sink, this.#clock.now);
      for (const packet of this.sink.take()) this.send(packet);
    } while (this.stack.wantsDispatch);
  }
}

export interface PairOptions {
  readonly link?: Partial<LinkConditions>;
  readonly left?: Partial<IpStackOptions>;
  readonly right?: Partial<IpStackOptions>;
  /** Sees every packet, and may drop it by answering false. */
  readonly tap?: (packet: Uint8Array, from: 'left' | 'right') => boolean;
}

export class StackPair {
  readonly clock = new FakeClock(1_000);
  readonly left: StackEnd;
  readonly right: StackEnd;

  constructor(options: PairOptions = {}, seed = 1) {
    const conditions = { ...PERFECT_LINK, ...options.link };
    const random = new SeededRandom(seed);
    this.left = new StackEnd(this.clock, [LEFT, LEFT6], options.left ?? {}, seed ^ 0x5a5a);
    this.right = new StackEnd(this.clock, [RIGHT, RIGHT6], options.right ?? {}, seed ^ 0xa5a5);
    const toRight = new FaultyLink(this.clock, new LinkModel(random.fork(0), conditions), (bytes) => this.right.receive(bytes));
    const toLeft = new FaultyLink(this.clock, new LinkModel(random.fork(1), conditions), (bytes) => this.left.receive(bytes));
    this.left.send = (packet) => {
      if (options.tap?.(packet, 'left') !== false) toRight.send(packet);
    };
    this.right.send = (packet) => {
      if (options.tap?.(packet, 'right') !== false) toLeft.send(packet);
    };
  }

  /** A connection of the left to the right. */
  connect(port: number, family: 4 | 6 = 4): TcpConnection {
    const connection = this.left.stack.connect({ address: family === 4 ? RIGHT : RIGHT6, port }, this.clock.now);
    this.left.pump();
    return connection;
  }

  /** Lets both send and be told, then time pass until the condition holds. */
  runUntil(condition: () => boolean, limit: Millis): void {
    this.pump();
    this.clock.runUntil(condition, limit);
  }

  advance(duration: Millis): void {
    this.pump();
    this.clock.advance(duration);
  }

  pump(): void {
    this.left.pump();
    this.right.pump();
  }
}
