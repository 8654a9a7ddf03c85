/**
 * A NAT without rights: it ends clients' TCP and UDP here, and has the same done to the hosts outside by sockets of this process.
 *
 * Read first: RFC 4787 (UDP), RFC 5382 (TCP), RFC 5508 (ICMP); docs/gateway.md, "Without root".
 *
 *   client's packets ─► stack, which intercepts ─► a SYN or a datagram ─► whose? may it? ─► NatSink: dial, open, send
 *   dialed: the SYN is answered, bytes flow        dialFailed: reset, ICMP unreachable        arrived: a datagram in the name of its sender
 *
 * A flow has a socket of its own, connected to its one destination (address- and port-dependent mapping and filtering, in RFC 4787's words), so that
 * the system tells us what becomes of it. Sans-IO: it decides and keeps the books; whoever holds the sockets is told what to do by a sink that only
 * collects, and tells what came of it. `now` comes in with every call.
 */
import { NetworkError } from '../errors.ts';
import { DeadlineHeap } from '../ip/deadline-heap.ts';
import type { OwnError } from '../ip/icmp.ts';
import type { HeldDatagram, HeldSyn } from '../ip/intercept.ts';
import type { IpStack } from '../ip/ip-stack.ts';
import type { TcpConnection } from '../ip/tcp/connection.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { Cidr, Endpoint } from '../wire/ip-address.ts';
import { type Destination, type DestinationWorld, destinationOf, type FlowProtocol, type Refusal } from './destination.ts';
import { FlowTable } from './flow-table.ts';
import { DNS_IDLE, type NatLimits } from './limits.ts';
import { NatCounters } from './nat-counters.ts';
import type { NatFlow, NatOwner, NatSession, TcpFlow, UdpFlow } from './session.ts';
import { NatSessions } from './sessions.ts';

/** What is to be done with sockets. It only collects, and never calls back. */
export interface NatSink {
  /** Connect to a flow's targets; {@link Nat.dialed} or {@link Nat.dialFailed} follows, unless it is closed before. */
  dial(flow: TcpFlow): void;
  /** Have a UDP socket for a flow; what is sent before it is there waits, or is lost. */
  open(flow: UdpFlow): void;
  /** Send a datagram, which is the callee's from here on. */
  send(flow: UdpFlow, bytes: Uint8Array): void;
  /** Have no more of a flow: its client has gone, or it was idle, or had to make room. A connection is reset at both ends. */
  close(flow: NatFlow): void;
}

/** Why the outside did not answer as it should. */
export type OuterFailure = 'refused' | 'host-unreachable' | 'network-unreachable' | 'prohibited' | 'timed-out';

/** What a client hears of it. */
const FAILURE_ANSWERS: Readonly<Record<OuterFailure, { readonly tcp: OwnError | 'reset'; readonly udp: OwnError }>> = {
  refused: { tcp: 'reset', udp: 'port-unreachable' },
  'host-unreachable': { tcp: 'host-unreachable', udp: 'host-unreachable' },
  'network-unreachable': { tcp: 'network-unreachable', udp: 'network-unreachable' },
  prohibited: { tcp: 'prohibited', udp: 'prohibited' },
  'timed-out': { tcp: 'host-unreachable', udp: 'host-unreachable' },
};

/** A rule of a packet filter says `reject`: that is port-unreachable, and so it is here. */
const REFUSAL_ANSWERS: Readonly<Record<Refusal, { readonly tcp: OwnError | 'reset'; readonly udp: OwnError }>> = {
  closed: { tcp: 'reset', udp: 'port-unreachable' },
  restricted: { tcp: 'port-unreachable', udp: 'port-unreachable' },
  'special-address': { tcp: 'prohibited', udp: 'prohibited' },
  'own-host': { tcp: 'prohibited', udp: 'prohibited' },
};

/** A flow moves to the end of its session's list not more often than that: order among the busy does not matter. */
const LIST_INTERVAL: Millis = 1_000;

const DNS_PORT = 53;

export interface NatOptions {
  /** One that intercepts. */
  readonly stack: IpStack;
  readonly world: DestinationWorld;
  readonly limits: NatLimits;
  readonly sink: NatSink;
  /** 16 random bytes that nobody else knows. */
  readonly secret: Uint8Array;
}

export class Nat {
  readonly counters: NatCounters = new NatCounters();
  readonly sessions: NatSessions;
  readonly #stack: IpStack;
  readonly #limits: NatLimits;
  readonly #sink: NatSink;
  readonly #flows: FlowTable;
  readonly #deadlines = new DeadlineHeap<UdpFlow>();
  readonly #resting = new DeadlineHeap<NatSession>();
  #world: DestinationWorld;

  constructor({ stack, world, limits, sink, secret }: NatOptions) {
    this.#stack = stack;
    this.#world = world;
    this.#limits = limits;
    this.#sink = sink;
    this.#flows = new FlowTable(secret);
    this.sessions = new NatSessions(limits);
  }

  /** Flows of now, those that are being made included. */
  get flows(): number {
    return this.#flows.size;
  }

