/**
 * The client's tunnel: ESP if it is answered, else frames over TLS. Never both: a gateway forgets its ESP keys when it is asked for a tunnel over TLS.
 *
 * Read first: spec "GlobalProtect", sections 9.3, 10.3, 10.5 and 11.
 *
 *   new ─┬─ no ESP ───────────────────────────────────────────────────► stream ── timeout - 60 s ──► closed (renew)
 *        └─ esp: probes ─┬─ nothing within 5 s ───────────────────────────►
 *             ▲          └─ answered ──► packets leave by it ── timeout - 60 s ──► closed (renew)
 *             └── silence: another flow, the same keys ──┘
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { SallyportError } from '../../errors.ts';
import { algorithmsText } from '../../esp/algorithms.ts';
import { EspAssociations } from '../../esp/associations.ts';
import { EspClientSide } from '../../esp/client-side.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { ClientStream } from './client-stream.ts';
import type { EspTerms } from './configuration.ts';
import { clientProbe } from './magic-ping.ts';

export interface GpClientTunnelOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  /** Holds the cookie. */
  readonly request: Uint8Array;
  readonly config: Omit<TunnelConfig, 'mtu' | 'expiresAt'>;
  readonly mtuOf: (facts: PathFacts, kind: Path['kind']) => number;
  readonly dpd: Millis;
  /** How long session and tunnel last, from the machine's start on. */
  readonly lifetime?: Millis;
  readonly renewAfter?: Millis;
  /** Absent: TLS only. `address`: the gateway's. */
  readonly esp?: EspTerms & { readonly address: IpAddress };
}

/** How long probes wait for an answer before TLS is used instead, and how many they are (spec 10.3). */
const PROBE_LIMIT: Millis = 5000;
const PROBES = 3;

type Way =
  | { readonly name: 'new' }
  /** `until`: when probes have waited long enough; undefined: packets leave by it. */
  | { readonly name: 'esp'; readonly side: EspClientSide; readonly until: Millis | undefined }
  | { readonly name: 'stream-opening' }
  | { readonly name: 'stream'; readonly path: Path; readonly facts: PathFacts; readonly stream: ClientStream }
  | { readonly name: 'closed' };

export class GpClientTunnel implements TunnelMachine {
  readonly #options: GpClientTunnelOptions;
  #way: Way = { name: 'new' };
  #startedAt: Millis = 0;
  /** Of the path that is up, or tried. */
  #mtu = 0;
  #toldMtu = 0;

  constructor(options: GpClientTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const way = this.#way;
    if (path.kind === 'stream' && way.name === 'stream-opening') {
      const { request, dpd } = this.#options;
      this.#way = { name: 'stream', path, facts, stream: new ClientStream(request, dpd, now, out.on(path)) };
    } else if (way.name === 'esp' && way.side.isOurs(path)) {
      this.#mtu = this.#options.mtuOf(facts, 'datagram');
      way.side.opened(path, facts, now, out);
      this.#settle(now, out);
    } else {
      out.event({ type: 'drop', path }); // asked for in another time
    }
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const way = this.#way;
    if (way.name === 'esp') way.side.receive(path, bytes, now, out);
    else if (way.name === 'stream' && way.path === path) {
      way.stream.receive(bytes, now, out.on(path), () => {
        this.#mtu = this.#options.mtuOf(way.facts, 'stream');
        this.#up(path, out);
      });
    }
    this.#settle(now, out);
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const way = this.#way;
    if (way.name === 'esp') way.side.lost(path, why, now);
    const isStream = way.name === 'stream-opening' ? path.kind === 'stream' : way.name === 'stream' && way.path === path;
    if (isStream) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
    this.#settle(now, out);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const way = this.#way;
    if (notice.type === 'keys-used-up') this.#end(NEEDS_KEYS, out);
    else if (way.name === 'esp') way.side.notice(path, notice, now, out);
    else if (way.name === 'stream' && way.path === path) way.stream.notice(notice);
    this.#settle(now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const way = this.#way;
    if (way.name === 'stream') way.stream.send(packet, now, out.on(way.path));
    else if (way.name === 'esp') {
      way.side.send(packet, now, out);
      this.#settle(now, out);
    }
  }

