/**
 * The client's tunnel for vendors that carry PPP: by UDP if that works, else by TLS. What is theirs comes in as prologues.
 *
 * Read first: spec "PPP", sections 4, 8 and 11; spec "Fortinet", sections 4 to 6. Addresses and routes are known before (HTTP); PPP finds the MTU.
 *
 *   new ─┬─ no UDP ───────────────────────────────► stream ──► up ◄────────────┐
 *        └─ UDP ── DTLS, hello: within 5 s? ─ no ──►    │                       │ each minute: DTLS, hello
 *                        └─ yes ──► linking ──► up      └───────────────────────┘ then the stream is left
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { SallyportError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { TunnelConfig } from '../tunnel/config.ts';
import { DataPath } from '../tunnel/data-path.ts';
import type { CloseReason, Path, PathFacts, PathNotice, PathStatus, TunnelMachine, TunnelSink, TunnelStatus } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import type { IpAddress } from '../wire/ip-address.ts';
import type { CarrierState, PppCarrier } from './carrier.ts';
import type { Encapsulation } from './encapsulation.ts';
import { HandOver } from './hand-over.ts';
import { PppLink } from './link.ts';
import type { ClientNetwork, PppTerms } from './link-options.ts';
import type { StreamPrologue } from './prologue.ts';
import { StreamCarrier } from './stream-carrier.ts';

/** How long UDP has before TLS is used instead, the first time (spec "PPP", section 8). */
export const FIRST_DATAGRAM_LIMIT: Millis = 5000;

export interface PppClientTunnelOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly encapsulation: Encapsulation;
  readonly network: ClientNetwork;
  /** What HTTP has said; PPP adds the MTU, and what HTTP left open. */
  readonly config: Omit<TunnelConfig, 'mtu' | 'expiresAt'>;
  /** How long the session lasts, from the machine's start on; undefined: nobody knows. */
  readonly lifetime?: Millis;
  /** The tunnel MTU to ask for on a path. */
  readonly mtuOf: (facts: PathFacts, kind: Path['kind']) => number;
  readonly dpd?: Millis;
  /** The request that opens a stream: a new one for each. */
  readonly stream: (facts: PathFacts) => StreamPrologue;
  /** Absent: everything by the stream. */
  readonly datagram?: DatagramWay;
  /** A tunnel of this session has been up before: a connection that breaks says nothing of the cookie. */
  readonly isReconnect: boolean;
}

/** Where UDP goes, and what is spoken there. */
export interface DatagramWay {
  readonly port: number;
  /** The gateway's. */
  readonly address: IpAddress;
  /** A carrier for a new flow. `link`: for PPP in it. */
  readonly open: (path: Path, facts: PathFacts, link: PppLink) => PppCarrier;
}

type TunnelState =
  | { readonly name: 'new' }
  | { readonly name: 'open' }
  /** A goodbye was said, and is waited for. */
  | { readonly name: 'closing'; readonly reason: CloseReason }
  | { readonly name: 'closed' };

export class PppClientTunnel implements TunnelMachine {
  readonly #options: PppClientTunnelOptions;
  readonly #dataPath = new DataPath();
  readonly #handOver = new HandOver();
  #state: TunnelState = { name: 'new' };
  #stream: PppCarrier | undefined;
  #datagram: PppCarrier | undefined;
  #isStreamAskedFor = false;
  #startedAt: Millis = 0;
  /** When the first try of UDP is over. */
  #streamDueAt: Millis | undefined;
  #up: PppCarrier | undefined;
  #terms: PppTerms | undefined;

