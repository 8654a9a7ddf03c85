/**
 * ICMP of a host: answers echo requests, hears errors of packets of ours, and says errors of those of others.
 *
 * Read first: RFC 1122 §3.2.2; RFC 4443 §2.4, §3, §4; RFC 5927 (what strangers can do with errors: they are believed only if they quote what we sent).
 */

import type { Millis } from '../tunnel/packet.ts';
import { TokenBucket } from '../tunnel/token-bucket.ts';
import { copyOf } from '../wire/copy.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import { i32, u16 } from './byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from './checksum.ts';
import type { EchoHost } from './echo.ts';
import { isUnicast } from './host-addresses.ts';
import { echoTypes, errorOf, ICMP, ICMP_HEADER, ICMPV6, type IcmpError, icmpPacket, isError, mtuOf } from './icmp-message.ts';
import { IpPacket, PROTOCOL } from './ip-packet.ts';
import type { StackLimits } from './limits.ts';
import type { PathMtuCache } from './path-mtu-cache.ts';
import type { StackCounters } from './stack-counters.ts';
import type { TcpError } from './tcp/control-block.ts';
import type { TcpHost } from './tcp/tcp-host.ts';
import type { UdpHost } from './udp.ts';

/** What ICMP needs of the rest of the stack. */
export interface IcmpSurroundings {
  readonly limits: StackLimits;
  readonly counters: StackCounters;
  readonly pathMtus: PathMtuCache;
  readonly tcp: TcpHost;
  readonly udp: UdpHost;
  readonly echo: EchoHost;
  mtu(): number;
  /** Whether packets from there are sent by this stack: an error about them is ours to hear. */
  isSenderAt(buffer: Uint8Array, at: number, family: 4 | 6): boolean;
  sourceFor(destination: IpAddress): IpAddress | undefined;
  sendDatagram(packet: Uint8Array): boolean;
}

/** What an error says of the packet that it quotes: of its protocol's header at least so much (RFC 792). */
const LEAST_QUOTED = 8;

/** RFC 1812 §4.3.2.3 for IPv4, RFC 4443 §2.4 (c) for IPv6: the error's whole packet stays so small. */
const LARGEST_ERROR = { 4: 576, 6: 1280 } as const;

export type OwnError =
  | 'port-unreachable'
  | 'protocol-unreachable'
  | 'reassembly-timeout'
  | 'network-unreachable'
  | 'host-unreachable'
  | 'prohibited'
  | 'hop-limit';

/** What a router says in its own name, where it has one in that family; the others are said in the name of the host that was meant. */
const ROUTER_ERRORS: ReadonlySet<OwnError> = new Set<OwnError>(['network-unreachable', 'host-unreachable', 'prohibited', 'hop-limit']);

export class IcmpHost {
  readonly #surroundings: IcmpSurroundings;
  readonly #errors: TokenBucket;
  readonly #quoted = new IpPacket();

  constructor(surroundings: IcmpSurroundings) {
    this.#surroundings = surroundings;
    const rate = surroundings.limits.repliesPerSecond;
    this.#errors = new TokenBucket(rate, { burst: rate, maxDelay: 0 });
  }

