/**
 * The client's ESP: when a UDP flow is opened for it, and whether packets leave by it. What goes by the stream meanwhile is the vendor's machine's business.
 *
 * Read first: spec "ESP", sections 5.3 and 5.4; {@link DataPath} for the schedule, {@link EspChannel} for what is said on a flow.
 *
 *   a flow is opened ─► probes ── answered ──► up ── silence ──► another flow, under the same keys
 *                          └── not in time ──► rest
 *
 * A flow that the packet engine carries is kept until the next one can take its place: the engine alone knows the numbers that were used and seen, and so it
 * moves them to that one.
 */
import type { SallyportError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { DataPath } from '../tunnel/data-path.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { EspKeyPair } from './associations.ts';
import { EspChannel, type EspChannelOptions, goesByEsp } from './channel.ts';

/** While nobody answers they are said again: the flow may lose some, and peers answer each. */
const PROBE_INTERVAL: Millis = 3_000;

export interface EspClientSideOptions extends Omit<EspChannelOptions, 'innerSources'> {
  readonly log: Logger;
  /** Of the gateway. */
  readonly port: number;
  /** Default: that of the stream's peer. */
  readonly address?: IpAddress;
  /** In words, for people. */
  readonly cipherSuite: string;
}

export class EspClientSide {
  readonly #options: EspClientSideOptions;
  readonly #schedule = new DataPath();
  #channel: EspChannel;
  /** What the channel speaks on, or has spoken on while the engine has its keys. */
  #path: Path | undefined;
  /** The engine can carry {@link #path}. */
  #engine = false;
  /** Another one was asked for, and has not come, or the engine has not moved to it. */
  #isOpening = false;
  /** Where the engine is asked to move to. */
  #moving: Path | undefined;
  #probedAt: Millis = 0;
  /** Nothing can be sent under those that there are. */
  #needsKeys = false;
  /** As {@link settle} has last said it. */
  #wasUp = false;

  constructor(options: EspClientSideOptions, now: Millis) {
    this.#options = options;
    this.#channel = new EspChannel(options, now);
    this.#schedule.offered(now);
  }

  /** The path that packets leave by; undefined while they leave by the stream. */
  get path(): Path | undefined {
    return this.#schedule.state.name === 'proven' ? this.#path : undefined;
  }

  /** Whether a flow is this side's: one that it has asked for, or has. */
  isOurs(path: Path): boolean {
    return path === this.#path || path === this.#moving || (path.kind === 'datagram' && this.#isOpening);
  }

  /** The flow that was asked for. */
  opened(path: Path, { engine }: PathFacts, now: Millis, out: TunnelSink): void {
    if (!this.#isOpening || this.#moving !== undefined) {
      out.event({ type: 'drop', path });
      return;
    }
    this.#channel.restart(now);
    if (!this.#channel.isHandedOver) {
      this.#path = path;
      this.#engine = engine;
      this.#isOpening = false;
      this.#probedAt = now;
    } else if (engine && this.#path !== undefined) {
      this.#moving = path;
      out.event({ type: 'move', from: this.#path, to: path, datagram: undefined });
    } else {
      // Nor is the one before of any use: its numbers go on nowhere.
      for (const other of [this.#path, path]) if (other !== undefined) out.event({ type: 'drop', path: other });
      this.#path = undefined;
      this.#isOpening = false;
      this.#disable('the packet engine cannot go on by another flow');
    }
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (path === this.#path) this.#channel.receive(bytes, now, out.on(path));
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const { path } = this;
    if (path === undefined || !goesByEsp(packet, this.#options)) return false;
    this.#channel.send(packet, now, out.on(path));
    return true;
  }

  lost(path: Path, why: SallyportError, now: Millis): void {
    if (path === this.#path) {
      this.#path = undefined;
      if (this.#channel.isHandedOver) this.#disable(why.message);
      else this.#failed(why.message, now);
    } else if (this.isOurs(path)) {
      this.#moving = undefined;
      this.#isOpening = false;
      this.#failed(why.message, now);
    }
  }

  /** Of keys that near their end nothing follows: new ones are the gateway's to send, and until the last number they are good. */
  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (notice.type === 'moved' && path === this.#moving) {
      if (this.#path !== undefined) out.event({ type: 'drop', path: this.#path });
      this.#moving = undefined;
      this.#isOpening = false;
      this.#path = path;
      this.#probedAt = now;
    } else if (notice.type === 'unreachable') {
      // Spec 9: it is no reason to end the session, and may be untrue. Of a flow that is being left it says nothing new.
      if (path === this.#speaking) this.#channel.close();
    } else if (path === this.#path) {
      this.#channel.notice(notice);
    }
  }

  /** Other keys, from now on. With both it may begin again where the numbers under those before were lost or used up. */
  rekey(keys: Partial<EspKeyPair>, now: Millis): void {
    const { associations } = this.#options;
    associations.rekey(keys, now);
    if (!this.#needsKeys || keys.inbound === undefined || keys.outbound === undefined) return;
    this.#needsKeys = false;
    associations.forgetOld();
    this.#channel = new EspChannel(this.#options, now);
    this.#schedule.offered(now);
  }

  /** For good. */
  stop(out: TunnelSink): void {
    for (const path of [this.#path, this.#moving]) if (path !== undefined) out.event({ type: 'drop', path });
    this.#path = undefined;
    this.#moving = undefined;
    this.#isOpening = false;
    this.#needsKeys = false;
    this.#schedule.disable();
  }

  nextTimeout(): Millis | undefined {
    const isSpeaking = this.#speaking !== undefined;
    const due = Math.min(
      this.#schedule.nextTimeout() ?? Number.POSITIVE_INFINITY,
      isSpeaking ? (this.#channel.nextTimeout() ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY,
      isSpeaking && this.#schedule.state.name === 'trying' ? this.#probedAt + PROBE_INTERVAL : Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const path = this.#speaking;
    if (path !== undefined) {
      this.#channel.handleTimeout(now, out.on(path));
      if (this.#schedule.state.name === 'trying' && now >= this.#probedAt + PROBE_INTERVAL) {
        this.#probedAt = now;
        this.#channel.probe(now, out.on(path));
      }
    }
    const action = this.#schedule.handleTimeout(now);
    const { port, address } = this.#options;
    if (action === 'try') {
      this.#isOpening = true;
      out.event({ type: 'open', plan: { to: 'udp', port, ...(address !== undefined && { address }) } });
    } else if (action === 'give-up') {
      this.#options.log.log('info', 'datagram down', { reason: 'nobody answers' });
      this.#isOpening = false;
      this.#letGo(out);
    }
  }

  /** To be called after everything else: draws the conclusions. True: whether packets leave by it has changed. */
  settle(now: Millis, out: TunnelSink): boolean {
    const isProven = this.#schedule.state.name === 'proven';
    const isTrying = this.#speaking !== undefined && !isProven;
    if (this.#channel.state.name === 'up' && isTrying) {
      this.#schedule.proven();
      this.#options.log.log('info', 'datagram up', { mtu: this.#options.tunnelMtu, cipherSuite: this.#options.cipherSuite });
    } else if (isProven && (this.#channel.state.name === 'dead' || this.#isUsedUp)) {
      if (this.#isUsedUp) this.#disable('no number is left under these keys');
      else this.#failed('the gateway has been silent too long', now);
      this.#letGo(out);
    } else if (this.#channel.state.name === 'dead' && isTrying) {
      this.#failed('nobody is there', now);
      this.#letGo(out);
    }
    const path = this.#path;
    const traffic = path !== undefined && this.#engine && this.#moving === undefined ? this.#channel.handOver(now) : undefined;
    if (path !== undefined && traffic !== undefined) out.event({ type: 'traffic', path, traffic });
    const isUp = this.path !== undefined;
    const hasChanged = isUp !== this.#wasUp;
    this.#wasUp = isUp;
    return hasChanged;
  }

  status(): PathStatus {
    const { cipherSuite } = this.#options;
    switch (this.#schedule.state.name) {
      case 'proven':
        return { state: 'established', cipherSuite };
      case 'trying':
        return { state: 'connecting', cipherSuite };
      case 'resting':
        return { state: 'down' };
      case 'disabled':
        return { state: 'disabled' };
    }
  }

  /** The flow that the channel has a say on. */
  get #speaking(): Path | undefined {
    const { name } = this.#schedule.state;
    return this.#isOpening || (name !== 'trying' && name !== 'proven') ? undefined : this.#path;
  }

  get #isUsedUp(): boolean {
    return !this.#channel.isHandedOver && this.#channel.needsKeys;
  }

  #failed(reason: string, now: Millis): void {
    this.#options.log.log('info', 'datagram down', { reason });
    this.#schedule.lost(now);
  }

  #disable(reason: string): void {
    this.#options.log.log('warn', 'no datagrams until keys change', { reason });
    this.#needsKeys = true;
    this.#schedule.disable();
  }

  /** Unless the engine has its numbers, a flow that does not work is of no use. */
  #letGo(out: TunnelSink): void {
    this.#channel.close();
    if (this.#path === undefined || this.#channel.isHandedOver) return;
    out.event({ type: 'drop', path: this.#path });
    this.#path = undefined;
  }
}
