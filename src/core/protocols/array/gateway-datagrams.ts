/**
 * The gateway's side of the tunnel by UDP: which association is the client's, and whether packets leave by it.
 *
 * Read first: spec "Array", sections 6.3, 6.4 and 10; `datagram-channel.ts`.
 *
 * A flow that comes without an association may be this one's, whose port a NAT has changed: what opens under its keys, and was not seen before, says so.
 *
 *   none ── an association that has said the client's id ──► used ── type 5, its end, another one, silence ──► none
 */
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../../tunnel/machine.ts';
import { type Flow, MovingFlow } from '../../tunnel/moving-flow.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { SourceFilter } from '../../tunnel/source-filter.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { DatagramChannel } from './datagram-channel.ts';

export interface GatewayDatagramsOptions {
  readonly log: Logger;
  /** Where the client's packets may come from. */
  readonly innerSources: readonly Cidr[];
  /** The largest outer IP packet. */
  readonly linkMtu: number;
  /** Nothing heard by UDP for so long, and packets go by the stream until something is. Default: never. */
  readonly switchToStreamAfter?: Millis;
}

interface Association {
  readonly channel: DatagramChannel;
  flow: Flow;
}

export class GatewayDatagrams {
  readonly #options: GatewayDatagramsOptions;
  #current: Association | undefined;
  /** They may be {@link #current}'s. */
  readonly #flows = new MovingFlow<undefined>();
  #heardAt: Millis = 0;
  /** Packets leave by it. */
  #isActive = false;

  constructor(options: GatewayDatagramsOptions) {
    this.#options = options;
  }

  /** The path that packets leave by; undefined while they leave by the stream. */
  get path(): Path | undefined {
    return this.#isActive ? this.#current?.flow.path : undefined;
  }

  /** The newest association is the client's: it has just said the id (spec 10). */
  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const { log, innerSources, linkMtu } = this.#options;
    const { dtls, remote, engine, pathMtu = linkMtu } = facts;
    const filter = new SourceFilter(innerSources);
    if (dtls === undefined) {
      this.#flows.opened({ path, engine }, out);
      return;
    }
    if (this.#current !== undefined) log.log('info', 'datagram replaced');
    this.drop(now, out);
    const channel = new DatagramChannel({
      dtls,
      dpd: 0,
      facts: { remote, pathMtu: Math.min(pathMtu, linkMtu) },
      admits: (packet) => filter.allows(packet),
    });
    this.#current = { channel, flow: { path, engine } };
    this.#heard(now);
    channel.accept(now, out.on(path));
    log.log('info', 'datagram up', channel.status);
    this.#handOver(this.#current, out);
  }

  /** True if it came from the client. */
  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): boolean {
    const current = this.#current;
    const arriving = this.#flows.take(path);
    if (arriving !== undefined) return this.#arrived(arriving, bytes, now, out);
    const isOurs = path === current?.flow.path || path === this.#flows.moving;
    return isOurs && current !== undefined && this.#receive(current, path, bytes, now, out);
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const current = this.#isActive ? this.#current : undefined;
    return current?.channel.send(packet, now, out.on(current.flow.path)) === true;
  }

  lost(path: Path, why: SallyportError, out: TunnelSink): void {
    this.#flows.lost(path);
    if (path !== this.#current?.flow.path) return;
    this.#current = undefined;
    this.#forget(out); // where it was to move to, too
    this.#options.log.log('info', 'datagram down', { reason: why.message });
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const current = this.#current;
    const moved = notice.type === 'moved' ? this.#flows.moved(path) : undefined;
    if (current !== undefined && moved !== undefined) this.#follow(current, moved.flow, now, out);
    if (path !== current?.flow.path) return;
    current.channel.notice(notice);
    if (notice.type === 'carried' && notice.heardAt > this.#heardAt) this.#heard(notice.heardAt);
    this.#handOver(current, out);
  }

  nextTimeout(): Millis | undefined {
    const { switchToStreamAfter } = this.#options;
    return this.#isActive && switchToStreamAfter !== undefined ? this.#heardAt + switchToStreamAfter : undefined;
  }

  handleTimeout(now: Millis): void {
    const due = this.nextTimeout();
    if (due !== undefined && now >= due) this.#isActive = false;
  }

  /** The association is of no use any more, and its client knows. */
  drop(now: Millis, out: TunnelSink): void {
    const current = this.#current;
    if (current === undefined) return;
    current.channel.close(now, out.on(current.flow.path));
    this.#forget(out);
  }

  status(): PathStatus {
    return this.#current === undefined ? { state: 'down' } : { state: 'established', ...this.#current.channel.status };
  }

  /** What the engine has to know. */
  #handOver({ channel, flow: { path, engine } }: Association, out: TunnelSink): void {
    const traffic = engine ? channel.handOver(this.#options.innerSources) : undefined;
    if (traffic !== undefined) out.event({ type: 'traffic', path, traffic });
    const mtu = channel.takeNewMtu();
    if (mtu !== undefined) out.event({ type: 'tunnel-mtu', path, mtu });
  }

  #heard(now: Millis): void {
    this.#heardAt = now;
    this.#isActive = true;
  }

  /** The first datagram of a flow: it is the client's, or nobody's. */
  #arrived(arriving: Flow, bytes: Uint8Array, now: Millis, out: TunnelSink): boolean {
    const current = this.#current;
    const { path } = arriving;
    const of = current && {
      ...{ owner: undefined, path: current.flow.path, isHandedOver: current.channel.isHandedOver },
      receive: () => this.#receive(current, path, bytes, now, out),
    };
    const isTold = this.#flows.admit(arriving, bytes, of, out);
    if (!isTold || current === undefined) return false;
    if (this.#current === current) this.#follow(current, arriving, now, out);
    else out.event({ type: 'drop', path }); // it has said that it is over
    return true;
  }

  /** True if it came from the client. */
  #receive({ channel }: Association, path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): boolean {
    const isHeard = channel.receive(bytes, now, out.on(path));
    if (isHeard) this.#heard(now);
    if (channel.phase === 'over') {
      this.#options.log.log('info', 'datagram down', { reason: channel.failure.message });
      this.#forget(out);
    }
    return isHeard;
  }

  #follow(association: Association, flow: Flow, now: Millis, out: TunnelSink): void {
    this.#options.log.log('info', 'datagram moved');
    out.event({ type: 'drop', path: association.flow.path });
    association.flow = flow;
    this.#heard(now);
  }

  #forget(out: TunnelSink): void {
    if (this.#current !== undefined) out.event({ type: 'drop', path: this.#current.flow.path });
    this.#flows.dropMoving(out);
    this.#current = undefined;
    this.#isActive = false;
  }
}
