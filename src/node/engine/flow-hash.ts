/**
 * A number for a packet's flow: the same for all of its packets, in both directions, and another one for most other flows. Two clients of one engine who speak to
 * each other have one flow to the kernel, too, which would follow whoever has written last.
 */

const TCP = 6;
const UDP = 17;

/** IPv4 (RFC 791 §3.1): where the fragment's flags and offset, the protocol and the addresses lie; more fragments, or not the first. */
const V4 = { fragment: 6, protocol: 9, addresses: 12, length: 20 } as const;
const V4_IS_FRAGMENT = 0x3fff;

/** IPv6 (RFC 8200 §3). */
const V6 = { nextHeader: 6, source: 8, destination: 24, length: 40 } as const;

/** Spreads what differs in few bits (Knuth, "The Art of Computer Programming", volume 3, section 6.4). */
const SPREAD = 0x9e3779b1;

const PORTS_LENGTH = 4;

/** Of what lies from `packet` to `end`. @returns 16 bits; 0 for what is too short to be a packet */
export function flowHash(view: DataView, packet: number, end: number): number {
  const isV4 = view.getUint8(packet) >>> 4 === 4;
  if (packet + (isV4 ? V4.length : V6.length) > end) return 0;
  const protocol = view.getUint8(packet + (isV4 ? V4.protocol : V6.nextHeader));
  let hash: number = protocol;
  let ports = packet + V6.length;
  let hasPorts = protocol === TCP || protocol === UDP;
  if (isV4) {
    hash = both(view.getInt32(packet + V4.addresses), view.getInt32(packet + V4.addresses + 4)) + protocol;
    ports = packet + 4 * (view.getUint8(packet) & 15);
    hasPorts &&= (view.getUint16(packet + V4.fragment) & V4_IS_FRAGMENT) === 0;
  } else {
    for (let at = 0; at < 16; at += 4) {
      hash = Math.imul(hash ^ both(view.getInt32(packet + V6.source + at), view.getInt32(packet + V6.destination + at)), SPREAD);
    }
  }
  hasPorts &&= ports + PORTS_LENGTH <= end;
  const ofPorts = hasPorts ? both(view.getUint16(ports), view.getUint16(ports + 2)) : 0;
  return Math.imul(Math.imul(hash, SPREAD) ^ ofPorts, SPREAD) >>> 16;
}

/** Of two numbers in whichever order. */
function both(one: number, other: number): number {
  return Math.imul(one ^ other, SPREAD) ^ (one + other);
}