  constructor(options: PppClientTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'open') {
      out.event({ type: 'drop', path });
    } else if (path.kind === 'stream' && this.#isStreamAskedFor) {
      const carrier = new StreamCarrier({ path, facts, link: this.#link('stream', facts), prologue: this.#options.stream(facts) });
      this.#stream = carrier;
      carrier.handleTimeout(now, out.on(path));
    } else if (path.kind === 'datagram' && this.#dataPath.state.name === 'trying' && this.#options.datagram !== undefined) {
      this.#datagram = this.#options.datagram.open(path, facts, this.#link('datagram', facts));
      this.#datagram.handleTimeout(now, out.on(path));
    } else {
      out.event({ type: 'drop', path }); // asked for in another time
    }
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const carrier = this.#carrierOf(path);
    if (carrier === undefined) return;
    carrier.receive(bytes, now, out.on(path));
    this.#follow(now, out);
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const lost: CloseReason = { kind: 'path-lost', message: why.message, error: why };
    if (path.kind === 'datagram') {
      if (this.#datagram === undefined || this.#datagram.path === path) this.#datagramEnded(lost, now, out);
    } else if (this.#stream === undefined ? this.#isStreamAskedFor : this.#stream.path === path) {
      if (this.#isStreamNeeded) this.#ended(lost, out);
      else this.#leaveStream(out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const carrier = this.#carrierOf(path);
    if (carrier === undefined) return;
    if (notice.type === 'keys-used-up') this.#end({ kind: 'renew', message: 'The session’s keys are renewed.' }, out);
    else carrier.notice(notice, now);
    this.#follow(now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#up !== undefined) this.#up.send(packet, now, out.on(this.#up.path));
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'new') return 0;
    if (this.#state.name === 'closed') return undefined;
    const due = Math.min(
      this.#stream?.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#datagram?.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#dataPath.nextTimeout() ?? Number.POSITIVE_INFINITY,
      this.#streamDueAt ?? Number.POSITIVE_INFINITY,
    );
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'new') this.#start(now);
    if (this.#state.name === 'open') this.#handlePathTimes(now, out);
    for (const carrier of [this.#stream, this.#datagram]) {
      const due = carrier?.nextTimeout();
      if (carrier !== undefined && due !== undefined && due <= now) carrier.handleTimeout(now, out.on(carrier.path));
    }
    this.#follow(now, out);
  }

  close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'closing' || this.#state.name === 'closed') return;
    const carrier = this.#up ?? [this.#datagram, this.#stream].find((other) => other?.state.name === 'linking');
    // On a pause nothing is said: some gateways give the address away (spec "PPP", section 11).
    if (reason.kind !== 'log-off' || carrier === undefined) {
      this.#end(reason, out);
      return;
    }
    this.#state = { name: 'closing', reason };
    carrier.close(now, out.on(carrier.path));
    this.#follow(now, out);
  }

  status(): TunnelStatus {
    const isOver = this.#state.name === 'closed';
    return {
      stream: isOver ? DOWN : statusOf(this.#stream, this.#isStreamAskedFor),
      datagram:
        this.#options.datagram === undefined
          ? { state: 'disabled' }
          : isOver
            ? DOWN
            : statusOf(this.#datagram, this.#dataPath.state.name === 'trying'),
    };
  }

  #start(now: Millis): void {
    this.#state = { name: 'open' };
    this.#startedAt = now;
    this.#streamDueAt = now;
    if (this.#options.datagram === undefined) return;
    this.#dataPath.offered(now);
    this.#streamDueAt = now + FIRST_DATAGRAM_LIMIT;
  }

  #handlePathTimes(now: Millis, out: TunnelSink): void {
    const { datagram, log } = this.#options;
    const action = this.#dataPath.handleTimeout(now);
    if (action === 'try' && datagram !== undefined) {
      log.log('debug', 'datagram tried');
      out.event({ type: 'open', plan: { to: 'udp', port: datagram.port, address: datagram.address } });
    } else if (action === 'give-up') {
      this.#datagramEnded({ kind: 'path-lost', message: 'UDP is not answered.' }, now, out);
    }
    if (this.#streamDueAt !== undefined && now >= this.#streamDueAt) this.#openStream(out);
  }

  #openStream(out: TunnelSink): void {
    this.#streamDueAt = undefined;
    if (this.#isStreamAskedFor || this.#state.name !== 'open') return;
    this.#isStreamAskedFor = true;
    out.event({ type: 'open', plan: { to: 'gateway' } });
  }

  #link(carrier: 'stream' | 'datagram', facts: PathFacts): PppLink {
    const { crypto, log, encapsulation, network, dpd, mtuOf } = this.#options;
    return new PppLink({ crypto, log, encapsulation, network, carrier, mtu: mtuOf(facts, carrier), ...(dpd !== undefined && { dpd }) });
  }

  /** After whatever happened: what became of each path, and by which packets leave. */
  #follow(now: Millis, out: TunnelSink): void {
    this.#followDatagram(now, out);
    const stream = this.#stream?.state;
    if (stream?.name === 'over') {
      if (this.#isStreamNeeded) this.#ended(stream.reason, out);
      else this.#leaveStream(out);
    }
    if (this.#state.name !== 'open') return;
    const up = [this.#datagram, this.#stream].find((carrier) => carrier?.state.name === 'up');
    if (up === undefined) {
      if (this.#up !== undefined) this.#handOver.follow(this.#up, out);
      this.#up = undefined;
      return;
    }
    const { terms } = up.state as Extract<CarrierState, { name: 'up' }>; // found by it
    if (this.#terms !== terms) {
      this.#terms = terms;
      const expiresAt = this.#options.lifetime === undefined ? {} : { expiresAt: this.#startedAt + this.#options.lifetime };
      out.event({ type: 'config', config: { ...completed(this.#options.config, terms), ...expiresAt } });
    }
    this.#handOver.follow(up, out);
    if (this.#up === up) return;
    this.#up = up;
    const { mtu } = terms;
    if (up.path.kind === 'datagram') this.#options.log.log('info', 'datagram up', { mtu, cipherSuite: up.status.cipherSuite });
    else this.#options.log.log('debug', 'ppp up', { path: up.path.kind, mtu });
    out.event({ type: 'up', path: up.path });
  }

  #followDatagram(now: Millis, out: TunnelSink): void {
    const state = this.#datagram?.state;
    if (state === undefined || state.name === 'opening') return;
    if (state.name === 'over') {
      this.#datagramEnded(state.reason, now, out);
    } else if (this.#dataPath.state.name === 'trying') {
      // The gateway has said yes: from here on the stream is of no use to it.
      this.#dataPath.proven();
      this.#streamDueAt = undefined;
      this.#leaveStream(out);
    }
  }

  /** UDP has not come to anything, or what it came to is over. */
  #datagramEnded(reason: CloseReason, now: Millis, out: TunnelSink): void {
    const carrier = this.#datagram;
    const wasProven = this.#dataPath.state.name === 'proven';
    this.#datagram = undefined;
    if (carrier !== undefined) out.event({ type: 'drop', path: carrier.path });
    if (this.#state.name === 'closing' || wasProven) {
      this.#ended(reason, out);
      return;
    }
    if (reason.kind === 'path-lost') {
      this.#options.log.log('debug', 'datagram unused', { reason: reason.message });
      this.#dataPath.lost(now);
    } else {
      this.#options.log.log('error', 'datagram disabled', { reason: reason.message });
      this.#dataPath.disable(); // it was answered, and not with a yes: never again
    }
    this.#openStream(out);
  }

  #leaveStream(out: TunnelSink): void {
    if (this.#stream !== undefined) out.event({ type: 'drop', path: this.#stream.path });
    if (this.#up === this.#stream) this.#up = undefined;
    this.#stream = undefined;
    this.#isStreamAskedFor = false;
  }

  /** A path that the tunnel depended on is over. */
  #ended(reason: CloseReason, out: TunnelSink): void {
    const state = this.#state;
    if (reason.kind === 'ended-by-peer') this.#options.log.log('warn', 'disconnected by gateway', { reason: reason.message });
    this.#end(state.name === 'closing' ? state.reason : this.#meaningOf(reason), out);
  }

  /** Observed: a gateway that closes before PPP is up does so because of the cookie; openconnect ends with "Failed to establish PPP". */
  #meaningOf(reason: CloseReason): CloseReason {
    const wasAccepted = this.#terms !== undefined || this.#options.isReconnect;
    if (reason.kind !== 'path-lost' || wasAccepted || this.#stream === undefined) return reason;
    return { ...reason, kind: 'refused', message: `The gateway closed the tunnel before it was up: ${reason.message}` };
  }

  /** Nothing else carries the tunnel, or is about to. */
  get #isStreamNeeded(): boolean {
    return this.#datagram === undefined || this.#datagram.state.name === 'opening';
  }

  #carrierOf(path: Path): PppCarrier | undefined {
    return [this.#stream, this.#datagram].find((carrier) => carrier?.path === path);
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    this.#up = undefined;
    out.event({ type: 'closed', reason });
  }
}

const DOWN: PathStatus = { state: 'down' };

function statusOf(carrier: PppCarrier | undefined, isTried: boolean): PathStatus {
  if (carrier === undefined) return { state: isTried ? 'connecting' : 'down' };
  return carrier.state.name === 'up' ? carrier.status : { ...carrier.status, state: 'connecting' };
}

/** What HTTP said, and what PPP has found. */
function completed({ ipv4, ipv6, ...config }: PppClientTunnelOptions['config'], terms: PppTerms): TunnelConfig {
  const own = terms.ipv4 && { address: terms.ipv4.local, prefix: ipv4?.prefix ?? 32 };
  return {
    ...config,
    mtu: terms.mtu,
    ...(own !== undefined && { ipv4: own }),
    ...(terms.ipv6 !== undefined && { ipv6: ipv6 ?? { address: terms.ipv6.linkLocal, prefix: 64 } }),
    dns: config.dns.length > 0 ? config.dns : (terms.ipv4?.dns ?? []),
    nbns: config.nbns.length > 0 ? config.nbns : (terms.ipv4?.nbns ?? []),
  };
}
