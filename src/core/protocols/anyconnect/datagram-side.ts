/**
 * The client's datagram side: which association carries data, when one is tried, and what takes over when its keys are to change.
 *
 * Read first: spec "AnyConnect", section 7.9; DataPath for the schedule; DatagramChannel for one association.
 *
 *   current:  the association in use, or the one being tried
 *   next:     during a rekey, the one that takes over once the gateway has proved that it reads it
 *   previous: after a rekey, the one from before, for what was under way; it receives only
 */
import type { CompressionName, PacketCompressor } from '../../compress/compressor.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { ERR_DTLS_NOT_RESUMED } from '../../dtls/client-handshake.ts';
import { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { ATTEMPT_LIMIT, DataPath } from '../../tunnel/data-path.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { DatagramParameters } from './connect-response.ts';
import { LINGER_PERIOD } from './datagram-association.ts';
import { DatagramChannel, ERR_DATAGRAM_MTU } from './datagram-channel.ts';
import type { DatagramWishes } from './tunnel-options.ts';

export interface DatagramSideOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  /** What was asked for; undefined: no datagram channel is wanted. */
  readonly datagram?: DatagramWishes;
  /** What the gateway offers; undefined: nothing. */
  readonly parameters: DatagramParameters | undefined;
  readonly compressor: (name: CompressionName | undefined) => PacketCompressor | undefined;
  /** Wiped when the side is closed, like {@link masterSecret}. */
  readonly exportedKey: Uint8Array;
  readonly masterSecret: Uint8Array;
  readonly baseMtu: number;
  readonly hasIpv6: boolean;
  readonly now: Millis;
}

interface Association {
  readonly path: Path;
  readonly channel: DatagramChannel;
}

/**
 * Errors that no other attempt can mend (spec 7.9: disabled). Not resumed (spec 7.4): someone may stand between us and the gateway; the stream
 * cannot be tampered with, so all goes there.
 */
const FINAL_CODES: readonly string[] = [ERR_DTLS_NOT_RESUMED, ERR_DATAGRAM_MTU];

export class DatagramSide {
  readonly #options: DatagramSideOptions;
  readonly #schedule = new DataPath();
  #current: Association | undefined;
  #next: Association | undefined;
  #previous: Association | undefined;
  #previousUntil: Millis = 0;
  /** Since when a `next` is being made; undefined: no rekey is under way. */
  #rekeyingSince: Millis | undefined;
  #hasFailed = false;

  constructor(options: DatagramSideOptions) {
    this.#options = options;
    if (options.datagram !== undefined && options.parameters !== undefined) this.#schedule.offered(options.now);
  }

  /** The path that carries data; undefined while there is none, or while nothing comes back on it. */
  get path(): Path | undefined {
    const proven = this.#proven;
    return proven === undefined || proven.channel.isDoubted ? undefined : proven.path;
  }

  /** The largest packet that the proven path carries. */
  get mtu(): number | undefined {
    return this.#proven?.channel.mtu;
  }

  /** The first attempt has neither succeeded nor failed: worth waiting for. */
  get isFirstAttempt(): boolean {
    return !this.#hasFailed && this.#schedule.state.name !== 'disabled';
  }

  /** DTLS is up, and what its path carries is about to be known. */
  get isProving(): boolean {
    return this.#current?.channel.phase === 'proving';
  }

