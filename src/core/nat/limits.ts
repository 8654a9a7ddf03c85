/** What a userspace NAT may take of its process, and for how long. Everything that clients can make more of ends at one of these. */
import type { Millis } from '../tunnel/packet.ts';

export interface NatLimits {
  /** Flows (TCP connections, UDP flows) of all sessions together: each has a socket of the system. */
  readonly flows: number;
  /** Flows of one session. Of UDP the one that was used the longest ago makes room for the next. */
  readonly flowsPerSession: number;
  /** Connections of one session that are being made. */
  readonly dialsPerSession: number;
  /** New flows of one session, a second; twice as many may come at once. What is beyond it is dropped, and tried again by its client. */
  readonly newFlowsPerSecond: number;
  /** How long a UDP flow is kept without a datagram either way. */
  readonly udpIdle: Millis;
  /** How long a TCP connection is kept without a byte either way. */
  readonly tcpIdle: Millis;
}

export const DEFAULT_NAT_LIMITS: NatLimits = {
  flows: 16_384,
  flowsPerSession: 4_096,
  dialsPerSession: 1_024,
  newFlowsPerSecond: 1_000,
  udpIdle: 300_000, // RFC 4787 §4.3, REQ-5: five minutes is recommended, less than two may not be
  tcpIdle: 7_440_000, // RFC 5382 §5, REQ-5: two hours and four minutes
};

/** RFC 4787 §4.3 lets well-known ports have less: a name server answers once, and flows to it are many. */
export const DNS_IDLE: Millis = 20_000;

/** What a connection may take to be made: a client's own patience is about the same. */
export const DIAL_TIMEOUT: Millis = 30_000;

/** Bytes of datagrams on their way out that the system has not taken: of one flow, and of all together. */
export const FLOW_DATAGRAM_BYTES: number = 256 * 1024;
export const DATAGRAM_BYTES: number = 16 * 1024 * 1024;

/** Restricted sessions only: who has spoken to them from other clients, and so may be answered. */
export const PEER_FLOWS = 4_096;
export const PEER_FLOW_IDLE: Millis = 300_000;
