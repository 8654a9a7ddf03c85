/**
 * What main and the engine's worker say to each other: commands with answers, reports, and the tags of what lies in the rings.
 *
 * Order: a command carries the position of the toWorker ring at which it was given; the worker takes everything before that position first. So a
 * datagram committed before a command is sent under the old state, and one committed after it under the new. Answers and reports come by message;
 * main takes all of the toMain ring before it looks at one.
 */

import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { Cidr, Endpoint } from '../../core/wire/ip-address.ts';
import type { CarriedState } from '../datagram-path.ts';
import type { UdpOptions } from '../ffi/sockets.ts';
import type { TunOffloads } from '../ffi/tun.ts';
import type { PlainError } from '../plain-error.ts';
import type { DeviceDescriptors } from './device-descriptors.ts';
import type { EngineFeature, FeatureState } from './features.ts';
import type { StreamCommands, StreamReport } from './stream-messages.ts';

export interface WorkerOptions {
  readonly memory: SharedArrayBuffer;
  /** Use node:crypto even where OpenSSL's own functions are there. */
  readonly portableCrypto: boolean;
  /** Features that shall not run. */
  readonly without: readonly EngineFeature[];
}

/** A ring entry's tag: what it is, and of which path. */
export const ENTRY = {
  /** An IP packet: from the device to main, or from main to the device. */
  devicePacket: 0,
  /** A datagram as it is on the wire; of a stream what has come; from main, one record. */
  datagram: 1,
  /** `[content type][plaintext]`, of ESP without a type: an opened record for main; from main, one to seal. Of a carried stream: what is not data. */
  record: 2,
  /** To the worker: a datagram, or bytes of a stream, that it delivered before it had the description. */
  received: 3,
} as const;

export function entryTag(kind: (typeof ENTRY)[keyof typeof ENTRY], path: number): number {
  return kind | (path << 8);
}

export function entryKind(tag: number): number {
  return tag & 0xff;
}

export function entryPath(tag: number): number {
  return tag >>> 8;
}

export interface PathOptions extends UdpOptions {
  /** Copy the inner packets' DSCP to the outer ones. */
  readonly copiesDscp: boolean;
}

export interface AdoptedFlow {
  readonly local: Endpoint;
  readonly pathMtu: number | undefined;
  /** What came before the socket was connected: the peer's, and others'. */
  readonly early: readonly Uint8Array[];
  readonly strays: readonly { readonly datagram: Uint8Array; readonly from: Endpoint }[];
}

/** Each command with what it takes and what it answers. */
export interface EngineCommands extends StreamCommands {
  'open-tun': { readonly takes: { readonly name: string | undefined }; readonly answers: { readonly name: string } };
  /** A TUN that another process has opened: the descriptors of queues, inherited, are the engine's from here on. */
  'adopt-tun': {
    readonly takes: DeviceDescriptors & { readonly name: string; readonly offloads: TunOffloads };
    readonly answers: undefined;
  };
  /** `theirs`: the descriptor for the program. From the answer on main owns it. */
  'open-script': { readonly takes: object; readonly answers: { readonly theirs: number } };
  /** The device is a userspace stack of main's; the memory of its {@link StackRings}. */
  'open-stack': { readonly takes: { readonly rings: SharedArrayBuffer }; readonly answers: undefined };
  'set-mtu': { readonly takes: { readonly name: string; readonly mtu: number }; readonly answers: undefined };
  'close-device': { readonly takes: object; readonly answers: undefined };
  'open-path': {
    readonly takes: { readonly path: number; readonly options: PathOptions };
    readonly answers: { readonly local: Endpoint; readonly pathMtu: number | undefined };
  };
  /** A bound UDP socket of main's, which the worker has a descriptor of its own of and connects to the peer. */
  'adopt-path': {
    readonly takes: { readonly path: number; readonly fd: number; readonly remote: Endpoint };
    readonly answers: AdoptedFlow;
  };
  /**
   * What is carried on one path is carried on the other from now on, with its networks, if this datagram, which came by the other, opens with it;
   * undefined: in any case. False: it does not.
   */
  'move-traffic': {
    readonly takes: { readonly from: number; readonly to: number; readonly datagram: Uint8Array | undefined };
    readonly answers: boolean;
  };
  /** For the traffic that is carried on a UDP path. */
  'set-tunnel-mtu': { readonly takes: { readonly path: number; readonly mtu: number }; readonly answers: undefined };
  'close-path': { readonly takes: { readonly path: number }; readonly answers: undefined };
  carry: {
    readonly takes: { readonly path: number; readonly traffic: TrafficDescription | StreamTraffic | undefined };
    readonly answers: CarriedState | undefined;
  };
  /** Which path the device's packets leave by; undefined: they go to main. */
  route: { readonly takes: { readonly path: number | undefined }; readonly answers: undefined };
  /** Which of the device's packets leave by this path: see {@link PacketSwitch.setNetworks}. */
  'set-networks': { readonly takes: { readonly path: number; readonly networks: readonly Cidr[] }; readonly answers: undefined };
  /** What runs of the engine's features, and why not the rest. */
  features: { readonly takes: object; readonly answers: readonly FeatureState[] };
  /** Ends the loop; everything committed before it has left. */
  stop: { readonly takes: object; readonly answers: undefined };
}

export type CommandName = keyof EngineCommands;

export type Command = {
  [Name in CommandName]: {
    readonly name: Name;
    readonly call: number;
    readonly after: number;
    readonly takes: EngineCommands[Name]['takes'];
  };
}[CommandName];

/** From the worker. `null` says only: look into the ring. */
export type WorkerMessage =
  | null
  | { readonly type: 'ready'; readonly crypto: EngineCrypto }
  | { readonly type: 'start-failed'; readonly error: PlainError }
  | { readonly type: 'answer'; readonly call: number; readonly value: unknown }
  | { readonly type: 'refusal'; readonly call: number; readonly error: PlainError }
  | { readonly type: 'device-failed'; readonly error: PlainError }
  | { readonly type: 'path-problem'; readonly path: number; readonly problem: PlainProblem }
  | { readonly type: 'stream-report'; readonly path: number; readonly report: StreamReport };

/** Who seals and opens: OpenSSL by address, or node:crypto. */
export type EngineCrypto = 'openssl' | 'node';

/** A DatagramProblem with its error in a form that survives the way between threads. */
export type PlainProblem =
  | { readonly type: 'unreachable'; readonly error: PlainError }
  | { readonly type: 'failed'; readonly error: PlainError }
  | { readonly type: 'too-big'; readonly length: number | undefined; readonly pathMtu: number | undefined }
  | { readonly type: 'key-used-up'; readonly direction: 'seal' | 'open'; readonly isOver: boolean };
