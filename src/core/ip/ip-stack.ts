/**
 * An IPv4 and IPv6 host in user space: TCP, UDP, ICMP behind one link. It does no IO, reads no clock and makes no random numbers.
 *
 * Read first: docs/ip-stack.md.
 *
 *   receive ──► IpPacket ──► fragments ──► TCP · UDP · ICMP ──► sockets that are ready ──► dispatch
 *   transmit ◄── packets straight into the device's memory ◄── connections that want to send, outbox
 *
 * Its owner calls {@link receive} for each packet of a burst, then {@link dispatch}, then {@link transmit}; {@link handleTimeout} when it is due; and
 * dispatch and transmit, too, after anything was done to a socket. Nothing is ever sent but in transmit: a device that is full holds back everything
 * by not asking, and acknowledgements of a burst are one.
 */
import { MisuseError, NetworkError } from '../errors.ts';
import type { Millis } from '../tunnel/packet.ts';
import { type Endpoint, formatIp, type IpAddress } from '../wire/ip-address.ts';
import { EchoHost, type EchoSocket } from './echo.ts';
import { FragmentReassembly } from './fragment-reassembly.ts';
import { fragmentsOf } from './fragmentation.ts';
import { HostAddresses, isUnicast } from './host-addresses.ts';
import { IcmpHost, type OwnError } from './icmp.ts';
import { type HeldSyn, Intercept } from './intercept.ts';
import { IpPacket, PROTOCOL } from './ip-packet.ts';
import { DEFAULT_LIMITS, type StackLimits } from './limits.ts';
import { type Memory, plainMemory } from './memory.ts';
import { Outbox } from './outbox.ts';
import type { PacketSink } from './packet-sink.ts';
import { PathMtuCache } from './path-mtu-cache.ts';
import { ReadyList } from './ready-list.ts';
import { StackCounters } from './stack-counters.ts';
import type { TcpConnection } from './tcp/connection.ts';
import type { TcpOptions } from './tcp/control-block.ts';
import type { TcpListener } from './tcp/listener.ts';
import { TcpHost } from './tcp/tcp-host.ts';
import { MAX_UDP_PAYLOAD, UdpHost, type UdpSent, type UdpSocket, udpPacket } from './udp.ts';

export interface IpStackOptions {
  readonly addresses: readonly IpAddress[];
  /** Largest packet of the link, in bytes. */
  readonly mtu: number;
  /** 32 random bytes, kept secret: sequence numbers and tables depend on them (RFC 6528). */
  readonly secret: Uint8Array;
  /** 32 random bits that nobody can guess: ports and identifiers. */
  readonly random: () => number;
  readonly limits?: Partial<StackLimits>;
  /** The device cuts TCP super-segments into packets and finishes their checksums: see {@link PacketSink.commit}. Default: false. */
  readonly hasOffload?: boolean;
  readonly tcp?: Partial<TcpOptions>;
  /** It stands in for every other host: packets to any address are taken, see {@link IpStack.intercept}. Default: false. */
  readonly intercepts?: boolean;
  /** Where buffers come from, and what copies. Default: what the language has. */
  readonly memory?: Memory;
}

export const SECRET_LENGTH = 32;

/** RFC 9293 §3.4.2 says two minutes; every system keeps TIME-WAIT, which is two of these, for one. */
const DEFAULT_MAX_SEGMENT_LIFETIME: Millis = 30_000;

const NO_BYTES = new Uint8Array(0);

/** RFC 791 §3.2: what every host takes. RFC 8200 §5 for IPv6 is looked at where there is such an address. */
const LEAST_MTU = 68;

export class IpStack {
  readonly counters: StackCounters = new StackCounters();
  /** What is for others, where the stack takes that. */
  readonly intercept: Intercept | undefined;
  readonly #addresses: HostAddresses;
  readonly #ready = new ReadyList();
  readonly #outbox: Outbox;
  readonly #pathMtus: PathMtuCache;
  readonly #reassembly: FragmentReassembly;
  readonly #tcp: TcpHost;
  readonly #udp: UdpHost;
  readonly #echo: EchoHost;
  readonly #icmp: IcmpHost;
  readonly #packet = new IpPacket();
  readonly #random: () => number;
  readonly #sink = new CountingSink(this.counters);
  #mtu: number;
  #now: Millis = 0;

