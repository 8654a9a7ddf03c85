/** What the stack counts. Everything dropped is counted by its cause. */

/** Why a packet went no further. */
export const DROP_CAUSES = [
  'malformed', // no IP packet, or lengths that do not add up
  'bad-checksum',
  'not-ours', // for another address
  'bad-source', // from a multicast or broadcast address, or from ourselves
  'unknown-protocol',
  'no-port', // nobody listens
  'reassembly-limit',
  'reassembly-overlap',
  'reassembly-timeout',
  'bad-segment', // TCP that fits no connection's state
  'duplicate', // TCP that had arrived before
  'out-of-window',
  'old-timestamp', // PAWS
  'bad-acknowledgement',
  'memory-limit', // out of order beyond the limits
  'closed-reader', // data for a connection that nobody reads any more
  'backlog-full',
  'connection-limit',
  'socket-full', // a datagram socket's queue
  'outbox-full',
  'rate-limit', // an answer that was not sent
  'too-big', // does not fit the path and may not be cut
  'no-route',
] as const;

export type DropCause = (typeof DROP_CAUSES)[number];

export class StackCounters {
  packetsIn = 0;
  bytesIn = 0;
  packetsOut = 0;
  bytesOut = 0;
  /** TCP segments that were sent again, and bytes in them. */
  retransmissions = 0;
  retransmittedBytes = 0;
  /** Retransmission timeouts, and those that turned out to be for nothing. */
  timeouts = 0;
  spuriousTimeouts = 0;
  /** Tail loss probes. */
  lossProbes = 0;
  resetsSent = 0;
  challengeAcks = 0;
  readonly dropped: Record<DropCause, number> = Object.fromEntries(DROP_CAUSES.map((cause) => [cause, 0])) as Record<DropCause, number>;

  drop(cause: DropCause): void {
    this.dropped[cause]++;
  }
}
