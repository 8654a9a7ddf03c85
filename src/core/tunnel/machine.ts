/**
 * The machine of one tunnel owns its paths (a TLS stream, a UDP flow), because they are coupled: it asks for them, and says by which of them
 * packets leave. One driver runs every vendor's machine, the client's and the gateway's.
 */
import type { DtlsAssociation } from '../dtls/association.ts';
import type { SallyportError } from '../errors.ts';
import type { Endpoint, IpAddress } from '../wire/ip-address.ts';
import type { TunnelConfig } from './config.ts';
import type { LayerSink } from './layer.ts';
import type { Millis, Packet } from './packet.ts';
import type { StreamTraffic, TrafficDescription } from './traffic.ts';

/** One connection or one UDP flow, made by the driver, known by identity. Two of a kind can live side by side while a new one proves itself. */
export interface Path {
  readonly kind: 'stream' | 'datagram';
}

export interface TunnelMachine {
  /** The path is there. The machine writes its own prologue: a CONNECT request, a ClientHello. */
  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void;
  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void;
  /** The path is gone, or could not be opened: then `path` is one that {@link opened} never saw. */
  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void;
  /** What the path or the engine has to say besides bytes. */
  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void;
  /** Sends one IP packet by the path that is up. */
  send(packet: Packet, now: Millis, out: TunnelSink): void;
  /** 0 from a new machine: its first {@link handleTimeout}, before any path, starts it. */
  nextTimeout(): Millis | undefined;
  handleTimeout(now: Millis, out: TunnelSink): void;
  close(reason: CloseReason, now: Millis, out: TunnelSink): void;
  /** What a person may ask about a running tunnel. */
  status(now: Millis): TunnelStatus;
}

export interface TunnelSink {
  /** What is written on a path; its `packet()` goes to the device. */
  on(path: Path): LayerSink;
  event(event: TunnelEvent): void;
}

export type TunnelEvent =
  /** Please connect this, one of a kind at a time. */
  | { readonly type: 'open'; readonly plan: PathPlan }
  | { readonly type: 'drop'; readonly path: Path }
  /** The configuration: before the first `up`, and again when the MTU changes. */
  | { readonly type: 'config'; readonly config: TunnelConfig }
  /** Packets now leave by this path; the device opens on the first one. */
  | { readonly type: 'up'; readonly path: Path }
  /** For the engine: it may carry this path's data from now on; undefined withdraws the description. */
  | { readonly type: 'traffic'; readonly path: Path; readonly traffic: TrafficDescription | StreamTraffic | undefined }
  /** For the engine, of a path whose data it carries: packets up to this length are to leave by it. */
  | { readonly type: 'tunnel-mtu'; readonly path: Path; readonly mtu: number }
  /**
   * For the engine: what it carries on one path it shall carry on the other: if this datagram of the other opens with its keys, or without any, where we
   * have opened the other ourselves. The notice `moved` says that it does; else the other path is lost.
   */
  | { readonly type: 'move'; readonly from: Path; readonly to: Path; readonly datagram: Uint8Array | undefined }
  /** New keys for this stream, please, inside its TLS connection: where {@link TlsFacts.updatesKeys}. If that fails the path is lost. */
  | { readonly type: 'update-keys'; readonly path: Path }
  /** The tunnel is over. Paths close when what was committed has left. */
  | { readonly type: 'closed'; readonly reason: CloseReason };

export type PathPlan =
  /** A new TLS connection to the gateway; `exporter`: keying material wanted of it (RFC 5705, RFC 8446 §7.5). */
  | { readonly to: 'gateway'; readonly exporter?: { readonly label: string; readonly length: number } }
  /** A UDP flow to the address of the stream's peer; `address`: where there is no stream. */
  | { readonly to: 'udp'; readonly port: number; readonly address?: IpAddress };

export interface PathFacts {
  readonly local: Endpoint;
  readonly remote: Endpoint;
  /** Largest outer IP packet in bytes, where the kernel or the interface tells. */
  readonly pathMtu?: number;
  /** A traffic description will be used. */
  readonly engine: boolean;
  readonly tls?: TlsFacts;
  /** Of a flow that comes to a gateway's tunnel with its hands shaken, after its client has said whose it is (`FlowFront`): up. */
  readonly dtls?: DtlsAssociation;
}

/** None of these ends a path. */
export type PathNotice =
  /** Someone on the way says that nobody is there (ICMP). UDP may work again a moment later. */
  | { readonly type: 'unreachable' }
  /** A datagram was refused as too large: `length` is its UDP payload, where this machine refused it. */
  | { readonly type: 'too-big'; readonly length: number | undefined }
  /** The engine's keys near their end; of a stream, `update-keys` could not renew them. */
  | { readonly type: 'keys-used-up' }
  /** While the engine carries the path: when it last heard the peer and last sent something. */
  | { readonly type: 'carried'; readonly heardAt: Millis; readonly sentAt: Millis }
  /** The engine carries on this path what it carried on another: see the event `move`. */
  | { readonly type: 'moved' };

export interface TlsFacts {
  /** What the plan's exporter asked for. */
  readonly exported?: Uint8Array;
  /** The client's Finished verify_data of this connection (STRAP). */
  readonly finished?: Uint8Array;
  /** The event `update-keys` works. */
  readonly updatesKeys?: boolean;
  /** Protocol and cipher in words, for people: `TLSv1.3-TLS_AES_256_GCM_SHA384`. */
  readonly cipherSuite: string;
}

/**
 * Why a tunnel ended. It decides what the session does next: reconnect (path-lost, renew), log in again or give up (refused), stop (all others).
 * `detach` keeps the cookie alive; `replaced`: the session has another tunnel, at a gateway.
 */
export interface CloseReason {
  readonly kind:
    | 'log-off'
    | 'detach'
    | 'renew'
    | 'path-lost'
    | 'refused'
    | 'ended-by-peer'
    | 'expired'
    | 'replaced'
    | 'misbehaved'
    | 'unusable';
  /** For people. */
  readonly message: string;
  /** What went wrong, where something did. */
  readonly error?: SallyportError;
  /** Of a `log-off`: what the gateway is told, instead of that the user wants it. */
  readonly goodbye?: string;
}

/** A tunnel's paths in words, for statistics. */
export interface TunnelStatus {
  readonly stream: PathStatus;
  readonly datagram: PathStatus;
}

export interface PathStatus {
  readonly state: 'disabled' | 'down' | 'connecting' | 'connected' | 'established';
  readonly cipherSuite?: string;
  readonly compression?: string;
  /** When keys change next. */
  readonly rekeyAt?: Millis;
}
