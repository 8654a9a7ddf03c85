/**
 * The gateway's datagram side: which of the client's flows are its own, and whether packets leave by one of them.
 *
 * Read first: spec "AnyConnect", sections 7.8 (points 3 to 5) and 7.10; GatewayDatagramChannel for one association.
 *
 *   arriving: a new flow that has not said anything yet: a hello makes it `next`, a record of `current` from another address replaces its path
 *   next:     an association that shakes hands; it becomes `current` when the client has proved that it reads it
 *   current:  the association in use
 *   previous: the one from before, for what was under way; it receives only
 *
 *   inactive ── anything authentic by UDP ──► active ── a packet by the stream, or silence ──► inactive
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import { equalInConstantTime } from '../../crypto/constant-time.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { associationId, readFirstHello } from '../../dtls/first-hello.ts';
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Path, PathNotice, PathStatus, TunnelSink } from '../../tunnel/machine.ts';
import { type Flow, MovingFlow } from '../../tunnel/moving-flow.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { DatagramParameters } from './connect-response.ts';
import { LINGER_PERIOD } from './datagram-association.ts';
import { GatewayDatagramChannel, type GatewayDatagramOptions } from './gateway-datagram-channel.ts';

/** Spec 7.8: a client's hello is not to make the gateway start again and again. */
const HELLO_INTERVAL: Millis = 3_000;

export interface GatewayDatagramSideOptions
  extends Pick<GatewayDatagramOptions, 'exportedKey' | 'masterSecret' | 'pskSuites' | 'admits' | 'sources' | 'mtu' | 'maxDatagram'> {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly parameters: DatagramParameters;
  readonly compressor: () => PacketCompressor | undefined;
  /** Without anything by UDP for this long packets go by the stream, so that a client behind a forgetful NAT hears of us. Undefined: never. */
  readonly switchToStreamAfter?: Millis;
}

interface Association {
  path: Path;
  readonly channel: GatewayDatagramChannel;
  readonly since: Millis;
}

export class GatewayDatagramSide {
  readonly #options: GatewayDatagramSideOptions;
  readonly #flows = new MovingFlow<Association>();
  #next: Association | undefined;
  #current: Association | undefined;
  #previous: Association | undefined;
  #previousUntil: Millis = 0;
  #isActive = false;
  #heardAt: Millis = 0;
  /** When the client last sent a packet by the stream. */
  #streamAt: Millis = 0;

  constructor(options: GatewayDatagramSideOptions) {
    this.#options = options;
  }

  /** The path that packets leave by; undefined while they leave by the stream. */
  get path(): Path | undefined {
    const current = this.#current;
    return current === undefined || !this.#isActive || current.channel.isDoubted ? undefined : current.path;
  }

  /** A new flow, of which nothing is known but that it may be this client's. */
  opened(path: Path, engine: boolean, out: TunnelSink): void {
    this.#flows.opened({ path, engine }, out);
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const association = this.#of(path);
    if (association === undefined) {
      const arriving = this.#flows.take(path);
      if (arriving !== undefined) this.#arrived(arriving, bytes, now, out);
    } else if (association.channel.receive(bytes, now, out.on(path))) {
      this.#heard(now);
    }
  }

