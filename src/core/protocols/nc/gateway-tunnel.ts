/**
 * A gateway's Network Connect tunnel: the answer to the request for it, the status, the configuration, and packets by TLS, or by ESP while the client wants it.
 *
 * Read first: spec "Juniper NC", sections 5 to 7 and 9.
 *
 *   answer ─► hello? ─► status, configuration ─► settings, keys? ─► packets ─► 00 00 reason
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { NetworkError, SallyportError } from '../../errors.ts';
import type { KeyBlock } from '../../esp/key-block.ts';
import { renderResponse } from '../../http/render.ts';
import type { Logger } from '../../log.ts';
import { MIN_MTU_IPV4, type TunnelConfig } from '../../tunnel/config.ts';
import { commitBytes, type LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources, SourceFilter } from '../../tunnel/source-filter.ts';
import { TooBigPackets } from '../../tunnel/too-big-packets.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { type ClientSettings, parseSettings, renderConfiguration } from './configuration.ts';
import { renderKeys } from './esp-terms.ts';
import { GatewayEsp } from './gateway-esp.ts';
import { KMP_TYPES } from './kmp-message.ts';
import { OncpChannel } from './oncp-channel.ts';
import { END_REASONS, helloName, renderEnding, renderRecord, renderRecords, STATUS_OK } from './oncp-record.ts';

/** What TLS or ESP, UDP and IP add to a packet at worst, in round figures: 1400 bytes pass where 1500 do. */
const OVERHEAD = 100;

/** How long a client may take for what it has to say before packets. */
const ANSWER_LIMIT: Millis = 60_000;

const ANSWER = renderResponse({
  ...{ version: '1.1', status: 200, reason: 'OK', body: new Uint8Array(0) },
  headers: [
    ['Content-Type', 'application/octet-stream'],
    ['Pragma', 'no-cache'],
    ['NCP-Version', '3'],
    ['Connection', 'close'],
  ],
});

type TunnelState = { readonly name: 'new' } | OpenState | { readonly name: 'closed' };

interface OpenState {
  readonly name: 'opening' | 'up';
  readonly path: Path;
  readonly facts: PathFacts;
  readonly dueAt: Millis;
  /** Where packets leave. */
  up: Path;
}

/** What messages said that came together, in their order. */
type News = { readonly type: 'settings'; readonly settings: ClientSettings } | { readonly type: 'keys'; readonly payload: Uint8Array };

export interface GatewayTunnelOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: SessionTerms;
  /** Of the client's connection. */
  readonly family: 4 | 6;
}

export class NcGatewayTunnel implements TunnelMachine {
  readonly #options: GatewayTunnelOptions;
  readonly #config: TunnelConfig;
  readonly #channel: OncpChannel;
  readonly #tooBig = new TooBigPackets();
  readonly #esp: GatewayEsp | undefined;
  /** Where the client's packets may come from. */
  readonly #sources: readonly Cidr[];
  readonly #news: News[] = [];
  #state: TunnelState = { name: 'new' };
  /** The client was told its configuration: it is up, for all it knows. */
  #isConfigured = false;
  /** The client has said its settings. */
  #isSettled = false;

