/**
 * The gateway's tunnel: its configuration on the connection on which the client has logged in, then packets.
 *
 * Read first: spec "Pulse", sections 8, 9 and 11.
 *
 *   new ── the client's connection ──► open ──► closed
 */
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { innerSources } from '../../ppp/gateway-terms.ts';
import { MIN_MTU_IPV4, MIN_MTU_IPV6, type TunnelConfig } from '../../tunnel/config.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { SourceFilter } from '../../tunnel/source-filter.ts';
import { MAX_ROUTES, renderConfiguration } from './configuration.ts';
import { encodeFatalError, FATAL_ERRORS } from './fatal-error.ts';
import { IftChannel } from './ift-channel.ts';
import { IFT_KINDS, type IftWriter } from './ift-packet.ts';

/** What TLS, IP and TCP add to a packet at worst, in round figures: 1400 bytes pass where 1500 do. */
const OVERHEAD = 100;

export interface GatewayTunnelOptions {
  readonly log: Logger;
  readonly terms: SessionTerms;
  /** Goes on counting where the log-in has left off. */
  readonly writer: IftWriter;
}

type TunnelState = { readonly name: 'new' } | OpenState | { readonly name: 'closed' };

interface OpenState {
  readonly name: 'open';
  readonly path: Path;
  readonly channel: IftChannel;
  readonly cipherSuite: string | undefined;
}

export class GatewayTunnel implements TunnelMachine {
  readonly #options: GatewayTunnelOptions;
  #state: TunnelState = { name: 'new' };

  constructor(options: GatewayTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, _now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'new' || path.kind !== 'stream') {
      out.event({ type: 'drop', path });
      return;
    }
    const { log, terms, writer } = this.#options;
    const { gatewayIpv4 } = terms;
    const config: TunnelConfig = { ...terms.config, mtu: mtuOf(terms) };
    let configuration: Uint8Array;
    try {
      configuration = renderConfiguration({ config, ...(gatewayIpv4 !== undefined && { gatewayIpv4 }) });
    } catch (error) {
      const { message } = error as SallyportError; // it throws nothing else
      this.#close({ kind: 'unusable', message, error: error as SallyportError }, out);
      return;
    }
    const routes = [...config.include, ...config.exclude].filter(({ address }) => address.family === 4).length;
    if (routes > MAX_ROUTES) log.log('warn', 'routes left out', { count: routes - MAX_ROUTES });
    const sources = innerSources(terms);
    const filter = new SourceFilter(sources);
    const channel = new IftChannel({ writer, meaningOf, admits: (packet) => filter.allows(packet) });
    this.#state = { name: 'open', path, channel, cipherSuite: facts.tls?.cipherSuite };
    channel.sendControl(IFT_KINDS.configuration, configuration, out.on(path));
    channel.sendControl(IFT_KINDS.endOfConfiguration, new Uint8Array(4), out.on(path));
    log.log('info', 'stream up', { mtu: config.mtu });
    out.event({ type: 'config', config });
    if (facts.engine) out.event({ type: 'traffic', path, traffic: channel.handOver(config.mtu, sources) });
    out.event({ type: 'up', path });
  }

  receive(path: Path, bytes: Uint8Array, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open' || path !== state.path) return;
    state.channel.receive(bytes, out.on(path));
    const { ended } = state.channel;
    if (ended?.kind === 'misbehaved') this.#end(ended, out);
    else if (ended !== undefined) this.#close(ended, out);
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'open' && path === this.#state.path) this.#close({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  /** Nothing depends on when the client was heard: this channel has no keepalive (spec 9). */
  notice(_path: Path, _notice: PathNotice, _now: Millis, _out: TunnelSink): void {}

  /** Of any size: a client takes packets above its MTU (spec 12). */
  send(packet: Packet, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'open') state.channel.send(packet, out.on(state.path));
  }

  nextTimeout(): undefined {
    return undefined;
  }

  handleTimeout(_now: Millis, _out: TunnelSink): void {}

  /** Spec 11: a client that was told does not come back by itself. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(_now: Millis): TunnelStatus {
    const state = this.#state;
    if (state.name !== 'open') return { stream: { state: state.name === 'new' ? 'connecting' : 'down' }, datagram: { state: 'disabled' } };
    const { cipherSuite } = state;
    return { stream: { state: 'connected', ...(cipherSuite !== undefined && { cipherSuite }) }, datagram: { state: 'disabled' } };
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
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

/** What we do not know of is passed over (spec 3.1). */
function meaningOf(kind: number): CloseReason | undefined {
  return kind === IFT_KINDS.logOut ? { kind: 'log-off', message: 'The user has left.' } : undefined;
}

function mtuOf({ linkMtu, config: { ipv6 } }: SessionTerms): number {
  return Math.max(linkMtu - OVERHEAD, ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6);
}
