/**
 * The gateway's tunnel: its configuration on the connection on which the client has logged in, then packets, by TLS and by ESP.
 *
 * Read first: spec "Pulse", sections 8 to 11; spec "ESP", section 5.5.
 *
 *   new ── the client's connection ──► open ──► closed
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { SallyportError } from '../../errors.ts';
import type { EspAlgorithms } from '../../esp/algorithms.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources, SourceFilter } from '../../tunnel/source-filter.ts';
import { copyOf } from '../../wire/copy.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { type ConfigurationOffer, MAX_ROUTES, renderConfiguration } from './configuration.ts';
import { configurationKind } from './container.ts';
import { encodeFatalError, FATAL_ERRORS } from './fatal-error.ts';
import { GatewayEsp } from './gateway-esp.ts';
import { IftChannel } from './ift-channel.ts';
import { IFT_KINDS, type IftWriter } from './ift-packet.ts';
import { tunnelMtu } from './mtu.ts';

/** Keys of ESP are changed after this at the latest: long before their numbers end (spec "ESP", section 5.6). */
const MAX_KEY_LIFETIME: Millis = 1_200_000;

/** Silence by ESP after which clients ask, where the administrator has no time for it: what they take then anyway. */
const DEFAULT_DPD: Millis = 60_000;

/** Nobody reads it. Observed: openconnect 9.01 takes a packet without a payload for a failure of TLS. */
const LICENCE = new Uint8Array(4);

export interface GatewayTunnelOptions {
  readonly log: Logger;
  readonly terms: SessionTerms;
  /** Goes on counting where the log-in has left off. */
  readonly writer: IftWriter;
  /** Where the session has UDP. */
  readonly datagram?: {
    readonly crypto: CryptoProvider;
    readonly algorithms: EspAlgorithms;
    /** Of the first keys that the client sends with. */
    readonly spi: number;
  };
}

type TunnelState = { readonly name: 'new' } | OpenState | { readonly name: 'closed' };

interface OpenState {
  readonly name: 'open';
  readonly path: Path;
  readonly channel: IftChannel;
  readonly cipherSuite: string | undefined;
  readonly mtu: number;
  readonly sources: readonly Cidr[];
  /** The packet engine can carry the stream. */
  readonly engine: boolean;
  /** It leaves us what could come by ESP. */
  isWatched: boolean;
  readonly esp: GatewayEsp | undefined;
  /** The path that packets leave by. */
  up: Path;
  /** What the client has answered to keys, and nobody has read yet. */
  readonly answers: Uint8Array[];
}

export class GatewayTunnel implements TunnelMachine {
  readonly #options: GatewayTunnelOptions;
  #state: TunnelState = { name: 'new' };

  constructor(options: GatewayTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new' && path.kind === 'stream') this.#begin(path, facts, now, out);
    else if (state.name === 'open' && path.kind === 'datagram' && state.esp !== undefined) state.esp.side.opened(path, facts, out);
    else out.event({ type: 'drop', path });
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (path === state.path) this.#receiveStream(state, bytes, now, out);
    else state.esp?.side.receive(path, bytes, now, out);
    this.#follow(state, now, out);
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    if (path === state.path) this.#close({ kind: 'path-lost', message: why.message, error: why }, out);
    else {
      state.esp?.side.lost(path, why);
      this.#follow(state, now, out);
    }
  }

