/**
 * The tunnel by UDP at either end: a DTLS association that carries one packet of IP, or one control packet, in each record.
 *
 * Read first: spec "Array", sections 5.2, 6.2 to 6.4.
 *
 *   client    shaking ── DTLS up ──► greeting: its id, each second ── any answer ──► up ── silence, or DTLS ends ──► over
 *   gateway   (hands are shaken, the id was said) ──────────────────────────────────► up ── DTLS ends ───────────────► over
 */
import type { DtlsAssociation } from '../../dtls/association.ts';
import { largestPlaintext } from '../../dtls/record-overhead.ts';
import { NetworkError, type SallyportError } from '../../errors.ts';
import { isIpPacket } from '../../tunnel/inner-packet.ts';
import { Keepalive, PEER_DEAD } from '../../tunnel/keepalive.ts';
import type { LayerSink } from '../../tunnel/layer.ts';
import type { PathFacts, PathNotice, PathStatus } from '../../tunnel/machine.ts';
import { datagramOfLink } from '../../tunnel/mtu.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../tunnel/packet.ts';
import type { TrafficDescription } from '../../tunnel/traffic.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { RECORD_FRAMING } from './carried-packets.ts';
import { TUNNEL_MTU } from './configuration.ts';
import { CONTROL_TYPES, controlTypeAt, isReserved, renderControl } from './control-packet.ts';
import { isAccept, parseHello, renderAccept } from './speed-tunnel.ts';

/** Observed: the reference client says who it is once a second, and asks whether somebody is there with it (spec 6.3). */
const HELLO_PERIOD: Millis = 1000;
/** Of the way there, where nobody knows it. */
const DEFAULT_LINK_MTU = 1500;
/** What every link carries that carries IPv6: where a router has no room for us, and nobody says how much it has. */
const SAFE_LINK_MTU = 1280;

export interface DatagramChannelOptions {
  readonly dtls: DtlsAssociation;
  /** The client's; absent: the gateway's end. */
  readonly hello?: Uint8Array;
  /** Silence of the peer after which it is asked, from the channel's being up on; 0: never. */
  readonly dpd: Millis;
  readonly facts: Pick<PathFacts, 'pathMtu' | 'remote'>;
  /** Which of the peer's packets come up. Default: all. */
  readonly admits?: (packet: Packet) => boolean;
}

/** Kinds of records. */
const NOTHING_HEARD = 0;
const PACKET = 1;
const QUESTION = 2;
const HELLO = 4;
const ACCEPT = 8;
const UNKNOWN = 16;

export type ChannelPhase = 'shaking' | 'greeting' | 'up' | 'over';

export class DatagramChannel {
  /** Packets that were not the peer's to send, and those that would pass for control packets. */
  dropped = 0;
  readonly #options: DatagramChannelOptions;
  readonly #family: 4 | 6;
  /** What DTLS opens. A sink only collects, so what has to be answered is, when DTLS has done. */
  readonly #opened: LayerSink;
  #out: LayerSink | undefined;
  #phase: ChannelPhase = 'shaking';
  #failure: SallyportError | undefined;
  #keepalive: Keepalive | undefined;
  #helloAt: Millis = 0;
  /** Of UDP payload. */
  #maxDatagram: number;
  #maxPacket = 0;
  /** What the engine knows, once it carries. */
  #carriedMtu: number | undefined;
  /** What has come in this call, of those below. */
  #heard = NOTHING_HEARD;

  constructor(options: DatagramChannelOptions) {
    this.#options = options;
    const { pathMtu = DEFAULT_LINK_MTU, remote } = options.facts;
    this.#family = remote.address.family;
    this.#maxDatagram = datagramOfLink(pathMtu, this.#family);
    this.#opened = {
      reserve: (length) => (this.#out as LayerSink).reserve(length), // it is there during each call
      commit: (length) => this.#out?.commit(length),
      packet: (packet) => this.#take(packet),
    };
  }

  get phase(): ChannelPhase {
    return this.#phase;
  }

  /** Why it is over. */
  get failure(): SallyportError {
    return this.#failure ?? new NetworkError('The datagram channel is closed.');
  }

  /** The client's end: the gateway may have heard who it is, and send what it has by this path. */
  get hasGreeted(): boolean {
    return this.#helloAt > 0;
  }

  /** The packet engine seals and opens. */
  get isHandedOver(): boolean {
    return this.#carriedMtu !== undefined;
  }

  get status(): Omit<PathStatus, 'state'> {
    const { state } = this.#options.dtls;
    return state.name === 'up' ? { cipherSuite: `DTLSv${state.session.version}-${state.session.suite.name}` } : {};
  }