  /**
   * The message of a packet for us.
   *
   * @param isElsewhere it is for a host that we only stand in for: it is not pinged, and who tries is told
   */
  receive(packet: IpPacket, now: Millis, isElsewhere = false): void {
    const { buffer, payload, end, family, addressesAt } = packet;
    const { counters } = this.#surroundings;
    if (end - payload < ICMP_HEADER) {
      counters.drop('malformed');
      return;
    }
    const start = family === 4 ? 0 : sumPseudoHeader(buffer, addressesAt, 16, PROTOCOL.icmpv6, end - payload);
    if (checksumOf(sumWords(buffer, payload, end, start)) !== 0) {
      counters.drop('bad-checksum');
      return;
    }
    const type = buffer[payload] as number;
    const types = echoTypes(family);
    if (type === types.request && isElsewhere) this.sayError(packet, 'prohibited', now);
    else if (type === types.request) this.#answer(packet, types.reply);
    else if (type === types.reply) {
      const from: IpAddress = { family, bytes: copyOf(packet.source) };
      this.#surroundings.echo.receive(
        from,
        u16(buffer, payload + 4),
        u16(buffer, payload + 6),
        buffer.subarray(payload + ICMP_HEADER, end),
      );
    } else {
      const error = errorOf(family, type, buffer[payload + 1] as number);
      if (error === undefined) counters.drop('unknown-protocol');
      else this.#errorArrived(packet, error, now);
    }
  }

  /** Tells the sender of a packet that was not taken, where that is allowed. */
  sayError(packet: IpPacket, error: OwnError, now: Millis): void {
    const { buffer, start, end, family, addressesAt, addressLength, fragmentOffset } = packet;
    const { counters } = this.#surroundings;
    // RFC 1122 §3.2.2, RFC 4443 §2.4 (e).
    const isIcmp = packet.protocol === (family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6);
    if (isIcmp && isError(family, buffer[packet.payload] as number)) return;
    if (fragmentOffset > 0 || !isUnicast(buffer, addressesAt, family)) return;
    if (!isUnicast(buffer, addressesAt + addressLength, family)) return;
    if (this.#errors.delayOf(1, now) !== 0) {
      counters.drop('rate-limit');
      return;
    }
    const header = family === 4 ? 20 : 40;
    const body = copyOf(buffer.subarray(start, Math.min(end, start + LARGEST_ERROR[family] - header - ICMP_HEADER)));
    const message = family === 4 ? IPV4_ERRORS[error] : IPV6_ERRORS[error];
    const rest = family === 6 && error === 'protocol-unreachable' ? packet.nextHeaderAt - start : 0;
    const router = ROUTER_ERRORS.has(error) ? this.#surroundings.sourceFor({ family, bytes: packet.source }) : undefined;
    this.#send(icmpPacket(family, router?.bytes ?? packet.destination, packet.source, { ...message, rest, body }));
  }

  #answer(packet: IpPacket, type: number): void {
    const { buffer, payload, end, family } = packet;
    const body = buffer.subarray(payload + ICMP_HEADER, end);
    this.#send(icmpPacket(family, packet.destination, packet.source, { type, code: 0, rest: i32(buffer, payload + 4), body }));
  }

  #send(packet: Uint8Array): void {
    if (!this.#surroundings.sendDatagram(packet)) this.#surroundings.counters.drop('outbox-full');
  }

  #errorArrived(packet: IpPacket, error: IcmpError, now: Millis): void {
    const { pathMtus, counters } = this.#surroundings;
    const quoted = this.#quoted;
    const at = packet.payload + ICMP_HEADER;
    if (!parseQuoted(quoted, packet.buffer, at, packet.end, packet.family) || !this.#isOurs(quoted)) {
      counters.drop('malformed');
      return;
    }
    const remote: IpAddress = { family: quoted.family, bytes: copyOf(quoted.destination) };
    if (error === 'too-big') {
      const mtu = mtuOf(packet.family, packet.buffer, packet.payload);
      if (this.#isLikelySent(quoted, remote)) {
        pathMtus.learn(remote, mtu, quoted.end - quoted.start, this.#surroundings.mtu(), now);
      }
    }
    this.#tell(quoted, error, remote, now);
  }

  #isOurs(quoted: IpPacket): boolean {
    return (
      this.#surroundings.isSenderAt(quoted.buffer, quoted.addressesAt, quoted.family) && !(quoted.isFragment && quoted.fragmentOffset > 0)
    );
  }

  /** RFC 5927 §7.2: as far as each protocol can tell. Of TCP that is the sequence number; of datagrams only whose they were. */
  #isLikelySent(quoted: IpPacket, remote: IpAddress): boolean {
    const { tcp, udp, echo } = this.#surroundings;
    const bytes = quotedBytes(quoted);
    switch (quoted.protocol) {
      case PROTOCOL.tcp:
        return tcp.isOnItsWay(bytes, swapped(quoted));
      case PROTOCOL.udp:
        return udp.hasSocket({ family: quoted.family, bytes: quoted.source }, u16(bytes, 0));
      case PROTOCOL.icmp:
      case PROTOCOL.icmpv6:
        return bytes[0] === echoTypes(quoted.family).request && echo.hasSocket(remote, u16(bytes, 4));
      default:
        return false;
    }
  }

  #tell(quoted: IpPacket, error: IcmpError, remote: IpAddress, now: Millis): void {
    const { tcp, udp, echo } = this.#surroundings;
    const bytes = quotedBytes(quoted);
    switch (quoted.protocol) {
      case PROTOCOL.tcp: {
        const what = TCP_ERRORS[error];
        if (what !== undefined) tcp.icmpError(swapped(quoted), what, bytes, now);
        break;
      }
      case PROTOCOL.udp:
        if (error !== 'transient' && error !== 'too-big') {
          udp.icmpError(error, { family: quoted.family, bytes: copyOf(quoted.source) }, remote, bytes);
        }
        break;
      case PROTOCOL.icmp:
      case PROTOCOL.icmpv6:
        if (bytes[0] === echoTypes(quoted.family).request) echo.icmpError(error, remote, u16(bytes, 4), u16(bytes, 6));
        break;
      default:
    }
  }
}