  constructor(options: GatewayTunnelOptions) {
    const { terms, family } = options;
    const { ipv6: _, ...config } = terms.config; // the protocol has none
    this.#options = options;
    this.#config = { ...config, mtu: Math.max(terms.linkMtu - OVERHEAD, MIN_MTU_IPV4) };
    this.#sources = innerSources({ ...terms, config });
    const filter = new SourceFilter(this.#sources);
    const { datagram, times } = terms;
    // Spec 6.5: not where the connection is IPv6.
    this.#esp =
      datagram === undefined || family === 6
        ? undefined
        : new GatewayEsp({ ...options, port: datagram.port, times, tunnelMtu: this.#config.mtu, sources: this.#sources });
    this.#channel = new OncpChannel({
      side: 'gateway',
      greeted: (content, out) => this.#greeted(content, out),
      told: (type, payload) => this.#told(type, payload),
      ending: () => ({ kind: 'misbehaved', message: 'A client cannot end a session by a record.' }),
      admits: (packet) => this.#isSettled && filter.allows(packet),
    });
  }

  /** By which the client's UDP flows are known; undefined: there are none. */
  get datagramId(): Uint8Array | undefined {
    return this.#esp?.id;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const state = this.#openState;
    if (path.kind === 'datagram' && state !== undefined && this.#esp !== undefined) {
      this.#esp.side.opened(path, facts, out);
    } else if (path.kind === 'stream' && this.#state.name === 'new') {
      this.#state = { name: 'opening', path, facts, dueAt: now + ANSWER_LIMIT, up: path };
      commitBytes(out.on(path), ANSWER);
    } else {
      out.event({ type: 'drop', path });
    }
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#openState;
    if (state === undefined) return;
    if (state.path !== path) {
      this.#esp?.side.receive(path, bytes, now, out);
      this.#follow(now, out);
      return;
    }
    this.#channel.receive(bytes, out.on(path));
    if (this.#channel.ended === undefined) this.#heed(now, out);
    else this.#end(this.#channel.ended, out);
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#openState;
    if (state === undefined) return;
    if (state.path === path) {
      this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
    } else {
      this.#esp?.side.lost(path, why);
      this.#follow(now, out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (path.kind === 'stream') return;
    if (notice.type === 'keys-used-up') this.#rekey(this.#esp?.renew(now), out);
    else this.#esp?.side.notice(path, notice, now, out);
    this.#follow(now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'up') return;
    const { mtu } = this.#config;
    if (packet.end - packet.start <= mtu) this.#send(state, packet, now, out);
    else this.#tooBig.handle(packet, mtu, now, out.on(state.path), (fragment) => this.#send(state, fragment, now, out));
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'opening') return this.#state.dueAt;
    return this.#state.name === 'up' ? this.#esp?.nextTimeout() : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'opening' && now >= state.dueAt) {
      const error = new NetworkError('The client has asked for a tunnel and says nothing.');
      this.#end({ kind: 'path-lost', message: error.message, error }, out);
    } else if (state.name === 'up') {
      this.#rekey(this.#esp?.handleTimeout(now, out), out);
      this.#follow(now, out);
    }
  }

  /** Who is told why does not come back; of a tunnel that another one has replaced nothing is said. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    const state = this.#openState;
    if (state !== undefined && this.#isConfigured && reason.kind !== 'replaced' && reason.kind !== 'path-lost' && reason.kind !== 'renew') {
      const code = reason.kind === 'expired' ? END_REASONS.expired : END_REASONS.terminated;
      commitBytes(out.on(state.path), renderEnding(code));
    }
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const state = this.#openState;
    const datagram = this.#esp?.side.status() ?? { state: 'disabled' };
    if (state === undefined) return { stream: { state: this.#state.name === 'new' ? 'connecting' : 'down' }, datagram };
    const { tls } = state.facts;
    const cipher = tls !== undefined && { cipherSuite: tls.cipherSuite };
    return { stream: { state: state.name === 'up' ? 'connected' : 'connecting', ...cipher }, datagram };
  }

  #greeted(content: Uint8Array, out: LayerSink): number {
    this.#options.log.log('debug', 'client greeted', { hostname: helloName(content) });
    commitBytes(out, renderRecord(Uint8Array.of(STATUS_OK)));
    const configuration = renderConfiguration(this.#config, this.#options.terms.gatewayIpv4, this.#esp?.offer);
    for (const record of renderRecords(configuration)) commitBytes(out, record);
    this.#isConfigured = true;
    return content.length;
  }

  #told(type: number, payload: Uint8Array): void {
    if (type === KMP_TYPES.settings) {
      const settings = parseSettings(payload);
      this.#isSettled ||= settings.mtu !== undefined;
      this.#news.push({ type: 'settings', settings });
    } else if (type === KMP_TYPES.keys) {
      this.#news.push({ type: 'keys', payload: Uint8Array.from(payload) });
    } else {
      this.#options.log.log('debug', 'unknown message', { type });
    }
  }

  #heed(now: Millis, out: TunnelSink): void {
    const state = this.#openState;
    if (state?.name === 'opening' && this.#isSettled) {
      this.#state = { ...state, name: 'up' };
      out.event({ type: 'config', config: this.#config });
      const traffic = state.facts.engine ? this.#channel.handOver(this.#config.mtu, this.#sources) : undefined;
      if (traffic !== undefined) out.event({ type: 'traffic', path: state.path, traffic });
      out.event({ type: 'up', path: state.path });
    }
    try {
      for (const news of this.#news.splice(0)) {
        if (this.#state.name !== 'up' || this.#esp === undefined) continue;
        if (news.type === 'keys') this.#esp.answered(news.payload, now, out);
        else if (news.settings.usesEsp !== undefined) this.#esp.want(news.settings.usesEsp);
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
    }
    this.#follow(now, out);
  }

  /** Alone in its record, as openconnect wants it (spec 5.2). */
  #rekey(keys: KeyBlock | undefined, out: TunnelSink): void {
    if (keys !== undefined && this.#state.name === 'up') commitBytes(out.on(this.#state.path), renderRecord(renderKeys('gateway', keys)));
  }

  /** After whatever happened to ESP: whether packets leave by it. */
  #follow(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'up' || this.#esp === undefined) return;
    this.#esp.side.settle(now, out);
    const up = this.#esp.path ?? state.path;
    if (up === state.up) return;
    state.up = up;
    out.event({ type: 'up', path: up });
  }

  #send(state: OpenState, packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#esp?.send(packet, now, out) !== true) this.#channel.send(packet, out.on(state.path));
  }

  get #openState(): OpenState | undefined {
    const state = this.#state;
    return state.name === 'opening' || state.name === 'up' ? state : undefined;
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}