  /** Flows that come from now on see this world. */
  setWorld(world: DestinationWorld): void {
    this.#world = world;
  }

  // Sessions.

  /** A session begins, or goes on with its flows where it may reach what it could before. Flows that others had from its addresses are over. */
  enter(networks: readonly Cidr[], owner: NatOwner): void {
    const before = this.sessions.of(networks);
    if (before !== undefined && isSameOwner(before.owner, owner)) this.#resting.remove(before);
    else this.leave(networks);
    for (const other of this.sessions.enter(networks, owner)) {
      for (const flow of other.flows) if (this.sessions.table.of(flow.client.address) !== other) this.#close(flow);
    }
  }

  /**
   * A session's client has gone, and may come back until then: a NAT must not forget what is still in use (RFC 4787 REQ-5, RFC 5382 REQ-5). Its flows are over
   * after their own idle times, and sooner where others need the room.
   */
  rest(networks: readonly Cidr[], until: Millis): void {
    const session = this.sessions.of(networks);
    if (session !== undefined) this.#resting.schedule(session, until);
  }

  /** What a session that is over has left, whether or not it rests. */
  forget(session: string): void {
    for (const { owner, networks } of [...this.sessions]) if (owner.session === session) this.leave(networks);
  }

  /** A session is over, and so are its flows. Safe to call twice. */
  leave(networks: readonly Cidr[]): void {
    const session = this.sessions.leave(networks);
    if (session === undefined) return;
    this.#resting.remove(session);
    this.#closeAll(session);
  }

  /** Ends all flows. */
  close(): void {
    for (const session of this.sessions) this.#closeAll(session);
  }

  // From inside.

  /** Takes what the stack has intercepted: to be called from its dispatch. */
  take(now: Millis): void {
    const { intercept } = this.#stack;
    if (intercept === undefined) return;
    for (let syn = intercept.takeSyn(); syn !== undefined; syn = intercept.takeSyn()) this.#synArrived(syn, now);
    for (let datagram = intercept.takeDatagram(); datagram !== undefined; datagram = intercept.takeDatagram()) {
      this.#datagramArrived(datagram, now);
    }
  }

  // From outside.

  /** The outer connection is there: the client is answered. Undefined: it has left meanwhile, or there is no room; the flow is over then. */
  dialed(flow: TcpFlow, now: Millis): TcpConnection | undefined {
    const { syn } = flow;
    if (flow.isOver || syn === undefined) return undefined;
    this.#settle(flow);
    try {
      const connection = this.#stack.admit(syn, now);
      if (connection !== undefined) {
        this.counters.tcpConnected++;
        return connection;
      }
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      this.counters.limited++;
    }
    this.#remove(flow);
    return undefined;
  }

  dialFailed(flow: TcpFlow, why: OuterFailure, now: Millis): void {
    const { syn } = flow;
    if (flow.isOver || syn === undefined) return;
    this.#settle(flow);
    this.#remove(flow);
    this.counters.failed(why);
    this.#stack.refuse(syn, FAILURE_ANSWERS[why].tcp, now);
  }

  /** The flow's sockets are gone, and nobody has to be told. Safe to call twice. */
  ended(flow: NatFlow): void {
    if (!flow.isOver) this.#remove(flow);
  }

