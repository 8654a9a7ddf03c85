/** A packet that is larger than the way on: as a router answers it, or in fragments where it may be cut. */
import { u16 } from './byte-order.ts';
import { fragmentsOf } from './fragmentation.ts';
import { ICMP, ICMPV6, icmpPacket, isError } from './icmp-message.ts';
import { ipHeaderLength } from './ip-header.ts';
import { PROTOCOL } from './ip-packet.ts';

const DONT_FRAGMENT = 0x4000;
const FRAGMENT_OFFSET = 0x1fff;
const FRAGMENTATION_NEEDED = 4;

/** RFC 1812 §4.3.2.3 lets an error quote so much of IPv4; RFC 4443 §2.4 (c): as much of IPv6 as fits the smallest MTU. */
const MAX_IPV4_QUOTE = 548;
const MIN_IPV6_MTU = 1280;

export type TooBig =
  /** For the sender. */
  | { readonly type: 'answer'; readonly packet: Uint8Array }
  /** For the receiver, each of its own memory. */
  | { readonly type: 'fragments'; readonly packets: readonly Uint8Array[] }
  /** Dropped without a word: an error itself, a fragment, or for many. */
  | { readonly type: 'nothing' };

const NOTHING: TooBig = { type: 'nothing' };

/** RFC 1191 §4, RFC 4443 §3.2. @param packet one whole packet of IP, longer than `mtu` */
export function tooBig(packet: Uint8Array, mtu: number): TooBig {
  const family = (packet[0] ?? 0) >>> 4 === 4 ? 4 : 6;
  const header = ipHeaderLength(family);
  const address =
    family === 4
      ? { source: packet.slice(12, 16), destination: packet.slice(16, 20) }
      : { source: packet.slice(8, 24), destination: packet.slice(24, 40) };
  const [first = 0] = address.destination;
  if (family === 4 ? first >= 224 : first === 0xff) return NOTHING;
  if (family === 4) {
    const hasOptions = (packet[0] ?? 0) !== 0x45;
    const flags = u16(packet, 6);
    if (!hasOptions && (flags & (DONT_FRAGMENT | FRAGMENT_OFFSET)) === 0 && (flags & 0x2000) === 0) {
      return { type: 'fragments', packets: fragmentsOf(packet, mtu, u16(packet, 4)) };
    }
    if ((flags & DONT_FRAGMENT) === 0) return NOTHING;
  }
  const protocol = packet[family === 4 ? 9 : 6] ?? 0;
  const isIcmp = protocol === (family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
  if (isIcmp && isError(family, packet[header] ?? 0)) return NOTHING;
  const quoted = family === 4 ? MAX_IPV4_QUOTE : MIN_IPV6_MTU - header - 8;
  const message =
    family === 4
      ? { type: ICMP.unreachable, code: FRAGMENTATION_NEEDED, rest: mtu, body: packet.subarray(0, quoted) }
      : { type: ICMPV6.tooBig, code: 0, rest: mtu, body: packet.subarray(0, quoted) };
  // From the address that cannot be reached: whoever sent the packet has a way to it, and no filter on the way minds.
  return { type: 'answer', packet: icmpPacket(family, address.destination, address.source, message) };
}
