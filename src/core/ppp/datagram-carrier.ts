/**
 * PPP in a DTLS association, behind the vendor's hello. Either end.
 *
 * Read first: spec "PPP", section 4.5; spec "Fortinet", section 5.
 *
 *   client    DTLS ── up ──► hello, each second ── accepted ──► PPP
 *   gateway   DTLS and hello are done ────────────────────────► PPP; a hello that comes again is answered again
 *
 * A sink only collects, so what DTLS opens is looked at when DTLS has done.
 */
import type { DtlsAssociation } from '../dtls/association.ts';
import { ERR_DTLS_CERTIFICATE } from '../dtls/certificate-exchange.ts';
import { NetworkError } from '../errors.ts';
import { commitBytes, type LayerSink } from '../tunnel/layer.ts';
import type { CloseReason, Path, PathNotice, PathStatus } from '../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../tunnel/packet.ts';
import type { TrafficDescription } from '../tunnel/traffic.ts';
import { copyOf } from '../wire/copy.ts';
import type { Cidr } from '../wire/ip-address.ts';
import type { CarrierState, PppCarrier } from './carrier.ts';
import type { PppLink } from './link.ts';
import type { DatagramPrologue } from './prologue.ts';
import { UpperSink } from './upper-sink.ts';

/** A hello may be lost (spec "PPP", section 8). */
const HELLO_PERIOD: Millis = 1000;

export interface DatagramCarrierOptions {
  readonly path: Path;
  readonly dtls: DtlsAssociation;
  readonly link: PppLink;
  /** The client's; absent: the vendor's words were said. */
  readonly prologue?: DatagramPrologue;
  /** The gateway's: answers a hello that comes once more; undefined: the datagram is none. */
  readonly answers?: (datagram: Uint8Array) => Uint8Array | undefined;
  /** The gateway's: what came before the carrier was made. */
  readonly early?: readonly Uint8Array[];
  /** The packet engine can carry the path. */
  readonly isCarried: boolean;
  /** Where the peer's packets may come from. */
  readonly innerSources?: readonly Cidr[];
}

export class DatagramCarrier implements PppCarrier {
  readonly path: Path;
  readonly #options: DatagramCarrierOptions;
  readonly #upper: UpperSink;
  /** What DTLS has opened in this call. */
  readonly #opened: Uint8Array[] = [];
  #prologue: DatagramPrologue | undefined;
  #state: CarrierState = { name: 'opening' };
  #helloAt: Millis | undefined;
  #isHandedOver = false;
  #isClosing = false;

  constructor(options: DatagramCarrierOptions) {
    this.path = options.path;
    this.#options = options;
    this.#prologue = options.prologue;
    this.#upper = new UpperSink(options.dtls);
    this.#opened.push(...(options.early ?? []));
  }

  get state(): CarrierState {
    return this.#state;
  }

  get status(): PathStatus {
    const { state } = this.#options.dtls;
    return { state: 'connected', ...(state.name === 'up' && { cipherSuite: `DTLSv${state.session.version}-${state.session.suite.name}` }) };
  }

  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void {
    const { dtls } = this.#options;
    dtls.receive(bytes, now, {
      reserve: (length) => out.reserve(length),
      commit: (length) => out.commit(length),
      packet: (packet) => this.#opened.push(copyOf(packetBytes(packet))),
    });
    this.#openAll(now, out);
    this.#follow(now, out);
  }

  send(packet: Packet, now: Millis, out: LayerSink): void {
    this.#options.link.send(packet, now, this.#upper.over(now, out));
  }