  get #proven(): Association | undefined {
    return this.#schedule.state.name === 'proven' ? this.#current : undefined;
  }

  /** For a path that has been asked for: what it is to be. */
  get #awaited(): 'current' | 'next' | undefined {
    if (this.#rekeyingSince !== undefined && this.#next === undefined) return 'next';
    return this.#schedule.state.name === 'trying' && this.#current === undefined ? 'current' : undefined;
  }

  opened(path: Path, facts: PathFacts, mtu: number, now: Millis, out: TunnelSink): void {
    const awaited = this.#awaited;
    const { parameters } = this.#options;
    if (awaited === undefined || parameters === undefined) {
      out.event({ type: 'drop', path }); // asked for in another time
      return;
    }
    const channel = this.#newChannel(parameters, facts, mtu, now, out);
    if (channel === undefined) {
      out.event({ type: 'drop', path });
      return;
    }
    if (awaited === 'next') this.#next = { path, channel };
    else this.#current = { path, channel };
    channel.handleTimeout(now, out.on(path)); // the first hello
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    this.#of(path)?.channel.receive(bytes, now, out.on(path));
  }

  /** False: it is for the stream, as there is no association to trust or the packet is larger than its path carries. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const proven = this.#proven;
    if (proven === undefined || proven.channel.isDoubted || packet.end - packet.start > proven.channel.mtu) return false;
    proven.channel.send(packet, now, out.on(proven.path));
    return true;
  }

  /** A path is gone, or the one that was asked for could not be opened. */
  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    if (path === this.#previous?.path) {
      this.#previous = undefined;
      return;
    }
    if (this.#of(path) === undefined && this.#awaited === undefined) return; // dropped before
    if (path === this.#current?.path) this.#current = undefined;
    if (path === this.#next?.path) this.#next = undefined;
    this.#fail(why.message, now, out);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    this.#of(path)?.channel.notice(notice, now);
    if (notice.type === 'keys-used-up' && path === this.#current?.path) this.#rekey(now, out);
  }

  nextTimeout(): Millis | undefined {
    const due = Math.min(
      this.#schedule.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#current?.channel.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#next?.channel.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#previous === undefined ? Number.POSITIVE_INFINITY : this.#previousUntil,
      this.#rekeyingSince === undefined ? Number.POSITIVE_INFINITY : this.#rekeyingSince + ATTEMPT_LIMIT,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const action = this.#schedule.handleTimeout(now);
    if (action === 'try') this.#openPath(out);
    else if (action === 'give-up') this.#fail('no answer', now, out);
    if (this.#rekeyingSince !== undefined && now >= this.#rekeyingSince + ATTEMPT_LIMIT) this.#fail('no answer to new keys', now, out);
    if (this.#previous !== undefined && now >= this.#previousUntil) this.#dropPrevious(now, out);
    const current = this.#current;
    if (current?.channel.handleTimeout(now, out.on(current.path)) === 'rekey') this.#rekey(now, out);
    const next = this.#next;
    next?.channel.handleTimeout(now, out.on(next.path));
  }

  /** To be called after everything else: draws the conclusions. */
  settle(now: Millis, out: TunnelSink): void {
    if (this.#previous?.channel.phase === 'failed') this.#dropPrevious(now, out);
    if (this.#current?.channel.phase === 'failed') this.#failed(this.#current.channel.failure, now, out);
    if (this.#next?.channel.phase === 'failed') this.#failed(this.#next.channel.failure, now, out);
    if (this.#next?.channel.isConfirmed === true) this.#takeOver(this.#next, now, out);
    const current = this.#current;
    if (current?.channel.phase !== 'ready') return;
    if (this.#schedule.state.name === 'trying') this.#prove(current);
    const traffic = current.channel.handOver(now);
    if (traffic !== undefined) out.event({ type: 'traffic', path: current.path, traffic });
  }

  close(now: Millis, out: TunnelSink): void {
    for (const association of [this.#previous, this.#current, this.#next]) association?.channel.close(now, out.on(association.path));
    this.#previous = undefined;
    this.#current = undefined;
    this.#next = undefined;
    this.#rekeyingSince = undefined;
    this.#schedule.disable();
    this.#options.exportedKey.fill(0);
    this.#options.masterSecret.fill(0);
  }

  status(): PathStatus {
    const state = ({ disabled: 'disabled', resting: 'down', trying: 'connecting', proven: 'established' } as const)[
      this.#schedule.state.name
    ];
    return { state, ...this.#current?.channel.status };
  }

  #of(path: Path): Association | undefined {
    if (path === this.#current?.path) return this.#current;
    if (path === this.#next?.path) return this.#next;
    return path === this.#previous?.path ? this.#previous : undefined;
  }

  #openPath(out: TunnelSink): void {
    const { parameters } = this.#options;
    if (parameters !== undefined) out.event({ type: 'open', plan: { to: 'udp', port: parameters.port } });
  }

  /** Undefined, and the end of all attempts, where none can be made of what user and gateway want. */
  #newChannel(parameters: DatagramParameters, facts: PathFacts, mtu: number, now: Millis, out: TunnelSink): DatagramChannel | undefined {
    const { crypto, datagram, exportedKey, masterSecret, baseMtu, hasIpv6 } = this.#options;
    const { association, times, compression } = parameters;
    const compressor = this.#options.compressor(compression);
    const pskSuites = datagram?.pskSuites;
    try {
      return new DatagramChannel({
        ...{ crypto, association, exportedKey, masterSecret, pskSuites, times, compressor, facts, mtu, baseMtu, hasIpv6 },
      });
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#fail(error.message, now, out);
      this.#disable(error.message);
      return undefined;
    }
  }

  /** The stream has new keys: so shall this channel, unless the gateway has said when (spec 9.4). */
  streamRekeyed(now: Millis, out: TunnelSink): void {
    if ((this.#options.parameters?.times.rekey ?? 0) === 0) this.#rekey(now, out);
  }

  /** New keys by a new association beside the current one, which carries data meanwhile: nothing is lost in between. */
  #rekey(now: Millis, out: TunnelSink): void {
    if (this.#rekeyingSince !== undefined || this.#proven === undefined) return;
    this.#options.log.log('info', 'datagram rekey');
    this.#rekeyingSince = now;
    this.#openPath(out);
  }

  /** Its search for the MTU goes on: the path is the same, so what was found before holds until then. */
  #takeOver(next: Association, now: Millis, out: TunnelSink): void {
    this.#dropPrevious(now, out);
    this.#previous = this.#current;
    this.#previousUntil = now + LINGER_PERIOD;
    this.#current = next;
    this.#next = undefined;
    this.#rekeyingSince = undefined;
  }

  #prove(current: Association): void {
    const { status, mtu } = current.channel;
    this.#schedule.proven();
    this.#options.log.log('info', 'datagram up', { mtu, cipherSuite: status.cipherSuite });
  }

  #failed(error: SallyportError, now: Millis, out: TunnelSink): void {
    this.#fail(error.message, now, out);
    if (FINAL_CODES.includes(error.code)) this.#disable(error.message);
  }

  #disable(reason: string): void {
    this.#options.log.log('error', 'datagram disabled', { reason });
    this.#schedule.disable();
  }

  /** Whatever there is is given up; {@link DataPath} says when it is tried again. */
  #fail(reason: string, now: Millis, out: TunnelSink): void {
    this.#options.log.log(this.#proven === undefined ? 'info' : 'warn', 'datagram down', { reason });
    this.#drop(this.#current, now, out);
    this.#drop(this.#next, now, out);
    this.#current = undefined;
    this.#next = undefined;
    this.#rekeyingSince = undefined;
    this.#hasFailed = true;
    this.#schedule.lost(now);
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
