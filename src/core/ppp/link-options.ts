/** What a PPP link is told by its owner, and what it tells: its state, and the terms that both ends have agreed on. */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { Logger } from '../log.ts';
import type { CloseReason } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import type { PacketFraming } from '../tunnel/traffic.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { Encapsulation } from './encapsulation.ts';

export interface PppLinkOptions {
  readonly encapsulation: Encapsulation;
  /** What carries the frames: a stream in any slices, or datagrams, each with whole frames. */
  readonly carrier: 'stream' | 'datagram';
  readonly crypto: Pick<CryptoProvider, 'randomBytes'>;
  readonly log: Logger;
  /** Our tunnel MTU in bytes: what we ask of the peer (MRU), and the largest packet that we send, whatever the peer would take. */
  readonly mtu: number;
  /** False: the peer is not told our MRU. Default: true. */
  readonly sendsMru?: boolean;
  /** Silence of the peer after which it is asked by an echo; it is dead after twice that and a second. Default: it is never asked. */
  readonly dpd?: Millis;
  /** The addresses, by our role: looked at when the link starts, as they may come with the answer that lets it. */
  readonly network: ClientNetwork | GatewayNetwork;
  /** Which of the peer's packets come up; the others are counted. Default: all. */
  readonly admits?: (packet: Packet) => boolean;
}

/** A family that is absent is not wanted: the peer's requests for it are refused. */
export interface ClientNetwork {
  readonly role: 'client';
  readonly ipv4?: {
    /** What we are known to have, by the log-in or from before: nothing else is accepted. Undefined: the gateway assigns one. */
    readonly address?: IpAddress;
    /** Ask for name servers (RFC 1877). */
    readonly asksServers: boolean;
  };
  /** `address`: its low 64 bits are the interface identifier that we ask for. Undefined: the gateway assigns one. */
  readonly ipv6?: { readonly address?: IpAddress };
}

export interface GatewayNetwork {
  readonly role: 'gateway';
  /** `own`: the gateway's inside address; undefined: it has none to tell. */
  readonly ipv4?: {
    readonly own?: IpAddress;
    readonly peer: IpAddress;
    readonly dns: readonly IpAddress[];
    readonly nbns: readonly IpAddress[];
  };
  /** `peer`: the client's address; its low 64 bits become its interface identifier. */
  readonly ipv6?: { readonly peer: IpAddress };
}

/**
 *   new ── handleTimeout ──► establishing ⇄ up ──► closing ──► closed
 *                                 └──────────────────────────────┘
 */
export type PppState =
  /** Nothing has been sent. */
  | { readonly name: 'new' }
  /** LCP, then IPCP and IP6CP are being agreed on: no packets pass. */
  | { readonly name: 'establishing'; readonly since: Millis }
  /** `terms`: another object after each negotiation. */
  | { readonly name: 'up'; readonly terms: PppTerms }
  /** A Terminate-Request was sent or answered: the transport may be closed once this becomes `closed`. */
  | { readonly name: 'closing' }
  | { readonly name: 'closed'; readonly reason: CloseReason };

/** What was agreed on. */
export interface PppTerms {
  /** The largest packet that is sent, in bytes. */
  readonly mtu: number;
  readonly ipv4?: Ipv4Terms;
  readonly ipv6?: Ipv6Terms;
}

export interface Ipv4Terms {
  readonly local: IpAddress;
  /** The peer's own, where it says one. Informative. */
  readonly remote?: IpAddress;
  /** Client: as the gateway gave them, where they were asked for. */
  readonly dns: readonly IpAddress[];
  readonly nbns: readonly IpAddress[];
}

export interface Ipv6Terms {
  /** 8 bytes. */
  readonly interfaceId: Uint8Array;
  /** fe80::/64 with that identifier. */
  readonly linkLocal: IpAddress;
}

/** What a packet engine needs to carry a link's data. */
export interface PppTraffic {
  readonly framing: PacketFraming;
  /** What has come of the next frame, of a stream. */
  readonly received: Uint8Array;
}

/** Frames by their fate. On the packet path nothing is thrown: it is counted here. */
export interface PppCounters {
  /** IP packets received and passed up. */
  readonly packets: number;
  /** Cut short, a wrong FCS, no protocol in it, or a control packet that is none. */
  readonly malformed: number;
  /** IP packets that came, or were to be sent, while the link was not up. */
  readonly notUp: number;
  /** What is no IP packet of the protocol's family, or comes from an address that is not admitted. */
  readonly refused: number;
  /** Packets not sent: larger than the terms or a frame allow. */
  readonly tooLarge: number;
  /** Control packets that were not answered: too many of them. */
  readonly flooded: number;
}

export type PppCounterStore = { -readonly [cause in keyof PppCounters]: number };

export function newPppCounters(): PppCounterStore {
  return { packets: 0, malformed: 0, notUp: 0, refused: 0, tooLarge: 0, flooded: 0 };
}
