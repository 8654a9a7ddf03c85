/**
 * The datagram side of a tunnel: which association carries data, when one is tried, and what takes over when its keys are to change.
 *
 * Read first: spec "AnyConnect", section 7.9; DataPath for the schedule; DatagramChannel for one association.
 *
 *   current: the association in use, or the one being tried
 *   next:    during a rekey, the one that takes over once it is ready
 */
import type { CompressionName, PacketCompressor } from '../../compress/compressor.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { ERR_DTLS_NOT_RESUMED } from '../../dtls/client-handshake.ts';
import type { DtlsSession } from '../../dtls/state.ts';
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { ATTEMPT_LIMIT, DataPath } from '../../tunnel/data-path.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { DatagramParameters } from './connect-response.ts';
import { DatagramChannel } from './datagram-channel.ts';
import type { DatagramWishes } from './tunnel-options.ts';

export interface DatagramSideOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  /** What was asked for; undefined: no datagram channel is wanted. */
  readonly datagram?: DatagramWishes;
  /** What the gateway offers; undefined: nothing. */
  readonly parameters: DatagramParameters | undefined;
  readonly compressor: (name: CompressionName | undefined) => PacketCompressor | undefined;
  readonly exportedKey: Uint8Array;
  readonly masterSecret: Uint8Array;
  readonly baseMtu: number;
  readonly hasIpv6: boolean;
  readonly now: Millis;
}

interface Association {
  readonly path: Path;
  readonly channel: DatagramChannel;
  /** The engine carries it. */
  isCarried: boolean;
}

export class DatagramSide {
  readonly #options: DatagramSideOptions;
  readonly #schedule = new DataPath();
  #current: Association | undefined;
  #next: Association | undefined;
  /** Since when a `next` is being made; undefined: no rekey is under way. */
  #rekeyingSince: Millis | undefined;
  #hasFailed = false;

  constructor(options: DatagramSideOptions) {
    this.#options = options;
    if (options.datagram !== undefined && options.parameters !== undefined) this.#schedule.offered(options.now);
  }

  /** The path that carries data; undefined while there is none. */
  get path(): Path | undefined {
    return this.#isProven ? this.#current?.path : undefined;
  }

  /** The largest packet that path carries. */
  get mtu(): number | undefined {
    return this.#isProven ? this.#current?.channel.mtu : undefined;
  }

  /** The first attempt has neither succeeded nor failed: worth waiting for. */
  get isFirstAttempt(): boolean {
    return !this.#hasFailed && this.#schedule.state.name !== 'disabled';
  }

