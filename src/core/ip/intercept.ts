/**
 * Traffic for hosts that this one stands in for: what comes by TCP and UDP for a place where nobody of ours listens is kept here, until someone who
 * can reach that host has said what becomes of it. A userspace NAT is such a someone.
 *
 *   SYN ──► kept ──────────► takeSyn ──────► IpStack.admit: answered, a connection    IpStack.refuse: a reset, an ICMP error
 *   UDP ──► kept, in order ► takeDatagram ─► IpStack.answer: as if that host had sent it
 *
 * A SYN is not answered before the other host has answered: so a connection that is refused there is refused here.
 */
import { copyOf } from '../wire/copy.ts';
import type { Endpoint } from '../wire/ip-address.ts';
import { u16 } from './byte-order.ts';
import type { IpPacket } from './ip-packet.ts';
import type { StackCounters } from './stack-counters.ts';
import type { TcpSegment } from './tcp/tcp-segment.ts';

/** Somebody wants to connect. */
export interface HeldSyn {
  /** Who. */
  readonly from: Endpoint;
  /** To where. */
  readonly to: Endpoint;
  /** The whole packet. */
  readonly packet: Uint8Array;
}

/** Somebody sends. */
export interface HeldDatagram {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly bytes: Uint8Array;
}

/** SYNs and bytes of datagrams that wait to be taken: what one burst brings, as they are taken after each. */
const MAX_SYNS = 1024;
const MAX_DATAGRAM_BYTES: number = 1024 * 1024;

/** What a datagram costs beside its bytes, about. */
const DATAGRAM_OVERHEAD = 256;

export class Intercept {
  isReadyQueued = false;
  /** Called from {@link IpStack.dispatch}: there may be something to take. */
  onReady: (() => void) | undefined;
  readonly #counters: StackCounters;
  readonly #syns: HeldSyn[] = [];
  #datagrams: HeldDatagram[] = [];
  #taken = 0;
  #bytes = 0;

  constructor(counters: StackCounters) {
    this.#counters = counters;
  }

  /** The next SYN; it may be one that was taken before, sent again. */
  takeSyn(): HeldSyn | undefined {
    return this.#syns.shift();
  }

  takeDatagram(): HeldDatagram | undefined {
    const datagram = this.#datagrams[this.#taken];
    if (datagram === undefined) return undefined;
    this.#taken++;
    this.#bytes -= datagram.bytes.length + DATAGRAM_OVERHEAD;
    if (this.#taken === this.#datagrams.length) {
      this.#datagrams = [];
      this.#taken = 0;
    }
    return datagram;
  }

  // For the stack.

  /** False: there is no room for it; whoever sent it tries again. */
  holdSyn(packet: IpPacket, segment: TcpSegment): boolean {
    const { buffer, start, end, family } = packet;
    if (this.#syns.length >= MAX_SYNS) {
      this.#counters.drop('backlog-full');
      return false;
    }
    this.#syns.push({
      from: { address: { family, bytes: copyOf(packet.source) }, port: segment.sourcePort },
      to: { address: { family, bytes: copyOf(packet.destination) }, port: segment.destinationPort },
      packet: copyOf(buffer.subarray(start, end)),
    });
    return true;
  }

  /** `payload` is copied. False: there is no room for it. */
  holdDatagram(packet: IpPacket, payload: Uint8Array): boolean {
    const cost = payload.length + DATAGRAM_OVERHEAD;
    if (this.#bytes + cost > MAX_DATAGRAM_BYTES) {
      this.#counters.drop('socket-full');
      return false;
    }
    const { buffer, family, payload: at } = packet;
    this.#datagrams.push({
      from: { address: { family, bytes: copyOf(packet.source) }, port: u16(buffer, at) },
      to: { address: { family, bytes: copyOf(packet.destination) }, port: u16(buffer, at + 2) },
      bytes: copyOf(payload),
    });
    this.#bytes += cost;
    return true;
  }
}