  /** Nothing depends on when the client was heard by TLS: there is no keepalive (spec 9). */
  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open' || path === state.path) return;
    if (notice.type === 'keys-used-up') this.#offer(state, state.esp?.renew(now), out);
    else state.esp?.side.notice(path, notice, now, out);
    this.#follow(state, now, out);
  }

  /** Of any size: a client takes packets above its MTU by TLS (spec 12). */
  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open' || state.esp?.side.send(packet, now, out) === true) return;
    state.channel.send(packet, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    return this.#state.name === 'open' ? this.#state.esp?.nextTimeout() : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open' || state.esp === undefined) return;
    this.#offer(state, state.esp.handleTimeout(now, out), out);
    this.#follow(state, now, out);
  }

  /** Spec 11: a client that was told does not come back by itself. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(_now: Millis): TunnelStatus {
    const state = this.#state;
    if (state.name !== 'open') return { stream: { state: state.name === 'new' ? 'connecting' : 'down' }, datagram: { state: 'disabled' } };
    const { cipherSuite, esp } = state;
    return {
      stream: { state: 'connected', ...(cipherSuite !== undefined && { cipherSuite }) },
      datagram: esp?.side.status() ?? { state: 'disabled' },
    };
  }

  #begin(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const { log, terms, writer } = this.#options;
    const { gatewayIpv4 } = terms;
    const sources = innerSources(terms);
    const esp = this.#espTerms();
    const gatewayEsp = esp && this.#gatewayEsp(esp, facts, sources);
    const link = { family: facts.remote.address.family, linkMtu: terms.linkMtu, ...(esp !== undefined && { mac: esp.algorithms.mac }) };
    const config: TunnelConfig = { ...terms.config, mtu: tunnelMtu(link, terms.config) };
    let configuration: Uint8Array;
    try {
      configuration = renderConfiguration({ config, ...(gatewayIpv4 !== undefined && { gatewayIpv4 }), ...(esp !== undefined && { esp }) });
    } catch (error) {
      const { message } = error as SallyportError; // it throws nothing else
      this.#close({ kind: 'unusable', message, error: error as SallyportError }, out);
      return;
    }
    const routes = [...config.include, ...config.exclude].filter(({ address }) => address.family === 4).length;
    if (routes > MAX_ROUTES) log.log('warn', 'routes left out', { count: routes - MAX_ROUTES });
    const filter = new SourceFilter(sources);
    const answers: Uint8Array[] = [];
    const channel = new IftChannel({
      writer,
      meaningOf: (kind, payload) => meaningOf(kind, payload, gatewayEsp && answers),
      admits: (packet) => {
        const isAllowed = filter.allows(packet);
        if (isAllowed) gatewayEsp?.cameByStream(packet);
        return isAllowed;
      },
    });
    const { mtu } = config;
    const { engine, tls } = facts;
    this.#state = {
      ...{ name: 'open', path, channel, cipherSuite: tls?.cipherSuite, mtu, sources, engine, isWatched: false },
      ...{ esp: gatewayEsp, up: path, answers },
    };
    channel.sendControl(IFT_KINDS.configuration, configuration, out.on(path));
    if (gatewayEsp !== undefined) channel.sendControl(IFT_KINDS.configuration, gatewayEsp.offer(now), out.on(path));
    channel.sendControl(IFT_KINDS.endOfConfiguration, new Uint8Array(4), out.on(path));
    log.log('info', 'stream up', { mtu });
    out.event({ type: 'config', config });
    if (engine) out.event({ type: 'traffic', path, traffic: channel.handOver(mtu, sources) });
    out.event({ type: 'up', path });
  }

  #espTerms(): NonNullable<ConfigurationOffer['esp']> | undefined {
    const { datagram, terms } = this.#options;
    if (datagram === undefined || terms.datagram === undefined) return undefined;
    const { dpd = 0, rekey = 0 } = terms.times;
    return {
      ...{ algorithms: datagram.algorithms, port: terms.datagram.port, dpd: dpd > 0 ? dpd : DEFAULT_DPD },
      lifetime: rekey > 0 ? Math.min(rekey, MAX_KEY_LIFETIME) : MAX_KEY_LIFETIME,
    };
  }

  #gatewayEsp(esp: NonNullable<ConfigurationOffer['esp']>, { remote }: PathFacts, sources: readonly Cidr[]): GatewayEsp | undefined {
    const { datagram, log, terms } = this.#options;
    if (datagram === undefined) return undefined;
    const { crypto, spi } = datagram;
    return new GatewayEsp({ crypto, log, spi, sources, terms: esp, family: remote.address.family, linkMtu: terms.linkMtu });
  }

  #receiveStream(state: OpenState, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const { channel, path, esp, answers, mtu } = state;
    channel.receive(bytes, out.on(path));
    try {
      for (const answer of answers.splice(0)) {
        // Clients that have lost their first probes send others then (spec 8.6).
        if (esp?.answered(answer, mtu, now, out) === 'first') channel.sendControl(IFT_KINDS.licence, LICENCE, out.on(path));
      }
    } catch (error) {
      this.#end({ kind: 'misbehaved', message: 'Unknown packet received', error: error as SallyportError }, out); // it throws nothing else
    }
    const { ended } = channel;
    if (ended?.kind === 'misbehaved') this.#end(ended, out);
    else if (ended !== undefined) this.#close(ended, out);
  }

  /** Other keys for ESP, where there are. */
  #offer({ channel, path }: OpenState, offer: Uint8Array | undefined, out: TunnelSink): void {
    if (offer !== undefined) channel.sendControl(IFT_KINDS.configuration, offer, out.on(path));
  }

  /** After whatever happened to ESP: which path packets leave by. */
  #follow(state: OpenState, now: Millis, out: TunnelSink): void {
    if (this.#state !== state || state.esp === undefined) return;
    state.esp.settle(now, out);
    const up = state.esp.side.path ?? state.path;
    this.#watch(state, state.esp, out);
    if (up === state.up) return;
    state.up = up;
    out.event({ type: 'up', path: up });
  }

  /** What comes by TLS though it could come by ESP tells that the client does not trust that: the engine would not say. */
  #watch(state: OpenState, { family, side }: GatewayEsp, out: TunnelSink): void {
    const isWatched = side.path !== undefined;
    if (!state.engine || isWatched === state.isWatched) return;
    state.isWatched = isWatched;
    const families = isWatched ? ([family === 4 ? 6 : 4] as const) : undefined;
    out.event({ type: 'traffic', path: state.path, traffic: state.channel.handOver(state.mtu, state.sources, families) });
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'open') {
      const type = reason.kind === 'replaced' ? FATAL_ERRORS.replaced : FATAL_ERRORS.ended;
      state.channel.sendControl(IFT_KINDS.fatalError, encodeFatalError({ type, text: reason.message }), out.on(state.path));
    }
    this.#close(reason, out);
  }

  #close(reason: CloseReason, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    if (state.name === 'open') state.esp?.side.stop(out);
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

/** What we do not know of is passed over (spec 3.1). */
function meaningOf(kind: number, payload: Uint8Array, answers: Uint8Array[] | undefined): CloseReason | undefined {
  if (answers !== undefined && kind === IFT_KINDS.configuration && configurationKind(payload) === 'esp') answers.push(copyOf(payload));
  return kind === IFT_KINDS.logOut ? { kind: 'log-off', message: 'The user has left.' } : undefined;
}
