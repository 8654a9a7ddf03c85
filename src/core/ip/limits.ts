/** What the stack may take of memory and time. Every queue of the stack ends at one of these. */
import type { Millis } from '../tunnel/packet.ts';

export interface StackLimits {
  /** TCP connections, those in TIME-WAIT and those that are being made included. */
  readonly connections: number;
  /** Connections in TIME-WAIT; beyond it the oldest is forgotten. */
  readonly timeWait: number;
  /** Bytes of a connection that wait to be acknowledged. */
  readonly sendBuffer: number;
  /** Bytes that all connections together have to send, unacknowledged: beyond it each has {@link LEAST_SEND_BUFFER} only until others are through. */
  readonly sendMemory: number;
  /** Bytes of emptied send buffers, and of what readers gave back, that are kept for the next who needs one. */
  readonly spareSendMemory: number;
  /** The receive window of a new connection, in bytes. */
  readonly initialReceiveBuffer: number;
  /** How far the window grows for a connection that is read as fast as it comes. */
  readonly receiveBuffer: number;
  /** Bytes that all connections together have received and nobody has read: beyond it windows stop growing, and what comes out of order is dropped. */
  readonly receiveMemory: number;
  /** Pieces that one connection keeps out of order. */
  readonly outOfOrderPieces: number;
  /** UDP sockets and echo sockets together. */
  readonly datagramSockets: number;
  /** Bytes of datagrams that wait to be taken, for each socket. */
  readonly datagramBuffer: number;
  /** Bytes of ready packets (UDP, ICMP, resets) that wait for the device. */
  readonly outbox: number;
  /** Datagrams that are being reassembled. */
  readonly reassemblies: number;
  /** Bytes of all fragments together. */
  readonly reassemblyBytes: number;
  /** Fragments of one datagram. */
  readonly fragments: number;
  /** Destinations whose path MTU is remembered. */
  readonly pathMtus: number;
  /** ICMP errors, resets and challenge ACKs a second, each. */
  readonly repliesPerSecond: number;
}

export const DEFAULT_LIMITS: StackLimits = {
  connections: 65_536,
  timeWait: 16_384,
  sendBuffer: 4 * 1024 * 1024,
  sendMemory: 256 * 1024 * 1024,
  spareSendMemory: 16 * 1024 * 1024,
  initialReceiveBuffer: 256 * 1024,
  receiveBuffer: 8 * 1024 * 1024,
  receiveMemory: 256 * 1024 * 1024,
  outOfOrderPieces: 8_192,
  datagramSockets: 16_384,
  datagramBuffer: 256 * 1024,
  outbox: 1024 * 1024,
  reassemblies: 256,
  reassemblyBytes: 4 * 1024 * 1024,
  fragments: 64,
  pathMtus: 4_096,
  repliesPerSecond: 1_000,
};

/** What a connection may always have to send, in bytes: with it it goes on, if slowly. */
export const LEAST_SEND_BUFFER: number = 16 * 1024;

/** RFC 8200 §4.5: what is not complete by then is given up. RFC 1122 §3.3.2 wants 60 to 120 seconds for IPv4. */
export const REASSEMBLY_TIMEOUT: Millis = 60_000;

/** RFC 8201 §4: a smaller path MTU is believed for this long, then the link's is tried again. */
export const PATH_MTU_LIFETIME: Millis = 600_000;