  constructor(options: IpStackOptions) {
    const { addresses, mtu, secret, random, hasOffload = false, intercepts = false, tcp, memory = plainMemory } = options;
    if (secret.length !== SECRET_LENGTH) throw new MisuseError(`the secret has ${SECRET_LENGTH} bytes, not ${secret.length}`);
    if (mtu < LEAST_MTU || mtu > 0xffff) throw new MisuseError(`no link has an MTU of ${mtu}`);
    const limits: StackLimits = { ...DEFAULT_LIMITS, ...options.limits };
    const { counters } = this;
    const ready = this.#ready;
    const intercept = intercepts ? new Intercept(counters) : undefined;
    this.intercept = intercept;
    this.#mtu = mtu;
    this.#random = random;
    this.#addresses = new HostAddresses(addresses);
    this.#outbox = new Outbox(limits.outbox);
    this.#pathMtus = new PathMtuCache(limits.pathMtus);
    this.#reassembly = new FragmentReassembly(limits);
    this.#tcp = new TcpHost({
      limits,
      counters,
      options: { congestion: 'cubic', maxSegmentLifetime: DEFAULT_MAX_SEGMENT_LIFETIME, ...tcp },
      hasOffload,
      ready,
      intercept,
      secret,
      random,
      memory,
      mtu: () => this.#mtu,
      pathMtu: (remote, now) => this.#pathMtus.mtu(remote, this.#mtu, now),
      send: (packet) => {
        if (!this.#outbox.push(packet)) counters.drop('outbox-full');
      },
    });
    const surroundings = {
      limits,
      counters,
      ready,
      intercept,
      random,
      sourceFor: (destination: IpAddress) => this.#addresses.sourceFor(destination),
      isOwn: (address: IpAddress) => this.#addresses.has(address),
      sendDatagram: (packet: Uint8Array) => this.#sendDatagram(packet),
    };
    this.#udp = new UdpHost(surroundings);
    this.#echo = new EchoHost(surroundings);
    this.#icmp = new IcmpHost({
      limits,
      counters,
      pathMtus: this.#pathMtus,
      tcp: this.#tcp,
      udp: this.#udp,
      echo: this.#echo,
      mtu: () => this.#mtu,
      isSenderAt: (buffer, at, family) => intercepts || this.#addresses.hasAt(buffer, at, family),
      sourceFor: surroundings.sourceFor,
      sendDatagram: surroundings.sendDatagram,
    });
  }

  get addresses(): readonly IpAddress[] {
    return this.#addresses.all;
  }

  get mtu(): number {
    return this.#mtu;
  }

  /** TCP connections of all states, those in TIME-WAIT included. */
  get connections(): number {
    return this.#tcp.size;
  }

  // The link.

  /**
   * Takes one packet, which is lent for the call.
   *
   * @param isVerified the device has verified the checksum of the TCP segment or UDP datagram in it
   */
  receive(buffer: Uint8Array, start: number, end: number, now: Millis, isVerified = false): void {
    this.#now = now;
    this.counters.packetsIn++;
    this.counters.bytesIn += end - start;
    this.#receive(buffer, start, end, now, isVerified);
  }

  /** Sends all that is to be sent, until the sink is full. False: it is, and more waits. */
  transmit(sink: PacketSink, now: Millis): boolean {
    this.#now = now;
    this.#sink.target = sink;
    return this.#outbox.transmit(this.#sink) && this.#tcp.transmit(this.#sink, now);
  }

  /** Whether {@link transmit} has something to do. */
  get wantsTransmit(): boolean {
    return !this.#outbox.isEmpty || this.#tcp.isWaitingToSend;
  }

  /** When {@link handleTimeout} is to be called; undefined: not at all, as things are. */
  nextTimeout(): Millis | undefined {
    const tcp = this.#tcp.nextTimeout();
    const fragments = this.#reassembly.nextTimeout();
    return tcp === undefined || fragments === undefined ? (tcp ?? fragments) : Math.min(tcp, fragments);
  }

  handleTimeout(now: Millis): void {
    this.#now = now;
    this.#tcp.handleTimeout(now);
    this.#reassembly.handleTimeout(now, (first) => {
      this.counters.drop('reassembly-timeout');
      if (first !== undefined) this.#quoteFirst(first, now);
    });
  }

  /** Tells the users of sockets what they are to look at. */
  dispatch(): void {
    this.#ready.tell();
  }

  /** Whether {@link dispatch} has something to do. */
  get wantsDispatch(): boolean {
    return !this.#ready.isEmpty;
  }

  /** The link takes packets of this size from now on. */
  setMtu(mtu: number): void {
    this.#mtu = mtu;
    this.#tcp.mtuChanged(this.#now);
  }

  /** Other addresses than before; connections of those that are gone end with `aborted`. */
  setAddresses(addresses: readonly IpAddress[]): void {
    for (const gone of this.#addresses.replace(addresses)) this.#tcp.addressGone(gone);
  }

  // Sockets.

  /**
   * Begins a TCP connection.
   *
   * @param from default: the address that suits, and a random port
   * @throws NetworkError (`ENETUNREACH`, `EADDRNOTAVAIL`, `EADDRINUSE`, `ENOBUFS`)
   */
  connect(remote: Endpoint, now: Millis, from: { readonly address?: IpAddress; readonly port?: number } = {}): TcpConnection {
    return this.#tcp.connect(this.#sourceOf(remote.address, from.address), remote, now, from.port);
  }

  /**
   * Waits for TCP connections.
   *
   * @param address default: every one of ours
   * @param port 0: a free one
   * @throws NetworkError (`EADDRNOTAVAIL`, `EADDRINUSE`)
   */
  listen(port: number, options: { readonly address?: IpAddress; readonly backlog?: number } = {}): TcpListener {
    const { address, backlog } = options;
    if (address !== undefined) this.#checkOwn(address);
    return this.#tcp.listen(address, port, backlog);
  }

  /** A UDP socket. Throws {@link NetworkError} (`EADDRNOTAVAIL`, `EADDRINUSE`, `ENOBUFS`). */
  openUdp(family: 4 | 6, options: { readonly address?: IpAddress; readonly port?: number } = {}): UdpSocket {
    return this.#udp.open(family, options.address, options.port ?? 0);
  }

  // Standing in for others: only where the stack intercepts.

  /**
   * Answers a SYN in the name of the host that it is for. The connection may be written to at once, and is made when its peer has heard of it;
   * undefined: there is one between these ends already. Throws {@link NetworkError} (`ENOBUFS`).
   */
  admit(syn: HeldSyn, now: Millis): TcpConnection | undefined {
    return this.#tcp.admit(syn, now);
  }

  /** Tells who sent the packet what became of it: `reset` of a SYN, else an ICMP error, both within the limit of such answers. */
  refuse(syn: HeldSyn, how: OwnError | 'reset', now: Millis): void {
    if (how === 'reset') this.#tcp.refuse(syn, now);
    else this.refusePacket(syn.packet, how, now);
  }

  /** Sends a datagram in the name of the host that it comes from. */
  answer(from: Endpoint, to: Endpoint, bytes: Uint8Array): UdpSent {
    if (bytes.length > MAX_UDP_PAYLOAD) return 'too-big';
    return this.#sendDatagram(udpPacket(from, to, bytes)) ? 'sent' : 'full';
  }

  /** Tells who sent a packet that was not for this stack what became of it. It is well-formed. */
  refusePacket(packet: Uint8Array, how: OwnError, now: Millis): void {
    this.#packet.parse(packet, 0, packet.length);
    this.#icmp.sayError(this.#packet, how, now);
  }

  /** Tells who sent a datagram what became of it. */
  refuseDatagram(from: Endpoint, to: Endpoint, how: OwnError, now: Millis): void {
    this.refusePacket(udpPacket(from, to, NO_BYTES), how, now); // an error quotes the headers, and they say it all
  }

  /** Echo requests to one host. Throws {@link NetworkError} (`ENETUNREACH`, `ENOBUFS`). */
  openEcho(remote: IpAddress): EchoSocket {
    this.#sourceOf(remote, undefined);
    return this.#echo.open(remote);
  }

  #receive(buffer: Uint8Array, start: number, end: number, now: Millis, isVerified: boolean): void {
    const packet = this.#packet;
    const problem = packet.parse(buffer, start, end);
    if (problem !== undefined) {
      this.counters.drop(problem);
      return;
    }
    const { addressesAt, addressLength, family } = packet;
    const isOwn = this.#addresses.hasAt(buffer, addressesAt + addressLength, family);
    if (!isOwn && (this.intercept === undefined || !isUnicast(buffer, addressesAt + addressLength, family))) {
      this.counters.drop('not-ours');
      return;
    }
    if (!isUnicast(buffer, addressesAt, family) || this.#addresses.hasAt(buffer, addressesAt, family)) {
      this.counters.drop('bad-source');
      return;
    }
    if (packet.isFragment) this.#fragmentArrived(packet, now);
    else this.#deliver(packet, now, isVerified, isOwn);
  }

  #fragmentArrived(packet: IpPacket, now: Millis): void {
    const result = this.#reassembly.add(packet, now);
    if (result === undefined) return;
    if ('dropped' in result) this.counters.drop(result.dropped);
    else this.#receive(result.packet, 0, result.packet.length, now, false);
  }

  #deliver(packet: IpPacket, now: Millis, isVerified: boolean, isOwn: boolean): void {
    const { protocol, family } = packet;
    if (protocol === PROTOCOL.tcp) this.#tcp.receive(packet, now, isVerified);
    else if (protocol === PROTOCOL.udp) {
      if (!this.#udp.receive(packet, isVerified)) this.#icmp.sayError(packet, 'port-unreachable', now);
    } else if (protocol === (family === 4 ? PROTOCOL.icmp : PROTOCOL.icmpv6)) this.#icmp.receive(packet, now, !isOwn);
    else {
      this.counters.drop('unknown-protocol');
      this.#icmp.sayError(packet, 'protocol-unreachable', now);
    }
  }

  /** RFC 792, RFC 4443 §3.3: only who has the first fragment may say that the others did not come. */
  #quoteFirst(first: Uint8Array, now: Millis): void {
    const packet = this.#packet;
    // It is cut, so its lengths do not hold; its addresses do.
    packet.buffer = first;
    packet.start = 0;
    packet.end = first.length;
    packet.family = (first[0] as number) >>> 4 === 4 ? 4 : 6;
    packet.addressLength = packet.family === 4 ? 4 : 16;
    packet.addressesAt = packet.family === 4 ? 12 : 8;
    packet.fragmentOffset = 0;
    packet.protocol = 0;
    this.#icmp.sayError(packet, 'reassembly-timeout', now);
  }

  /** Sends a packet of UDP or ICMP, in fragments where it does not fit. False: there is no room. */
  #sendDatagram(packet: Uint8Array): boolean {
    const family = (packet[0] as number) >>> 4 === 4 ? 4 : 6;
    const to = family === 4 ? packet.subarray(16, 20) : packet.subarray(24, 40);
    const mtu = this.#pathMtus.mtu({ family, bytes: to }, this.#mtu, this.#now);
    if (packet.length <= mtu) return this.#outbox.push(packet);
    const fragments = fragmentsOf(packet, mtu, this.#random());
    if (!this.#outbox.hasRoom(fragments.reduce((sum, { length }) => sum + length, 0))) return false;
    for (const fragment of fragments) this.#outbox.push(fragment);
    return true;
  }

  #sourceOf(destination: IpAddress, wanted: IpAddress | undefined): IpAddress {
    if (wanted !== undefined) {
      this.#checkOwn(wanted);
      if (wanted.family !== destination.family) throw new MisuseError('the two ends of a connection have one family');
      return wanted;
    }
    const source = this.#addresses.sourceFor(destination);
    if (source === undefined || !isUnicast(destination.bytes, 0, destination.family) || this.#addresses.has(destination)) {
      throw new NetworkError(`There is no way to ${formatIp(destination)}.`, { code: 'ENETUNREACH' });
    }
    return source;
  }

  #checkOwn(address: IpAddress): void {
    if (this.#addresses.has(address)) return;
    throw new NetworkError(`${formatIp(address)} is no address of this end.`, { code: 'EADDRNOTAVAIL' });
  }
}

/** Counts what passes. */
class CountingSink implements PacketSink {
  target: PacketSink | undefined;
  readonly #counters: StackCounters;

  constructor(counters: StackCounters) {
    this.#counters = counters;
  }

  reserve(length: number): ReturnType<PacketSink['reserve']> {
    return this.target?.reserve(length);
  }

  commit(length: number, segment: number, isUnfinished: boolean): void {
    this.#counters.packetsOut++;
    this.#counters.bytesOut += length;
    this.target?.commit(length, segment, isUnfinished);
  }
}
