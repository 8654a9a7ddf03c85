/**
 * The gateway's ESP of one client: which of the flows that come is the client's, and whether packets leave by it.
 *
 * Read first: spec "ESP", sections 5.1, 5.5 and 9; {@link EspChannel} for what is said on a flow.
 *
 *   arriving: a flow that has not said anything authentic yet; what it says waits here until there are keys
 *   current:  the flow of the newest authentic packet
 *
 *   inactive ── anything authentic by ESP ──► active ── a packet by the stream, or silence ──► inactive
 */
import type { SallyportError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { Path, PathFacts, PathNotice, PathStatus, TunnelSink } from '../tunnel/machine.ts';
import { type Flow, MovingFlow } from '../tunnel/moving-flow.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import type { EspKeyPair } from './associations.ts';
import { EspChannel, type EspChannelOptions, goesByEsp } from './channel.ts';

/** Datagrams that wait for keys. */
const MAX_HELD = 4;

/** Without anything authentic by ESP for this long packets leave by the stream, where the vendor's machine names no other time. */
const SILENCE: Millis = 120_000;

export interface EspGatewayTerms extends Omit<EspChannelOptions, 'firstProbes' | 'dpd'> {
  /** In words, for people. */
  readonly cipherSuite: string;
}

export class EspGatewaySide {
  readonly #log: Logger;
  readonly #silence: Millis;
  #terms: EspGatewayTerms | undefined;
  #channel: EspChannel | undefined;
  readonly #flows = new MovingFlow<undefined>();
  /** Of the arriving flow. */
  #held: Uint8Array[] = [];
  #current: Flow | undefined;
  /** Whose numbers were lost with the flow that the engine carried: they need other keys. */
  readonly #lost = new Set<keyof EspKeyPair>();
  #isActive = false;
  #isStopped = false;
  #wasUp = false;
  #heardAt: Millis = 0;
  /** When the client last sent a packet by the stream. */
  #streamAt: Millis = 0;

  /** `silence`: without anything authentic for this long packets leave by the stream. */
  constructor(log: Logger, silence: Millis = SILENCE) {
    this.#log = log;
    this.#silence = silence;
  }

  /** The keys of both directions are there. What has come under them is opened now. */
  begin(terms: EspGatewayTerms, now: Millis, out: TunnelSink): void {
    if (this.#isStopped) return;
    this.#terms = terms;
    this.#channel = newChannel(terms, now);
    const path = this.#flows.arriving;
    if (path !== undefined) for (const bytes of this.#held.splice(0)) this.receive(path, bytes, now, out);
  }

  /** Other keys, from now on. The client may use those before for a while, but for such whose numbers were lost. */
  rekey(keys: Partial<EspKeyPair>, now: Millis): void {
    const terms = this.#terms;
    if (terms === undefined) return;
    terms.associations.rekey(keys, now);
    if (this.#lost.size === 0) return;
    for (const direction of ['inbound', 'outbound'] as const) if (keys[direction] !== undefined) this.#lost.delete(direction);
    if (this.#lost.size > 0) return;
    terms.associations.forgetOld();
    this.#channel = newChannel(terms, now);
  }

  /** The path that packets leave by; undefined while they leave by the stream. */
  get path(): Path | undefined {
    return this.#isActive && this.#channel?.needsKeys === false ? this.#current?.path : undefined;
  }

  /** A new flow, of which nothing is known but that it may be this client's. */
  opened(path: Path, { engine }: PathFacts, out: TunnelSink): void {
    if (this.#isStopped) {
      out.event({ type: 'drop', path });
      return;
    }
    this.#flows.opened({ path, engine }, out);
    this.#held = [];
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (path === this.#current?.path) {
      if (this.#channel?.receive(bytes, now, out.on(path)) === true) this.#heard(now);
    } else if (path === this.#flows.moving) {
      // A client that says nothing else may wait for an answer.
      this.#channel?.receive(bytes, now, out.on(path));
    } else if (path === this.#flows.arriving) {
      if (this.#channel !== undefined) this.#arrived(path, this.#channel, bytes, now, out);
      else if (this.#held.length < MAX_HELD) this.#held.push(Uint8Array.from(bytes));
    }
  }

  /** The client sent a packet by the stream: so it does not trust UDP now. */
  heardOnStream(now: Millis): void {
    this.#isActive = false;
    this.#streamAt = now;
  }

  /** False: it is for the stream. */
  send(packet: Packet, now: Millis, out: TunnelSink): boolean {
    const { path } = this;
    if (path === undefined || this.#terms === undefined || !goesByEsp(packet, this.#terms)) return false;
    this.#channel?.send(packet, now, out.on(path));
    return true;
  }

  lost(path: Path, why: SallyportError): void {
    this.#flows.lost(path);
    if (path !== this.#current?.path) return;
    this.#current = undefined;
    if (this.#channel?.isHandedOver === true) for (const direction of ['inbound', 'outbound'] as const) this.#lost.add(direction);
    this.#log.log('info', 'datagram down', { reason: why.message });
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (notice.type === 'moved') {
      const moved = this.#flows.moved(path);
      if (moved !== undefined) this.#follow(moved.flow, now, out);
    } else if (notice.type === 'carried' && path === this.#current?.path) {
      this.#channel?.notice(notice);
      if (notice.heardAt > this.#heardAt) this.#heard(notice.heardAt, now);
    }
  }

  nextTimeout(): Millis | undefined {
    const silentAt = this.#isActive ? this.#heardAt + this.#silence : Number.POSITIVE_INFINITY;
    const due = Math.min(silentAt, this.#channel?.keysOverAt ?? Number.POSITIVE_INFINITY);
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis): void {
    if (this.#isActive && now >= this.#heardAt + this.#silence) this.#isActive = false;
    this.#terms?.associations.expire(now);
  }

  /** To be called after everything else: draws the conclusions. True: whether packets leave by it has changed. */
  settle(now: Millis, out: TunnelSink): boolean {
    const flow = this.#current;
    if (flow?.engine === true) {
      const traffic = this.#channel?.handOver(now);
      if (traffic !== undefined) out.event({ type: 'traffic', path: flow.path, traffic });
    }
    const isUp = this.path !== undefined;
    const hasChanged = isUp !== this.#wasUp;
    this.#wasUp = isUp;
    if (hasChanged) this.#log.log('info', isUp ? 'datagram up' : 'datagram rests', { cipherSuite: this.#terms?.cipherSuite });
    return hasChanged;
  }

  /** The client does not answer new keys: packets go by the stream from now on. What it sends by ESP is lost, until it finds that nobody answers there. */
  giveUp(out: TunnelSink): void {
    this.#log.log('warn', 'datagram disabled', { reason: 'the client does not answer new keys' });
    this.stop(out);
  }

  /** For good. */
  stop(out: TunnelSink): void {
    if (this.#current !== undefined) out.event({ type: 'drop', path: this.#current.path });
    this.#flows.drop(out);
    this.#held = [];
    this.#current = undefined;
    this.#isActive = false;
    this.#isStopped = true;
    this.#channel = undefined;
    this.#terms = undefined;
  }

  status(): PathStatus {
    const { cipherSuite } = this.#terms ?? {};
    if (cipherSuite === undefined || this.#current === undefined) return { state: 'down' };
    return { state: this.#isActive ? 'established' : 'connected', cipherSuite };
  }

  /** What opens under the client's keys is the client's, wherever it comes from: perhaps a NAT has changed the port. */
  #arrived(path: Path, channel: EspChannel, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const flow = this.#flows.take(path);
    if (flow === undefined) return;
    const { isHandedOver } = channel;
    const receive = () => channel.receive(bytes, now, out.on(path));
    const of = { owner: undefined, path: this.#current?.path, isHandedOver, receive };
    if (this.#flows.admit(flow, bytes, of, out)) this.#follow(flow, now, out);
  }

  #follow(flow: Flow, now: Millis, out: TunnelSink): void {
    if (this.#current !== undefined) out.event({ type: 'drop', path: this.#current.path });
    this.#current = flow;
    this.#heard(now);
  }

  /** `at` may be past: a packet engine tells of it later, and its clock is not quite the same each time. */
  #heard(at: Millis, now: Millis = at): void {
    this.#heardAt = at;
    if (at >= this.#streamAt && now < at + this.#silence) this.#isActive = true;
  }
}

function newChannel(terms: EspGatewayTerms, now: Millis): EspChannel {
  return new EspChannel({ ...terms, firstProbes: 0, dpd: 0 }, now);
}
