/**
 * A connected UDP flow as the driver sees it. Two implementations: the engine's, which lives in the worker and can carry a tunnel's data by itself
 * (engine/engine-path.ts), and the portable one over node:dgram (udp-socket.ts).
 */
import type { SallyportError } from '../core/errors.ts';
import type { Path } from '../core/tunnel/machine.ts';
import type { TrafficDescription } from '../core/tunnel/traffic.ts';
import type { Endpoint } from '../core/wire/ip-address.ts';

export interface DatagramPathOptions {
  readonly remote: Endpoint;
  /** The local port; 0 or absent: the system's choice. */
  readonly localPort?: number;
  /** Copy the inner packets' DSCP to the outer ones (`--passtos`). Default false. */
  readonly copiesDscp?: boolean;
}

export interface DatagramPath extends Path {
  readonly kind: 'datagram';
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** The largest outer IP packet in bytes that the system would send to the peer now, where it says so. */
  readonly pathMtu: number | undefined;
  /** {@link carry} works: a traffic description will be used. */
  readonly canCarry: boolean;
  /** Starts receiving. Called once, and once after each {@link stop}; what arrived before is delivered then. */
  start(handler: DatagramHandler): void;
  /** The handler hears no more: what arrives waits for another. */
  stop(): void;
  /**
   * Sends one datagram, or, while carried, seals one record: `[content type][plaintext]`, of ESP `[next header][payload]`. Drops and counts when full.
   * Copies the bytes.
   */
  send(bytes: Uint8Array): void;
  /**
   * From the call on the engine alone seals and opens this path; undefined takes that back. Resolves when it has happened: with where sealing and
   * opening stood at the end of what was carried before, if anything was.
   *
   * @throws UnsupportedError where {@link canCarry} is false, MisuseError for a description that cannot be
   */
  carry(traffic: TrafficDescription | undefined): Promise<CarriedState | undefined>;
  /** While carried: packets up to this length are, from now on. */
  setTunnelMtu(mtu: number): Promise<void>;
  /**
   * What is carried on another path is carried on this one from now on, with its place among the device's routes, if `datagram`, which came by this path,
   * opens with its keys; undefined: in any case. Resolves to whether it did.
   */
  takeOver(from: DatagramPath, datagram: Uint8Array | undefined): Promise<boolean>;
  /** What has passed so far. */
  counters(): DatagramCounters;
  /** Sends what was given before, then ends the flow. Safe to call twice. */
  close(): Promise<void>;
}

/** What a path delivers. Bytes are lent for the call: who keeps them copies. */
export interface DatagramHandler {
  /** One datagram as it came. */
  datagram(bytes: Uint8Array): void;
  /** While carried: an opened record that is not data, as {@link DatagramPath.send} takes one. Also data, where no device takes it. */
  record(bytes: Uint8Array): void;
  problem(problem: DatagramProblem): void;
}

/** None of these ends the path, but for `failed`. */
export type DatagramProblem =
  /** The network answered a datagram with "no": nobody listens there, no route, a firewall. UDP may work again a moment later. */
  | { readonly type: 'unreachable'; readonly error: SallyportError }
  /**
   * A datagram is too large for the path. `length`: its UDP payload in bytes, where it was this machine that refused it; absent where a router did.
   * `pathMtu`: what the system now believes the path carries, in bytes of IP packet.
   */
  | { readonly type: 'too-big'; readonly length: number | undefined; readonly pathMtu: number | undefined }
  /** The key's limits are near (`isOver` false: new keys, please) or reached (nothing is sealed or opened with it any more). */
  | { readonly type: 'key-used-up'; readonly direction: 'seal' | 'open'; readonly isOver: boolean }
  /** The path is gone. */
  | { readonly type: 'failed'; readonly error: SallyportError };

/** Where the engine stopped: each key's epoch and the record number that comes next. */
export interface CarriedState {
  readonly seal: KeyPosition;
  readonly open: readonly KeyPosition[];
}

export interface KeyPosition {
  readonly id: number;
  readonly nextSequence: number;
}

/** Datagrams that wait for {@link DatagramPath.start}; more than a handshake's flight. */
export const MAX_EARLY_DATAGRAMS = 64;

/** What is counted of each flow. */
export const DATAGRAM_COUNTERS = [
  /** Datagrams sent and received, bytes of UDP payload. */
  'sent',
  'sentBytes',
  'received',
  'receivedBytes',
  /** The socket's buffer was full. */
  'sendDropped',
  /** Larger than what the system sends without fragments. */
  'sendTooBig',
  /** Refused for another cause. */
  'sendFailed',
  /** No room on the way from main to the worker; from the worker to main, or before the path was started. */
  'commitDropped',
  'deliverDropped',
  /** Records that did not open: altered, or sealed with another key. */
  'badTag',
  /** Records seen before, or older than the window. */
  'replayed',
  /** Too short, of another version, or cut off. */
  'malformed',
  /** Records of an epoch that has no key here. */
  'unknownEpoch',
  /** Not sealed because the key is used up or the description was withdrawn. */
  'notSealed',
  /** While carried: bytes of IP packets that passed between the peer and the device, each way. */
  'carriedSent',
  'carriedReceived',
  /** While carried: packets of the peer from addresses that are not its own, and what is no IP packet; neither reached the device. */
  'spoofed',
  'notIp',
  /** When a datagram was sent last, and when one was received last (while carried: one that opened): milliseconds of performance.now(); 0: never. */
  'sentAt',
  'receivedAt',
  /** The same of {@link carriedSent} and {@link carriedReceived}. */
  'carriedAt',
] as const;

export type DatagramCounter = (typeof DATAGRAM_COUNTERS)[number];
export type DatagramCounters = Readonly<Record<DatagramCounter, number>>;

/** A client's flow, on a socket that another process has made for it. */
export interface HandedFlow {
  readonly remote: Endpoint;
  /** What the client said before the socket was there; undefined: what it said was heard elsewhere. */
  readonly first?: Uint8Array;
  /** Takes what somebody else has said to the socket before it was connected. */
  readonly strayed: (bytes: Uint8Array, from: Endpoint) => void;
}
