/**
 * A client and a NAT on a fake clock: the client has a stack, the NAT has one that intercepts, and the world outside is a script.
 *
 * @example
 * const pair = new NatPair();
 * const socket = pair.connect('192.0.2.80', 80);
 * pair.outside.answerDial();
 * pair.runUntil(() => socket.isMade);
 */
import type { IpStackOptions } from '../../../src/core/ip/ip-stack.ts';
import type { TcpConnection } from '../../../src/core/ip/tcp/connection.ts';
import type { AccessRules } from '../../../src/core/nat/access-rules.ts';
import type { DestinationWorld } from '../../../src/core/nat/destination.ts';
import { DEFAULT_NAT_LIMITS, type NatLimits } from '../../../src/core/nat/limits.ts';
import { Nat, type NatSink, type OuterFailure } from '../../../src/core/nat/nat.ts';
import type { NatFlow, TcpFlow, UdpFlow } from '../../../src/core/nat/session.ts';
import type { Millis } from '../../../src/core/tunnel/packet.ts';
import { type Cidr, formatEndpoint, parseCidr } from '../../../src/core/wire/ip-address.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FaultyLink, type LinkConditions, LinkModel, PERFECT_LINK } from '../../support/link-model.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { ipOf, StackEnd } from '../ip/stack-pair.ts';

export const CLIENT = ipOf('10.77.0.2');
export const CLIENT6 = ipOf('fd77::2');
export const OWN = ipOf('10.77.0.1');
export const OWN6 = ipOf('fd77::1');

export function cidrOf(text: string): Cidr {
  const network = parseCidr(text);
  if (network === undefined) throw new Error(`${text} is no network`);
  return network;
}

export const NETWORKS: readonly Cidr[] = [cidrOf('10.77.0.2/32'), cidrOf('fd77::2/128')];

export const WORLD: DestinationWorld = { own: [OWN, OWN6], services: [], resolvers: [], isOwnHost: () => false };

/** What the NAT wants of the world, and what the world says: each by the test's word. */
export class Outside implements NatSink {
  readonly dials: TcpFlow[] = [];
  readonly opened: UdpFlow[] = [];
  readonly sent: { readonly flow: UdpFlow; readonly bytes: Uint8Array }[] = [];
  readonly closed: NatFlow[] = [];

  dial(flow: TcpFlow): void {
    this.dials.push(flow);
  }

  open(flow: UdpFlow): void {
    this.opened.push(flow);
  }

  send(flow: UdpFlow, bytes: Uint8Array): void {
    this.sent.push({ flow, bytes });
  }

  close(flow: NatFlow): void {
    this.closed.push(flow);
  }
}

export interface NatPairOptions {
  readonly world?: Partial<DestinationWorld>;
  readonly limits?: Partial<NatLimits>;
  readonly rules?: AccessRules;
  readonly link?: Partial<LinkConditions>;
  readonly client?: Partial<IpStackOptions>;
}

export class NatPair {
  readonly clock = new FakeClock(1_000);
  readonly client: StackEnd;
  readonly gateway: StackEnd;
  readonly outside = new Outside();
  readonly nat: Nat;

  constructor({ world = {}, limits = {}, rules, link = {}, client = {} }: NatPairOptions = {}, seed = 1) {
    const random = new SeededRandom(seed);
    this.client = new StackEnd(this.clock, [CLIENT, CLIENT6], client, seed ^ 0x5a5a);
    this.gateway = new StackEnd(this.clock, [OWN, OWN6], { intercepts: true }, seed ^ 0xa5a5);
    const conditions = { ...PERFECT_LINK, ...link };
    const there = new FaultyLink(this.clock, new LinkModel(random.fork(0), conditions), (bytes) => this.gateway.receive(bytes));
    const back = new FaultyLink(this.clock, new LinkModel(random.fork(1), conditions), (bytes) => this.client.receive(bytes));
    this.client.send = (packet) => there.send(packet);
    this.gateway.send = (packet) => back.send(packet);
    const nat = new Nat({
      ...{ stack: this.gateway.stack, world: { ...WORLD, ...world }, limits: { ...DEFAULT_NAT_LIMITS, ...limits }, sink: this.outside },
      secret: Uint8Array.from({ length: 16 }, () => random.uint32()),
    });
    this.nat = nat;
    const { intercept } = this.gateway.stack;
    if (intercept !== undefined) intercept.onReady = () => nat.take(this.clock.now);
    this.clock.attach({
      nextTimeout: () => nat.nextTimeout(),
      handleTimeout: (now) => {
        nat.handleTimeout(now);
        this.gateway.pump();
      },
    });
    nat.enter(NETWORKS, { session: 'one', ...(rules !== undefined && { rules }) });
  }

  connect(host: string, port: number): TcpConnection {
    const connection = this.client.stack.connect({ address: ipOf(host), port }, this.clock.now);
    this.pump();
    return connection;
  }

  /** The outer host answers the oldest dial: the gateway's end of the client's connection. */
  accept(): TcpConnection {
    const flow = this.outside.dials.shift();
    if (flow === undefined) throw new Error('nobody has dialed');
    const connection = this.nat.dialed(flow, this.clock.now);
    if (connection === undefined) throw new Error(`the connection to ${formatEndpoint(flow.to)} is wanted no more`);
    this.pump();
    return connection;
  }

  refuse(why: OuterFailure): void {
    const flow = this.outside.dials.shift();
    if (flow === undefined) throw new Error('nobody has dialed');
    this.nat.dialFailed(flow, why, this.clock.now);
    this.pump();
  }

  /** Lets both send, and the link deliver, without time passing where it has no delay. */
  pump(): void {
    this.client.pump();
    this.gateway.pump();
    this.clock.advance(0);
  }

  runUntil(condition: () => boolean, limit: Millis = 60_000): void {
    this.pump();
    this.clock.runUntil(condition, limit);
  }

  advance(duration: Millis): void {
    this.pump();
    this.clock.advance(duration);
  }
}
