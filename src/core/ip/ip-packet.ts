/**
 * An IP packet as it lies in its buffer: where its parts are. One object is used for packet after packet.
 *
 * Read first: RFC 791 §3.1; RFC 8200 §3, §4.
 *
 *   start        payload                 end
 *   ├── header ──┼── segment, message ───┤        IPv6: extension headers count as header
 */
import { i32, u16 } from './byte-order.ts';
import { checksumOf, sumWords } from './checksum.ts';

export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, fragment: 44 } as const;

const MIN_IPV4_HEADER = 20;
const IPV6_HEADER = 40;

/** Extension headers in front of a payload: more have no use but to cost time. */
const MAX_EXTENSION_HEADERS = 8;

/** RFC 8200 §4: the ones that may stand between header and payload. */
const EXTENSION = { hopByHop: 0, routing: 43, fragment: 44, destination: 60 } as const;
const NO_NEXT_HEADER = 59;

/** What {@link IpPacket.parse} says of bytes that are no packet for anyone. */
export type ParseProblem = 'malformed' | 'bad-checksum';

export class IpPacket {
  buffer: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;
  family: 4 | 6 = 4;
  /** Where the source address is; the destination stands behind it. */
  addressesAt = 0;
  addressLength = 4;
  /** Of the payload; {@link PROTOCOL.fragment} never. */
  protocol = 0;
  payload = 0;
  hopLimit = 0;
  /** DSCP and ECN. */
  trafficClass = 0;
  isFragment = false;
  /** In bytes. */
  fragmentOffset = 0;
  hasMoreFragments = false;
  identification = 0;
  /** IPv6: where the number of the protocol behind the last header before the payload stands; what a Parameter Problem points at. */
  nextHeaderAt = 0;

  /** Takes one packet; undefined: it is well-formed. */
  parse(buffer: Uint8Array, start: number, end: number): ParseProblem | undefined {
    this.buffer = buffer;
    this.start = start;
    this.isFragment = false;
    this.fragmentOffset = 0;
    this.hasMoreFragments = false;
    if (end <= start) return 'malformed';
    const version = (buffer[start] as number) >>> 4;
    if (version === 4) return this.#parseIpv4(end);
    return version === 6 ? this.#parseIpv6(end) : 'malformed';
  }

  get source(): Uint8Array {
    return this.buffer.subarray(this.addressesAt, this.addressesAt + this.addressLength);
  }

  get destination(): Uint8Array {
    return this.buffer.subarray(this.addressesAt + this.addressLength, this.addressesAt + 2 * this.addressLength);
  }

  #parseIpv4(available: number): ParseProblem | undefined {
    const { buffer, start } = this;
    if (available - start < MIN_IPV4_HEADER) return 'malformed';
    const headerLength = ((buffer[start] as number) & 0x0f) * 4;
    const length = u16(buffer, start + 2);
    if (headerLength < MIN_IPV4_HEADER || length < headerLength || length > available - start) return 'malformed';
    if (checksumOf(sumWords(buffer, start, start + headerLength)) !== 0) return 'bad-checksum';
    this.family = 4;
    this.end = start + length;
    this.addressesAt = start + 12;
    this.addressLength = 4;
    this.protocol = buffer[start + 9] as number;
    this.payload = start + headerLength;
    this.hopLimit = buffer[start + 8] as number;
    this.trafficClass = buffer[start + 1] as number;
    const fragment = u16(buffer, start + 6);
    this.fragmentOffset = (fragment & 0x1fff) * 8;
    this.hasMoreFragments = (fragment & 0x2000) !== 0;
    this.isFragment = this.hasMoreFragments || this.fragmentOffset > 0;
    this.identification = u16(buffer, start + 4);
    this.nextHeaderAt = start + 9;
    return undefined;
  }

  #parseIpv6(available: number): ParseProblem | undefined {
    const { buffer, start } = this;
    if (available - start < IPV6_HEADER) return 'malformed';
    const end = start + IPV6_HEADER + u16(buffer, start + 4);
    if (end > available) return 'malformed';
    this.family = 6;
    this.end = end;
    this.addressesAt = start + 8;
    this.addressLength = 16;
    this.hopLimit = buffer[start + 7] as number;
    this.trafficClass = (u16(buffer, start) >>> 4) & 0xff;
    return this.#walkExtensions();
  }

  #walkExtensions(): ParseProblem | undefined {
    const { buffer, end } = this;
    this.nextHeaderAt = this.start + 6;
    let next = buffer[this.nextHeaderAt] as number;
    let at = this.start + IPV6_HEADER;
    for (let headers = 0; isExtension(next); headers++) {
      if (headers === MAX_EXTENSION_HEADERS || end - at < 8) return 'malformed';
      // RFC 8200 §4.3: hop-by-hop options stand first or not at all.
      if (next === EXTENSION.hopByHop && headers > 0) return 'malformed';
      this.nextHeaderAt = at;
      if (next === EXTENSION.fragment) {
        const fragment = u16(buffer, at + 2);
        this.fragmentOffset = fragment & 0xfff8;
        this.hasMoreFragments = (fragment & 1) !== 0;
        this.identification = i32(buffer, at + 4);
        this.isFragment = true;
        next = buffer[at] as number;
        at += 8;
        // What is behind it in a fragment is understood when it is whole; RFC 6946: an atomic fragment is whole.
        if (this.hasMoreFragments || this.fragmentOffset > 0) break;
        this.isFragment = false;
        continue;
      }
      const length = 8 + 8 * (buffer[at + 1] as number);
      if (length > end - at) return 'malformed';
      next = buffer[at] as number;
      at += length;
    }
    this.protocol = next;
    this.payload = at;
    return next === NO_NEXT_HEADER ? 'malformed' : undefined;
  }
}

function isExtension(next: number): boolean {
  return next === EXTENSION.hopByHop || next === EXTENSION.routing || next === EXTENSION.fragment || next === EXTENSION.destination;
}