  get #isProven(): boolean {
    return this.#schedule.state.name === 'proven';
  }

  opened(path: Path, facts: PathFacts, mtu: number, now: Millis, out: TunnelSink): void {
    const { parameters } = this.#options;
    const isRekey = this.#rekeyingSince !== undefined && this.#next === undefined;
    const isTry = this.#schedule.state.name === 'trying' && this.#current === undefined;
    if (parameters === undefined || !(isRekey || isTry)) {
      out.event({ type: 'drop', path }); // asked for in another time
      return;
    }
    const { crypto, datagram, exportedKey, masterSecret, baseMtu, hasIpv6 } = this.#options;
    const { association, times, compression } = parameters;
    const compressor = this.#options.compressor(compression);
    const pskSuites = datagram?.pskSuites;
    const channel = new DatagramChannel({
      ...{ crypto, association, exportedKey, masterSecret, pskSuites, times, compressor, facts, mtu, baseMtu, hasIpv6 },
    });
    const made = { path, channel, isCarried: false };
    if (isRekey) this.#next = made;
    else this.#current = made;
    channel.handleTimeout(now, out.on(path)); // the first hello
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    this.#of(path)?.channel.receive(bytes, now, out.on(path));
  }

  /** False: it is for the stream, as there is no association or the packet is larger than its path carries. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const current = this.#current;
    if (current === undefined || !this.#isProven || packet.end - packet.start > current.channel.mtu) return false;
    current.channel.send(packet, now, out.on(current.path));
    return true;
  }

  /** A path is gone, or the one that was asked for could not be opened. */
  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    if (path === this.#current?.path) this.#current = undefined;
    if (path === this.#next?.path) this.#next = undefined;
    this.#fail(why.message, now, out);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    this.#of(path)?.channel.notice(notice, now);
    if (notice.type === 'keys-used-up' && path === this.#current?.path) this.#rekey(now, out);
  }

  nextTimeout(): Millis | undefined {
    const times = [
      this.#schedule.nextTimeout(),
      this.#current?.channel.nextTimeout(),
      this.#next?.channel.nextTimeout(),
      this.#rekeyingSince === undefined ? undefined : this.#rekeyingSince + ATTEMPT_LIMIT,
    ].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const action = this.#schedule.handleTimeout(now);
    if (action === 'try') this.#openPath(out);
    else if (action === 'give-up') this.#fail('no answer', now, out);
    if (this.#rekeyingSince !== undefined && now >= this.#rekeyingSince + ATTEMPT_LIMIT) this.#fail('no answer to new keys', now, out);
    const current = this.#current;
    if (current?.channel.handleTimeout(now, out.on(current.path)) === 'rekey') this.#rekey(now, out);
    const next = this.#next;
    next?.channel.handleTimeout(now, out.on(next.path));
  }

  /** To be called after everything else: draws the conclusions. */
  settle(now: Millis, out: TunnelSink): void {
    const failed = [this.#current, this.#next].find((association) => association?.channel.phase === 'failed');
    if (failed !== undefined) this.#failed(failed.channel.failure, now, out);
    if (this.#next?.channel.phase === 'ready') this.#takeOver(this.#next, now, out);
    const current = this.#current;
    if (current?.channel.phase !== 'ready') return;
    if (this.#schedule.state.name === 'trying') this.#prove(current);
    const traffic = current.isCarried ? undefined : current.channel.handOver();
    if (traffic === undefined) return;
    current.isCarried = true;
    out.event({ type: 'traffic', path: current.path, traffic });
  }

  close(now: Millis, out: TunnelSink): void {
    for (const association of [this.#current, this.#next]) association?.channel.close(now, out.on(association.path));
    this.#current = undefined;
    this.#next = undefined;
    this.#schedule.disable();
  }

  status(): PathStatus {
    const current = this.#current;
    const { name } = this.#schedule.state;
    const session = current?.channel.session;
    const state = ({ disabled: 'disabled', resting: 'down', trying: 'connecting', proven: 'established' } as const)[name];
    if (current === undefined) return { state };
    const { compressor, rekeyAt } = current.channel;
    return {
      state,
      ...(session !== undefined && { cipherSuite: suiteText(session) }),
      ...(compressor !== undefined && { compression: compressor.name }),
      ...(rekeyAt !== undefined && { rekeyAt }),
    };
  }

  #of(path: Path): Association | undefined {
    return [this.#current, this.#next].find((association) => association?.path === path);
  }

  #openPath(out: TunnelSink): void {
    const { parameters } = this.#options;
    if (parameters !== undefined) out.event({ type: 'open', plan: { to: 'udp', port: parameters.port } });
  }

  /** New keys by a new association beside the current one, which carries data meanwhile: nothing is lost in between. */
  #rekey(now: Millis, out: TunnelSink): void {
    if (this.#rekeyingSince !== undefined) return;
    this.#options.log.log('info', 'datagram rekey');
    this.#rekeyingSince = now;
    this.#openPath(out);
  }

  #takeOver(next: Association, now: Millis, out: TunnelSink): void {
    this.#drop(this.#current, now, out);
    this.#current = next;
    this.#next = undefined;
    this.#rekeyingSince = undefined;
  }

  #prove(current: Association): void {
    const { session, mtu } = current.channel;
    this.#schedule.proven();
    this.#options.log.log('info', 'datagram up', { mtu, ...(session !== undefined && { cipherSuite: suiteText(session) }) });
  }

  #failed(error: SallyportError, now: Millis, out: TunnelSink): void {
    this.#fail(error.message, now, out);
    if (error.code !== ERR_DTLS_NOT_RESUMED) return;
    // Spec 7.4: someone may stand between us and the gateway. The stream cannot be tampered with, so all goes there.
    this.#options.log.log('error', 'datagram disabled', { reason: error.message });
    this.#schedule.disable();
  }

  /** Whatever there is is given up; {@link DataPath} says when it is tried again. */
  #fail(reason: string, now: Millis, out: TunnelSink): void {
    this.#options.log.log(this.#isProven ? 'warn' : 'info', 'datagram down', { reason });
    this.#drop(this.#current, now, out);
    this.#drop(this.#next, now, out);
    this.#current = undefined;
    this.#next = undefined;
    this.#rekeyingSince = undefined;
    this.#hasFailed = true;
    this.#schedule.lost(now);
  }

  #drop(association: Association | undefined, now: Millis, out: TunnelSink): void {
    if (association === undefined) return;
    association.channel.close(now, out.on(association.path));
    out.event({ type: 'drop', path: association.path });
  }
}

/** `DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384`. */
function suiteText({ version, suite }: DtlsSession): string {
  return `DTLSv${version}-${suite.name}`;
}