const IPV4_ERRORS = {
  'port-unreachable': { type: ICMP.unreachable, code: 3 },
  'protocol-unreachable': { type: ICMP.unreachable, code: 2 },
  'network-unreachable': { type: ICMP.unreachable, code: 0 },
  'host-unreachable': { type: ICMP.unreachable, code: 1 },
  prohibited: { type: ICMP.unreachable, code: 13 }, // RFC 1812 §5.2.7.1: communication administratively prohibited
  'reassembly-timeout': { type: ICMP.timeExceeded, code: 1 },
  'hop-limit': { type: ICMP.timeExceeded, code: 0 },
} as const;

const IPV6_ERRORS = {
  'port-unreachable': { type: ICMPV6.unreachable, code: 4 },
  'protocol-unreachable': { type: ICMPV6.parameterProblem, code: 1 },
  'network-unreachable': { type: ICMPV6.unreachable, code: 0 },
  'host-unreachable': { type: ICMPV6.unreachable, code: 3 },
  prohibited: { type: ICMPV6.unreachable, code: 1 },
  'reassembly-timeout': { type: ICMPV6.timeExceeded, code: 1 },
  'hop-limit': { type: ICMPV6.timeExceeded, code: 0 },
} as const;

const TCP_ERRORS: Readonly<Record<IcmpError, TcpError | 'too-big' | undefined>> = {
  'network-unreachable': 'network-unreachable',
  'host-unreachable': 'host-unreachable',
  'protocol-unreachable': 'refused',
  'port-unreachable': 'refused',
  'too-big': 'too-big',
  transient: undefined,
};

/** The packet in an error: cut, so that its lengths do not hold, and with a checksum that routers have changed. */
function parseQuoted(quoted: IpPacket, buffer: Uint8Array, at: number, end: number, family: 4 | 6): boolean {
  const header = family === 4 ? ((buffer[at] ?? 0) & 0x0f) * 4 : 40;
  if (end - at < header + LEAST_QUOTED || (buffer[at] as number) >>> 4 !== family || header < 20) return false;
  quoted.buffer = buffer;
  quoted.start = at;
  quoted.family = family;
  quoted.addressesAt = at + (family === 4 ? 12 : 8);
  quoted.addressLength = family === 4 ? 4 : 16;
  quoted.protocol = buffer[at + (family === 4 ? 9 : 6)] as number;
  quoted.payload = at + header;
  quoted.isFragment = false;
  quoted.fragmentOffset = family === 4 ? (u16(buffer, at + 6) & 0x1fff) * 8 : 0;
  quoted.isFragment = quoted.fragmentOffset > 0;
  if (family === 6 && quoted.protocol === PROTOCOL.fragment) {
    if (end - at < header + 8 + LEAST_QUOTED) return false;
    quoted.protocol = buffer[at + header] as number;
    quoted.fragmentOffset = u16(buffer, at + header + 2) & 0xfff8;
    quoted.isFragment = quoted.fragmentOffset > 0;
    quoted.payload += 8;
  }
  // What the packet's length was when it was sent, for routers that do not say what would fit.
  quoted.end = family === 4 ? at + u16(buffer, at + 2) : at + 40 + u16(buffer, at + 4);
  return true;
}

function quotedBytes(quoted: IpPacket): Uint8Array {
  return quoted.buffer.subarray(quoted.payload, quoted.payload + LEAST_QUOTED);
}

/** As if the other end had sent it: how connections are found. */
function swapped(quoted: IpPacket): IpPacket {
  const packet = new IpPacket();
  packet.family = quoted.family;
  packet.addressLength = quoted.addressLength;
  packet.addressesAt = 0;
  packet.buffer = new Uint8Array(2 * quoted.addressLength);
  packet.buffer.set(quoted.destination);
  packet.buffer.set(quoted.source, quoted.addressLength);
  return packet;
}
