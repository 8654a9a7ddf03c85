/**
 * The client's side of the tunnel by UDP: when it is tried, used and given up.
 *
 * Read first: spec "Array", sections 6.1, 6.3, 6.4 and 9; `data-path.ts` for the schedule, `datagram-channel.ts` for one attempt.
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { ERR_DTLS_CERTIFICATE } from '../../dtls/certificate-exchange.ts';
import { DtlsClient } from '../../dtls/client.ts';
import type { CertificateOptions } from '../../dtls/credentials.ts';
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { DataPath } from '../../tunnel/data-path.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { DatagramChannel } from './datagram-channel.ts';
import { renderHello } from './speed-tunnel.ts';

export interface DatagramWishes {
  readonly crypto: CryptoProvider;
  readonly clientId: string;
  /** Whom we believe to be the gateway. */
  readonly credentials: CertificateOptions;
  /** The link MTU that the user says. */
  readonly linkMtu?: number;
}

export interface ClientDatagramsOptions extends DatagramWishes {
  readonly log: Logger;
  /** Silence after which the gateway is asked. */
  readonly dpd: Millis;
  /** Told by the gateway. */
  readonly port: number;
}

interface Association {
  readonly path: Path;
  readonly channel: DatagramChannel;
  /** The engine can carry it. */
  readonly engine: boolean;
}

export class ClientDatagrams {
  readonly #options: ClientDatagramsOptions;
  readonly #schedule = new DataPath();
  #current: Association | undefined;
  #isGone = false;

  /** The first attempt is due at once. */
  constructor(options: ClientDatagramsOptions, now: Millis) {
    this.#options = options;
    this.#schedule.offered(now);
  }

  /** The path that packets leave by; undefined while they leave by the stream. */
  get path(): Path | undefined {
    return this.#schedule.state.name === 'proven' ? this.#current?.path : undefined;
  }

  /** True once for each association of which the gateway may believe that it is used: it is to be told by the stream that it is not. */
  takeGone(): boolean {
    const isGone = this.#isGone;
    this.#isGone = false;
    return isGone;
  }

  opened(path: Path, { remote, pathMtu, engine }: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#schedule.state.name !== 'trying' || this.#current !== undefined) {
      out.event({ type: 'drop', path }); // asked for in another time
      return;
    }
    const { crypto, credentials, clientId, dpd, linkMtu = pathMtu } = this.#options;
    // Appliances have nothing newer (spec 6.2).
    const dtls = new DtlsClient({ crypto, version: '1.0', credentials });
    const facts = { remote, ...(linkMtu !== undefined && { pathMtu: linkMtu }) };
    const channel = new DatagramChannel({ dtls, hello: renderHello(clientId), dpd, facts });
    this.#current = { path, channel, engine };
    channel.handleTimeout(now, out.on(path)); // the first hello
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (path === this.#current?.path) this.#current.channel.receive(bytes, now, out.on(path));
    this.#settle(now, out);
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const current = this.#current;
    return current?.channel.send(packet, now, out.on(current.path)) === true;
  }

  /** A path is gone, or the one that was asked for could not be opened. */
  lost(path: Path, why: SallyportError, now: Millis): void {
    const isAwaited = this.#schedule.state.name === 'trying' && this.#current === undefined;
    if (path !== this.#current?.path && !isAwaited) return;
    this.#isGone = this.#current?.channel.hasGreeted === true;
    this.#current = undefined;
    this.#fail(why, now);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (path === this.#current?.path) this.#current.channel.notice(notice);
    this.#settle(now, out);
  }

  nextTimeout(): Millis | undefined {
    const due = Math.min(
      this.#schedule.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#current?.channel.nextTimeout() ?? Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const { log, port } = this.#options;
    const action = this.#schedule.handleTimeout(now);
    if (action === 'try') {
      out.event({ type: 'open', plan: { to: 'udp', port } });
    } else if (action === 'give-up') {
      log.log('info', 'datagram down', { reason: 'no answer' });
      this.#drop(now, out);
    }
    const current = this.#current;
    current?.channel.handleTimeout(now, out.on(current.path));
    this.#settle(now, out);
  }

  close(now: Millis, out: TunnelSink): void {
    this.#drop(now, out);
    this.#schedule.disable();
  }

  status(): PathStatus {
    const state = ({ disabled: 'disabled', resting: 'down', trying: 'connecting', proven: 'established' } as const)[
      this.#schedule.state.name
    ];
    return { state, ...this.#current?.channel.status };
  }

  /** Draws the conclusions of what the channel has come to. */
  #settle(now: Millis, out: TunnelSink): void {
    const channel = this.#current?.channel;
    if (channel?.phase === 'over') {
      const { failure } = channel;
      this.#drop(now, out);
      this.#fail(failure, now);
    } else if (channel?.phase === 'up' && this.#schedule.state.name === 'trying') {
      this.#schedule.proven();
      this.#options.log.log('info', 'datagram up', channel.status);
    }
    if (this.#current !== undefined && this.path !== undefined) this.#handOver(this.#current, out);
  }

  /** What the engine has to know. */
  #handOver({ path, channel, engine }: Association, out: TunnelSink): void {
    const traffic = engine ? channel.handOver() : undefined;
    if (traffic !== undefined) out.event({ type: 'traffic', path, traffic });
    const mtu = channel.takeNewMtu();
    if (mtu !== undefined) out.event({ type: 'tunnel-mtu', path, mtu });
  }

  #fail({ message, code }: SallyportError, now: Millis): void {
    const { log } = this.#options;
    log.log(this.#schedule.state.name === 'proven' ? 'warn' : 'info', 'datagram down', { reason: message });
    this.#schedule.lost(now);
    // A certificate that is not the gateway's will be none the next time either.
    if (code !== ERR_DTLS_CERTIFICATE) return;
    log.log('error', 'datagram disabled', { reason: message });
    this.#schedule.disable();
  }

  #drop(now: Millis, out: TunnelSink): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    this.#isGone = current.channel.hasGreeted;
    current.channel.close(now, out.on(current.path));
    out.event({ type: 'drop', path: current.path });
  }
}