  nextTimeout(): Millis | undefined {
    const way = this.#way;
    switch (way.name) {
      case 'new':
        return 0;
      case 'esp':
        return earliest(way.side.nextTimeout(), way.until, this.#renewAt);
      case 'stream':
        return earliest(way.stream.nextTimeout(), way.stream.isUp ? this.#renewAt : undefined);
      case 'stream-opening':
      case 'closed':
        return undefined;
      default:
        return way satisfies never;
    }
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    if (this.#way.name === 'new') this.#start(now, out);
    const way = this.#way;
    const isRunning = way.name === 'esp' || (way.name === 'stream' && way.stream.isUp);
    if (isRunning && this.#renewAt !== undefined && now >= this.#renewAt) {
      this.#end({ kind: 'renew', message: 'The tunnel’s time is over.' }, out);
    } else if (way.name === 'esp' && way.until !== undefined && now >= way.until) {
      this.#leaveUdp(way.side, out);
    } else if (way.name === 'esp') {
      way.side.handleTimeout(now, out);
    } else if (way.name === 'stream') {
      way.stream.handleTimeout(now, out.on(way.path));
    }
    this.#settle(now, out);
  }

  /** There is no goodbye in the tunnel: the log-out is a request of its own. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const way = this.#way;
    const rekeyAt = this.#renewAt === undefined ? {} : { rekeyAt: this.#renewAt };
    if (way.name === 'esp') return { stream: { state: 'down' }, datagram: { ...way.side.status(), ...rekeyAt } };
    const datagram = { state: this.#options.esp === undefined ? 'disabled' : 'down' } as const;
    if (way.name === 'closed') return { stream: { state: 'down' }, datagram };
    if (way.name !== 'stream' || !way.stream.isUp) return { stream: { state: 'connecting' }, datagram };
    const cipherSuite = way.facts.tls?.cipherSuite;
    return { stream: { state: 'established', ...(cipherSuite !== undefined && { cipherSuite }), ...rekeyAt }, datagram };
  }

  get #renewAt(): Millis | undefined {
    const { renewAfter } = this.#options;
    return renewAfter === undefined ? undefined : this.#startedAt + renewAfter;
  }

  #start(now: Millis, out: TunnelSink): void {
    this.#startedAt = now;
    const side = this.#espSide(now);
    if (side === undefined) this.#openStream(out);
    else this.#way = { name: 'esp', side, until: now + PROBE_LIMIT };
  }

  #espSide(now: Millis): EspClientSide | undefined {
    const { crypto, log, esp, dpd } = this.#options;
    if (esp === undefined) return undefined;
    const mtu = () => this.#mtu;
    const options = {
      ...{ log, dpd, port: esp.port, address: esp.address, cipherSuite: algorithmsText(esp.toGateway) },
      associations: new EspAssociations(crypto, { outbound: esp.toGateway, inbound: esp.toClient }),
      ...{ probe: clientProbe(esp.ping), firstProbes: PROBES },
      // It is known when the flow is.
      get tunnelMtu() {
        return mtu();
      },
    };
    return new EspClientSide(options, now);
  }

  #openStream(out: TunnelSink): void {
    this.#way = { name: 'stream-opening' };
    out.event({ type: 'open', plan: { to: 'gateway' } });
  }

  /** Until the next configuration: the request for the tunnel over TLS ends the gateway's keys (spec 10.5). */
  #leaveUdp(side: EspClientSide, out: TunnelSink): void {
    side.stop(out);
    this.#openStream(out);
  }

  #up(path: Path, out: TunnelSink): void {
    const { config, lifetime, log } = this.#options;
    const mtu = this.#mtu;
    if (mtu !== this.#toldMtu) {
      this.#toldMtu = mtu;
      const expiresAt = lifetime === undefined ? {} : { expiresAt: this.#startedAt + lifetime };
      out.event({ type: 'config', config: { ...config, mtu, ...expiresAt } });
    }
    log.log('debug', 'tunnel up', { path: path.kind, mtu });
    out.event({ type: 'up', path });
  }

  /** After whatever happened: what became of the way. */
  #settle(now: Millis, out: TunnelSink): void {
    const way = this.#way;
    if (way.name === 'stream' && way.stream.ended !== undefined) this.#end(way.stream.ended, out);
    else if (way.name === 'stream' && way.facts.engine) {
      const traffic = way.stream.handOver(this.#mtu);
      if (traffic !== undefined) out.event({ type: 'traffic', path: way.path, traffic });
    }
    if (way.name !== 'esp' || !way.side.settle(now, out)) return;
    const { side } = way;
    if (side.path !== undefined) {
      this.#way = { name: 'esp', side, until: undefined };
      this.#up(side.path, out);
    } else if (side.status().state === 'disabled') {
      this.#end(NEEDS_KEYS, out);
    } else {
      this.#way = { name: 'esp', side, until: now + PROBE_LIMIT };
    }
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#way.name === 'closed') return;
    this.#way = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

/** They come with a configuration. */
const NEEDS_KEYS: CloseReason = { kind: 'renew', message: 'The session’s keys are renewed.' };

/** Undefined: none of these. */
export function earliest(...times: readonly (Millis | undefined)[]): Millis | undefined {
  const due = Math.min(...times.map((time) => time ?? Number.POSITIVE_INFINITY));
  return due === Number.POSITIVE_INFINITY ? undefined : due;
}