  /** A datagram from a flow's destination. */
  datagramCame(flow: UdpFlow, bytes: Uint8Array, now: Millis): void {
    if (flow.isOver) return;
    this.#used(flow, now);
    this.counters.datagramsIn++;
    if (this.#stack.answer(flow.to, flow.client, bytes) !== 'sent') this.counters.datagramsLost++;
  }

  /** The system says that a datagram of a flow has not arrived; the flow stays, as its client may know better. */
  datagramFailed(flow: UdpFlow, why: OuterFailure, now: Millis): void {
    if (flow.isOver) return;
    this.counters.failed(why);
    this.#stack.refuseDatagram(flow.client, flow.to, FAILURE_ANSWERS[why].udp, now);
  }

  // Time.

  nextTimeout(): Millis | undefined {
    const [flow, session] = [this.#deadlines.next, this.#resting.next];
    return flow === undefined || session === undefined ? (flow ?? session) : Math.min(flow, session);
  }

  /** Ends flows that were idle for too long, and those of clients that have not come back. */
  handleTimeout(now: Millis): void {
    for (let gone = this.#resting.takeDue(now); gone !== undefined; gone = this.#resting.takeDue(now)) this.leave(gone.networks);
    for (let flow = this.#deadlines.takeDue(now); flow !== undefined; flow = this.#deadlines.takeDue(now)) {
      const due = flow.usedAt + flow.idle;
      if (due > now) this.#deadlines.schedule(flow, due);
      else this.#close(flow);
    }
  }

  #synArrived(syn: HeldSyn, now: Millis): void {
    const known = this.#flows.find('tcp', syn.from, syn.to);
    if (known?.syn !== undefined) {
      known.syn = syn; // sent again while we dial
      return;
    }
    if (known !== undefined) this.#close(known); // a client that has forgotten its connection, and ours has not ended yet
    const session = this.sessions.table.of(syn.from.address);
    const destination = this.#destinationOf('tcp', session, syn.to);
    if (session === undefined || destination === undefined) return;
    if ('refused' in destination) {
      this.#stack.refuse(syn, REFUSAL_ANSWERS[destination.refused].tcp, now);
      return;
    }
    if (
      session.dials >= this.#limits.dialsPerSession ||
      session.flows.size >= this.#limits.flowsPerSession ||
      !session.mayOpen(now) ||
      !this.#hasRoom()
    ) {
      this.counters.limited++; // it is sent again
      return;
    }
    const flow: TcpFlow = { protocol: 'tcp', syn, ...flowOf(session, syn, destination) };
    session.dials++;
    this.#add(flow);
    this.counters.tcpDialed++;
    this.#sink.dial(flow);
  }

  #datagramArrived({ from, to, bytes }: HeldDatagram, now: Millis): void {
    const flow = this.#flows.find('udp', from, to) ?? this.#openUdp(from, to, now);
    if (flow === undefined) return;
    this.#used(flow, now);
    this.counters.datagramsOut++;
    this.#sink.send(flow, bytes);
  }

  #openUdp(from: Endpoint, to: Endpoint, now: Millis): UdpFlow | undefined {
    const session = this.sessions.table.of(from.address);
    const destination = this.#destinationOf('udp', session, to);
    if (session === undefined || destination === undefined) return undefined;
    if ('refused' in destination) {
      this.#stack.refuseDatagram(from, to, REFUSAL_ANSWERS[destination.refused].udp, now);
      return undefined;
    }
    if (!session.mayOpen(now) || !this.#hasRoomIn(session) || !this.#hasRoom()) {
      this.counters.limited++;
      return undefined;
    }
    const idle = to.port === DNS_PORT ? Math.min(DNS_IDLE, this.#limits.udpIdle) : this.#limits.udpIdle;
    const flow: UdpFlow = {
      ...{ protocol: 'udp', idle, usedAt: now, listedAt: now, wakeAt: 0, heapPlace: -1 },
      ...flowOf(session, { from, to }, destination),
    };
    this.#add(flow);
    session.udp.add(flow);
    this.#deadlines.schedule(flow, now + idle);
    this.counters.udpOpened++;
    this.#sink.open(flow);
    return flow;
  }

  /** Undefined: nobody's, which is counted. */
  #destinationOf(protocol: FlowProtocol, session: NatSession | undefined, to: Endpoint): Destination | undefined {
    if (session === undefined) {
      this.counters.strangers++; // its session has just ended
      return undefined;
    }
    const destination = destinationOf(protocol, to, session.rules, this.#world);
    if ('refused' in destination) this.counters.refused(destination.refused);
    return destination;
  }

  /** Ends the flows of those who may come back, in the order in which their time is up, until there is room. False: there is none. */
  #hasRoom(): boolean {
    while (this.#flows.size >= this.#limits.flows) {
      const next = this.#resting.takeDue(Number.POSITIVE_INFINITY);
      if (next === undefined) return false;
      this.leave(next.networks);
    }
    return true;
  }

  /** The same within a session: its UDP flow that was used the longest ago. */
  #hasRoomIn(session: NatSession): boolean {
    if (session.flows.size < this.#limits.flowsPerSession) return true;
    for (const oldest of session.udp) {
      this.#close(oldest);
      return true;
    }
    return false;
  }

  #used(flow: UdpFlow, now: Millis): void {
    flow.usedAt = now;
    if (now < flow.listedAt + LIST_INTERVAL) return;
    flow.listedAt = now;
    flow.session.udp.delete(flow);
    flow.session.udp.add(flow);
  }

  /** Its connection is made, or will not be. */
  #settle(flow: TcpFlow): void {
    flow.syn = undefined;
    flow.session.dials--;
  }

  #add(flow: NatFlow): void {
    this.#flows.add(flow);
    flow.session.flows.add(flow);
  }

  #close(flow: NatFlow): void {
    this.#remove(flow);
    this.#sink.close(flow);
  }

  #closeAll(session: NatSession): void {
    for (const flow of session.flows) this.#close(flow);
  }

  #remove(flow: NatFlow): void {
    flow.isOver = true;
    this.#flows.remove(flow);
    flow.session.flows.delete(flow);
    if (flow.protocol === 'tcp') {
      if (flow.syn !== undefined) this.#settle(flow);
    } else {
      flow.session.udp.delete(flow);
      this.#deadlines.remove(flow);
    }
  }
}

/** Rules that were changed meanwhile are not for flows of before. */
function isSameOwner(a: NatOwner, b: NatOwner): boolean {
  return a.session === b.session && JSON.stringify(a.rules) === JSON.stringify(b.rules);
}

function flowOf(
  session: NatSession,
  { from: client, to }: { readonly from: Endpoint; readonly to: Endpoint },
  { targets, isService }: Extract<Destination, { targets: unknown }>,
): Pick<TcpFlow, 'session' | 'client' | 'to' | 'targets' | 'isService' | 'hash' | 'chained' | 'isOver'> {
  return { session, client, to, targets, isService, hash: 0, chained: undefined, isOver: false };
}
