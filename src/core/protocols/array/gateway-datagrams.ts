/**
 * The gateway's side of the tunnel by UDP: which association is the client's, and whether packets leave by it.
 *
 * Read first: spec "Array", sections 6.3, 6.4 and 10; `datagram-channel.ts`.
 *
 *   none ── an association that has said the client's id ──► used ── type 5, its end, another one, silence ──► none
 */
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../../tunnel/machine.ts';
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
  readonly path: Path;
  readonly channel: DatagramChannel;
  /** The engine can carry it. */
  readonly engine: boolean;
}

export class GatewayDatagrams {
  readonly #options: GatewayDatagramsOptions;
  #current: Association | undefined;
  #heardAt: Millis = 0;
  /** Packets leave by it. */
  #isActive = false;

  constructor(options: GatewayDatagramsOptions) {
    this.#options = options;
  }

  /** The path that packets leave by; undefined while they leave by the stream. */
  get path(): Path | undefined {
    return this.#isActive ? this.#current?.path : undefined;
  }

  /** Of flows that nobody has shaken hands on none is a client's. The newest association is: it has just said the id (spec 10). */
  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const { log, innerSources, linkMtu } = this.#options;
    const { dtls, remote, engine, pathMtu = linkMtu } = facts;
    const filter = new SourceFilter(innerSources);
    if (dtls === undefined) {
      out.event({ type: 'drop', path });
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
    this.#current = { path, channel, engine };
    this.#heard(now);
    channel.accept(now, out.on(path));
    log.log('info', 'datagram up', channel.status);
    this.#handOver(this.#current, out);
  }

  /** True if it came from the client. */
  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): boolean {
    const current = this.#current;
    if (path !== current?.path) return false;
    const isHeard = current.channel.receive(bytes, now, out.on(path));
    if (isHeard) this.#heard(now);
    if (current.channel.phase === 'over') this.#over(current, current.channel.failure, out);
    return isHeard;
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const current = this.#isActive ? this.#current : undefined;
    return current?.channel.send(packet, now, out.on(current.path)) === true;
  }

  lost(path: Path, why: SallyportError): void {
    if (path !== this.#current?.path) return;
    this.#current = undefined;
    this.#isActive = false;
    this.#options.log.log('info', 'datagram down', { reason: why.message });
  }

  notice(path: Path, notice: PathNotice, out: TunnelSink): void {
    const current = this.#current;
    if (path !== current?.path) return;
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
    current.channel.close(now, out.on(current.path));
    this.#forget(current, out);
  }

  status(): PathStatus {
    return this.#current === undefined ? { state: 'down' } : { state: 'established', ...this.#current.channel.status };
  }

  /** What the engine has to know. */
  #handOver({ path, channel, engine }: Association, out: TunnelSink): void {
    const traffic = engine ? channel.handOver(this.#options.innerSources) : undefined;
    if (traffic !== undefined) out.event({ type: 'traffic', path, traffic });
    const mtu = channel.takeNewMtu();
    if (mtu !== undefined) out.event({ type: 'tunnel-mtu', path, mtu });
  }

  #heard(now: Millis): void {
    this.#heardAt = now;
    this.#isActive = true;
  }

  #over(association: Association, { message }: SallyportError, out: TunnelSink): void {
    this.#options.log.log('info', 'datagram down', { reason: message });
    this.#forget(association, out);
  }

  #forget({ path }: Association, out: TunnelSink): void {
    this.#current = undefined;
    this.#isActive = false;
    out.event({ type: 'drop', path });
  }
}