  /**
   * The client sent a packet by the stream: so it does not trust UDP now. Spec 7.10 has ocserv wait for 15 seconds without UDP where the packet was
   * compressed. Ours does not: a client that hears nothing goes on asking by UDP, and what it is answered with there would be lost.
   */
  heardOnStream(now: Millis): void {
    this.#isActive = false;
    this.#streamAt = now;
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const current = this.#current;
    if (current === undefined || !this.#isActive || current.channel.isDoubted) return false;
    if (packet.end - packet.start > current.channel.mtu) return false;
    current.channel.send(packet, now, out.on(current.path));
    return true;
  }

  lost(path: Path, why: SallyportError): void {
    this.#flows.lost(path);
    if (path === this.#previous?.path) this.#previous = undefined;
    if (path === this.#next?.path) this.#next = undefined;
    if (path !== this.#current?.path) return;
    this.#current = undefined;
    this.#options.log.log('info', 'datagram down', { reason: why.message });
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (notice.type === 'moved') this.#moved(path, now, out);
    const association = this.#of(path);
    association?.channel.notice(notice, now);
    if (notice.type === 'carried' && association !== undefined && notice.heardAt > this.#heardAt) this.#heard(notice.heardAt);
  }

  nextTimeout(): Millis | undefined {
    const { switchToStreamAfter } = this.#options;
    const due = Math.min(
      this.#current?.channel.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#next?.channel.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#previous === undefined ? Number.POSITIVE_INFINITY : this.#previousUntil,
      this.#isActive && switchToStreamAfter !== undefined ? this.#heardAt + switchToStreamAfter : Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const { switchToStreamAfter } = this.#options;
    if (switchToStreamAfter !== undefined && now >= this.#heardAt + switchToStreamAfter) this.#isActive = false;
    if (this.#previous !== undefined && now >= this.#previousUntil) this.#dropPrevious(now, out);
    for (const association of [this.#current, this.#next]) association?.channel.handleTimeout(now, out.on(association.path));
  }

  /** To be called after everything else: draws the conclusions. */
  settle(now: Millis, out: TunnelSink): void {
    if (this.#previous?.channel.phase === 'failed') this.#dropPrevious(now, out);
    if (this.#next?.channel.phase === 'failed') this.#dropNext(now, out);
    if (this.#current?.channel.phase === 'failed') {
      this.#options.log.log('info', 'datagram down', { reason: this.#current.channel.failure?.message });
      this.#drop(this.#current, now, out);
      this.#current = undefined;
    }
    if (this.#next?.channel.phase === 'ready') this.#takeOver(this.#next, now, out);
    if (this.#current !== undefined) this.#handOver(this.#current, now, out);
  }

  /** What the engine has to know. */
  #handOver({ path, channel }: Association, now: Millis, out: TunnelSink): void {
    const traffic = channel.handOver(now);
    if (traffic !== undefined) out.event({ type: 'traffic', path, traffic });
    const mtu = channel.takeNewMtu();
    if (mtu !== undefined) out.event({ type: 'tunnel-mtu', path, mtu });
  }

  close(now: Millis, out: TunnelSink): void {
    for (const association of [this.#previous, this.#current, this.#next]) association?.channel.close(now, out.on(association.path));
    this.#previous = undefined;
    this.#current = undefined;
    this.#next = undefined;
    this.#flows.drop(out);
    this.#options.exportedKey.fill(0);
    this.#options.masterSecret.fill(0);
  }

  status(): PathStatus {
    if (this.#current !== undefined) return { state: 'established', ...this.#current.channel.status };
    return { state: this.#next === undefined ? 'down' : 'connecting' };
  }

  #of(path: Path): Association | undefined {
    if (path === this.#current?.path) return this.#current;
    if (path === this.#next?.path) return this.#next;
    return path === this.#previous?.path ? this.#previous : undefined;
  }

  #heard(at: Millis): void {
    this.#heardAt = at;
    if (at >= this.#streamAt) this.#isActive = true;
  }

  /** The first datagram of a new flow says what it is. */
  #arrived(arriving: Flow, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (!this.#isOurHello(bytes)) this.#move(arriving, bytes, now, out);
    else if (!this.#begin(arriving, bytes, now, out)) out.event({ type: 'drop', path: arriving.path });
  }

  #isOurHello(bytes: Uint8Array): boolean {
    const hello = readFirstHello(bytes);
    const { association } = this.#options.parameters;
    const id = association.mode === 'psk' ? association.appId : association.sessionId;
    return hello !== undefined && equalInConstantTime(associationId(hello), id);
  }

  /** A second association beside the first, which works on until this one is ready. */
  #begin({ path, engine }: Flow, hello: Uint8Array, now: Millis, out: TunnelSink): boolean {
    if (this.#next !== undefined && now < this.#next.since + HELLO_INTERVAL) return false;
    this.#dropNext(now, out);
    const { parameters, compressor, ...options } = this.#options;
    const { association, times } = parameters;
    const channel = new GatewayDatagramChannel({ ...options, association, times, engine, compressor: compressor() }, now);
    this.#next = { path, channel, since: now };
    channel.receive(hello, now, out.on(path));
    return true;
  }

  /** The client's address has changed, or a NAT's idea of it: what opens under the keys in use is the client's. */
  #move(arriving: Flow, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const current = this.#current;
    const { path } = arriving;
    const of = current && {
      ...{ owner: current, path: current.path, isHandedOver: current.channel.isHandedOver },
      receive: () => current.channel.receive(bytes, now, out.on(path)),
    };
    if (this.#flows.admit(arriving, bytes, of, out) && current !== undefined) this.#follow(current, path, now, out);
  }

  /** The engine has found that it does. */
  #moved(path: Path, now: Millis, out: TunnelSink): void {
    const { owner } = this.#flows.moved(path) ?? {};
    if (owner === undefined) return;
    // Meanwhile a new one may have taken its place, which it then lingers behind.
    if (owner === this.#current || owner === this.#previous) this.#follow(owner, path, now, out);
    else out.event({ type: 'drop', path });
  }

  #follow(association: Association, path: Path, now: Millis, out: TunnelSink): void {
    this.#options.log.log('info', 'datagram moved');
    out.event({ type: 'drop', path: association.path });
    association.path = path;
    this.#heard(now);
  }

  #takeOver(next: Association, now: Millis, out: TunnelSink): void {
    this.#dropPrevious(now, out);
    this.#previous = this.#current;
    this.#previousUntil = now + LINGER_PERIOD;
    this.#current = next;
    this.#next = undefined;
    this.#heard(now);
    this.#options.log.log('info', 'datagram up', { mtu: next.channel.mtu, cipherSuite: next.channel.status.cipherSuite });
  }

  #dropNext(now: Millis, out: TunnelSink): void {
    this.#drop(this.#next, now, out);
    this.#next = undefined;
  }

  #dropPrevious(now: Millis, out: TunnelSink): void {
    this.#drop(this.#previous, now, out);
    this.#previous = undefined;
  }

  #drop(association: Association | undefined, now: Millis, out: TunnelSink): void {
    if (association === undefined) return;
    association.channel.close(now, out.on(association.path));
    out.event({ type: 'drop', path: association.path });
  }
}