  /** True if it came from the peer. */
  receive(bytes: Uint8Array, now: Millis, out: LayerSink): boolean {
    this.#heard = NOTHING_HEARD;
    this.#out = out;
    this.#options.dtls.receive(bytes, now, this.#opened);
    this.#out = undefined;
    this.#follow(now, out);
    if (this.#heard === NOTHING_HEARD) return false;
    this.#keepalive?.heard(now);
    if (this.#phase === 'greeting' && (this.#heard & (ACCEPT | PACKET)) !== 0) this.#goUp(now);
    if (this.#options.hello === undefined) this.#answer(now, out);
    return true;
  }

  /** False: it is not up, or its path has no room for the packet. */
  send(packet: Packet, now: Millis, out: LayerSink): boolean {
    if (this.#phase !== 'up' || packet.end - packet.start > this.#maxPacket) return false;
    if (isReserved(packet.buffer, packet.start)) this.dropped++;
    else this.#options.dtls.send(packet, now, out);
    this.#keepalive?.sent(now);
    return true;
  }

  notice(notice: PathNotice): void {
    if (notice.type === 'carried') {
      this.#keepalive?.heard(notice.heardAt);
      this.#keepalive?.sent(notice.sentAt);
    }
    if (notice.type !== 'too-big') return;
    const room = notice.length === undefined ? datagramOfLink(SAFE_LINK_MTU, this.#family) : notice.length - 1;
    this.#maxDatagram = Math.min(this.#maxDatagram, room);
    this.#measure();
  }

  /** For the packet engine, once up: the association's data from now on. @param innerSources where the peer's packets may come from */
  handOver(innerSources?: readonly Cidr[]): TrafficDescription | undefined {
    const { dtls } = this.#options;
    const isReady = this.#phase === 'up' && dtls.state.name === 'up' && dtls.state.confirmed;
    if (this.#carriedMtu !== undefined || !isReady) return undefined;
    this.#carriedMtu = this.#tunnelMtu;
    const traffic = dtls.handOver({ framing: RECORD_FRAMING, tunnelMtu: this.#tunnelMtu });
    return { ...traffic, ...(innerSources !== undefined && { innerSources }) };
  }

  /** What the engine is to know of the path's room, if that has changed since it was told. */
  takeNewMtu(): number | undefined {
    if (this.#carriedMtu === undefined || this.#carriedMtu === this.#tunnelMtu) return undefined;
    this.#carriedMtu = this.#tunnelMtu;
    return this.#tunnelMtu;
  }

  get #tunnelMtu(): number {
    return Math.min(this.#maxPacket, TUNNEL_MTU);
  }

  nextTimeout(): Millis | undefined {
    switch (this.#phase) {
      case 'shaking':
        return this.#options.dtls.nextTimeout();
      case 'greeting':
        return this.#helloAt;
      case 'up':
        return this.#keepalive?.nextTimeout();
      case 'over':
        return undefined;
    }
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    const due = this.nextTimeout();
    if (due === undefined || now < due) return;
    if (this.#phase === 'shaking') {
      this.#options.dtls.handleTimeout(now, out);
      this.#follow(now, out);
    } else if (this.#phase === 'greeting') {
      this.#greet(now, out);
      this.#say(renderControl(CONTROL_TYPES.keepalive), now, out);
    } else {
      const action = this.#keepalive?.handleTimeout(now);
      if (action === 'send-dpd') this.#say(renderControl(CONTROL_TYPES.keepalive), now, out);
      else if (action === 'dead') this.#end(new NetworkError('Nothing comes back by UDP.', { code: PEER_DEAD }));
    }
  }

  close(now: Millis, out: LayerSink): void {
    this.#options.dtls.close(now, out);
    this.#phase = 'over';
  }

  /** The gateway's end: its client has said who it is, and is told that it is known. */
  accept(now: Millis, out: LayerSink): void {
    this.#follow(now, out);
    this.#say(renderAccept(), now, out);
  }

  /** The gateway's end. Its own questions a client does not answer: it would be answered again (spec 5.3). */
  #answer(now: Millis, out: LayerSink): void {
    if ((this.#heard & HELLO) !== 0) this.#say(renderAccept(), now, out);
    if ((this.#heard & QUESTION) !== 0) this.#say(renderControl(CONTROL_TYPES.keepalive), now, out);
  }

  #take(packet: Packet): void {
    const { buffer, start, end } = packet;
    if (isIpPacket(buffer, start, end)) this.#takePacket(packet);
    else if (parseHello(packetBytes(packet)) !== undefined) this.#heard |= HELLO;
    else if (isAccept(packetBytes(packet))) this.#heard |= ACCEPT;
    else this.#heard |= UNKNOWN;
  }

  #takePacket(packet: Packet): void {
    this.#heard |= PACKET;
    const control = controlTypeAt(packet.buffer, packet.start);
    if (control === CONTROL_TYPES.keepalive) this.#heard |= QUESTION;
    if (control !== undefined) return;
    if (isReserved(packet.buffer, packet.start) || this.#options.admits?.(packet) === false) this.dropped++;
    else this.#out?.packet(packet);
  }

  #follow(now: Millis, out: LayerSink): void {
    const { state } = this.#options.dtls;
    if (state.name === 'failed') this.#end(state.error);
    else if (state.name === 'closed') this.#end(new NetworkError('The other side closed the datagram channel.'));
    else if (state.name === 'up' && this.#phase === 'shaking') {
      this.#measure();
      if (this.#options.hello === undefined) {
        this.#goUp(now);
      } else {
        this.#phase = 'greeting';
        this.#greet(now, out);
      }
    }
  }

  #greet(now: Millis, out: LayerSink): void {
    const { hello } = this.#options;
    if (hello !== undefined) this.#say(hello, now, out);
    this.#helloAt = now + HELLO_PERIOD;
  }

  #goUp(now: Millis): void {
    this.#phase = 'up';
    this.#keepalive = new Keepalive({ dpd: this.#options.dpd }, now);
  }

  #measure(): void {
    const { state } = this.#options.dtls;
    if (state.name !== 'up') return;
    const { suite, maxPlaintext } = state.session;
    this.#maxPacket = Math.min(largestPlaintext(suite.protection, this.#maxDatagram), maxPlaintext);
  }

  #say(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    this.#options.dtls.send(packetOf(bytes), now, out);
    this.#keepalive?.sent(now);
  }

  #end(error: SallyportError): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#failure = error;
  }
}
