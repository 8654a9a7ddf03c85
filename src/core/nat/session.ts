/** A session and its flows: what a NAT keeps of each client, of each connection and of each exchange of datagrams. */
import type { HeldSyn } from '../ip/intercept.ts';
import type { Millis } from '../tunnel/packet.ts';
import { TokenBucket } from '../tunnel/token-bucket.ts';
import type { Cidr, Endpoint } from '../wire/ip-address.ts';
import { AccessCheck, type AccessRules } from './access-rules.ts';
import type { NatLimits } from './limits.ts';

/** Whose flows they are. */
export interface NatOwner {
  /** Names the session; another one that gets the same addresses has another. */
  readonly session: string;
  /** Absent: it may reach everything that anyone may. */
  readonly rules?: AccessRules;
}

export class NatSession {
  readonly networks: readonly Cidr[];
  readonly owner: NatOwner;
  /** Undefined: it may reach everything that anyone may. */
  readonly rules: AccessCheck | undefined;
  readonly flows: Set<NatFlow> = new Set();
  /** The one that was used the longest ago first, about. */
  readonly udp: Set<UdpFlow> = new Set();
  /** Of its flows: those whose connection is being made. */
  dials = 0;
  // For the heap of those that rest.
  wakeAt: Millis = 0;
  heapPlace = -1;
  readonly #rate: TokenBucket;

  constructor(networks: readonly Cidr[], owner: NatOwner, { newFlowsPerSecond }: NatLimits) {
    this.networks = networks;
    this.owner = owner;
    this.rules = owner.rules && AccessCheck.of(owner.rules);
    this.#rate = new TokenBucket(newFlowsPerSecond, { burst: 2 * newFlowsPerSecond, maxDelay: 0 });
  }

  /** Its client has gone, and may come back. */
  get isResting(): boolean {
    return this.heapPlace >= 0;
  }

  /** Whether it may open another flow now: its client is here, and within its rate, of which this is counted. To be asked before any flow makes room. */
  mayOpen(now: Millis): boolean {
    return !this.isResting && this.#rate.delayOf(1, now) === 0;
  }
}

interface Flow {
  readonly session: NatSession;
  /** The client's end. */
  readonly client: Endpoint;
  /** The place that the client believes to speak to. */
  readonly to: Endpoint;
  /** Where it really leads: tried in their order. */
  readonly targets: readonly Endpoint[];
  /** The administrator says where it leads: also to this host. */
  readonly isService: boolean;
  /** For {@link FlowTable}. */
  hash: number;
  chained: NatFlow | undefined;
  isOver: boolean;
}

export interface TcpFlow extends Flow {
  readonly protocol: 'tcp';
  /** What is answered when the outer connection is there; undefined from then on. A client that tries again with another SYN means the last one. */
  syn: HeldSyn | undefined;
}

export interface UdpFlow extends Flow {
  readonly protocol: 'udp';
  readonly idle: Millis;
  usedAt: Millis;
  /** When it was last put at the end of its session's list. */
  listedAt: Millis;
  // For the heap of deadlines.
  wakeAt: Millis;
  heapPlace: number;
}

export type NatFlow = TcpFlow | UdpFlow;
