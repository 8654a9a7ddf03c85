/** The IP packets of carried paths, over UDP and TLS alike: what may come in, and what is counted of them. */
import { isIpPacket } from '../../core/tunnel/inner-packet.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { SourceFilter } from '../../core/tunnel/source-filter.ts';
import type { Cidr } from '../../core/wire/ip-address.ts';
import { count, PATH } from './shared-memory.ts';

/** Of a description: a client's own addresses, and networks behind it. */
export const MAX_INNER_SOURCES = 1024;

/** Undefined: packets may come from anywhere. */
export function sourceFilterOf(networks: readonly Cidr[] | undefined): SourceFilter | undefined {
  return networks === undefined ? undefined : new SourceFilter(networks);
}

/** Whether a packet of the peer's goes to the device. Counts it, or why not. When, is said by {@link notePackets} once it is there. */
export function admitPacket(
  counters: Float64Array,
  sources: SourceFilter | undefined,
  bytes: Uint8Array,
  start: number,
  length: number,
): boolean {
  if (sources !== undefined) {
    const isPacket = isIpPacket(bytes, start, start + length);
    if (!isPacket || !sources.allowsAt(bytes, start)) {
      count(counters, isPacket ? PATH.spoofed : PATH.notIp);
      return false;
    }
  }
  count(counters, PATH.carriedReceived, length);
  return true;
}

/** A packet of the device's was sealed for the peer. When, is said as well once it has left: a look at the clock would delay it. */
export function countSentPacket(counters: Float64Array, length: number): void {
  count(counters, PATH.carriedSent, length);
}

/** Packets passed at this time: see {@link monotonicMillis}. */
export function notePackets(counters: Float64Array, now: Millis): void {
  counters[PATH.carriedAt] = now;
}