  notice(notice: PathNotice): void {
    if (notice.type === 'carried') this.#options.link.carried(notice.heardAt, notice.sentAt);
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'over') return undefined;
    const { dtls, link } = this.#options;
    const isUp = dtls.state.name === 'up';
    const own = !isUp ? undefined : this.#prologue === undefined ? link.nextTimeout() : (this.#helloAt ?? 0);
    const due = Math.min(dtls.nextTimeout() ?? Number.POSITIVE_INFINITY, own ?? Number.POSITIVE_INFINITY);
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: LayerSink): void {
    const { dtls, link } = this.#options;
    const due = dtls.nextTimeout();
    if (due !== undefined && due <= now) dtls.handleTimeout(now, out);
    if (dtls.state.name === 'up') {
      this.#openAll(now, out);
      if (this.#prologue === undefined) link.handleTimeout(now, this.#upper.over(now, out));
      else if (now >= (this.#helloAt ?? 0)) this.#sayHello(this.#prologue, now, out);
    }
    this.#follow(now, out);
  }

  close(now: Millis, out: LayerSink, text?: string): void {
    this.#isClosing = true;
    this.#options.link.close(now, this.#upper.over(now, out), text);
    this.#follow(now, out);
  }

  handOver(): TrafficDescription | undefined {
    const { dtls, link, isCarried, innerSources } = this.#options;
    if (!isCarried || this.#isHandedOver || this.#state.name !== 'up') return undefined;
    const traffic = link.handOver();
    const isConfirmed = dtls.state.name === 'up' && dtls.state.confirmed;
    if (traffic === undefined || !isConfirmed) return undefined;
    const description = dtls.handOver({ framing: traffic.framing, tunnelMtu: this.#state.terms.mtu });
    this.#isHandedOver = description !== undefined;
    return description && { ...description, ...(innerSources !== undefined && { innerSources }) };
  }

  #openAll(now: Millis, out: LayerSink): void {
    for (let datagram = this.#opened.shift(); datagram !== undefined; datagram = this.#opened.shift()) this.#open(datagram, now, out);
  }

  #open(datagram: Uint8Array, now: Millis, out: LayerSink): void {
    const { link, answers } = this.#options;
    const upper = this.#upper.over(now, out);
    const prologue = this.#prologue;
    if (prologue === undefined) {
      const again = answers?.(datagram);
      if (again === undefined) link.receive(datagram, now, upper);
      else commitBytes(upper, again);
      return;
    }
    const answer = prologue.read(datagram);
    switch (answer) {
      case 'accepted':
      case 'frame':
        this.#prologue = undefined;
        link.handleTimeout(now, upper);
        if (answer === 'frame') link.receive(datagram, now, upper);
        break;
      case 'refused':
        this.#end({ kind: 'unusable', message: 'The gateway does not take the session by UDP.' });
        break;
      case 'unknown':
        break; // whatever it is, PPP begins without it
      default:
        answer satisfies never;
    }
  }

  #sayHello({ hello }: DatagramPrologue, now: Millis, out: LayerSink): void {
    this.#helloAt = now + HELLO_PERIOD;
    this.#options.dtls.send(packetOf(hello), now, out);
  }

  #follow(now: Millis, out: LayerSink): void {
    if (this.#state.name === 'over') return;
    const { dtls, link } = this.#options;
    const lower = dtls.state;
    if (lower.name === 'failed') {
      // A certificate that is not the gateway's will be none the next time either.
      const isFinal = lower.error.code === ERR_DTLS_CERTIFICATE;
      this.#end({ kind: isFinal ? 'unusable' : 'path-lost', message: lower.error.message, error: lower.error });
    } else if (lower.name === 'closed') {
      const error = new NetworkError('The other side closed the datagram channel.');
      this.#end({ kind: 'path-lost', message: error.message, error });
    } else if (link.state.name === 'closed') {
      // A peer that has said goodbye closes the association itself, and takes one that is closed for it as lost.
      if (link.state.reason.kind !== 'ended-by-peer') dtls.close(now, out);
      this.#end(link.state.reason);
    } else if (link.state.name === 'up' && this.#state.name === 'up' && this.#state.terms === link.state.terms) {
      return; // as before
    } else if (this.#isHandedOver && !this.#isClosing) {
      // The engine has the keys for good: what has to be agreed on anew is agreed on in a new association.
      this.#end({ kind: 'renew', message: 'PPP begins anew.' });
    } else if (link.state.name === 'up') {
      this.#state = { name: 'up', terms: link.state.terms };
    } else if (this.#prologue === undefined && lower.name === 'up') {
      this.#state = { name: 'linking' };
    }
  }

  #end(reason: CloseReason): void {
    this.#state = { name: 'over', reason };
  }
}
