/**
 * A gateway's Network Connect tunnel over TLS: the answer to the request for it, the status, the configuration, and packets.
 *
 * Read first: spec "Juniper NC", sections 5, 6 and 9.
 *
 *   answer ─► hello? ─► status, configuration ─► settings? ─► packets ─► 00 00 reason
 */
import { NetworkError, type SallyportError } from '../../errors.ts';
import { renderResponse } from '../../http/render.ts';
import { tooBig } from '../../ip/too-big.ts';
import type { Logger } from '../../log.ts';
import { AnswerLimit } from '../../tunnel/answer-limit.ts';
import { MIN_MTU_IPV4, type TunnelConfig } from '../../tunnel/config.ts';
import { commitBytes, type LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { SourceFilter } from '../../tunnel/source-filter.ts';
import { parseSettings, renderConfiguration } from './configuration.ts';
import { KMP_TYPES } from './kmp-message.ts';
import { OncpChannel } from './oncp-channel.ts';
import { END_REASONS, helloName, renderEnding, renderRecord, renderRecords, STATUS_OK } from './oncp-record.ts';

/** What TLS or ESP, UDP and IP add to a packet at worst, in round figures: 1400 bytes pass where 1500 do. */
const OVERHEAD = 100;

/** Senders that are told of the tunnel's MTU, a second. */
const MAX_ERRORS = 100;

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
}

export interface GatewayTunnelOptions {
  readonly log: Logger;
  readonly terms: SessionTerms;
}

export class NcGatewayTunnel implements TunnelMachine {
  readonly #options: GatewayTunnelOptions;
  readonly #config: TunnelConfig;
  readonly #channel: OncpChannel;
  readonly #errors = new AnswerLimit(MAX_ERRORS, 1000);
  #state: TunnelState = { name: 'new' };
  /** The client was told its configuration: it is up, for all it knows. */
  #isConfigured = false;
  /** The client has said its settings. */
  #isSettled = false;

  constructor(options: GatewayTunnelOptions) {
    const { terms } = options;
    const { ipv6: _, ...config } = terms.config; // the protocol has none
    this.#options = options;
    this.#config = { ...config, mtu: Math.max(terms.linkMtu - OVERHEAD, MIN_MTU_IPV4) };
    const own = config.ipv4 === undefined ? [] : [{ address: config.ipv4.address, prefix: 32 }];
    const filter = new SourceFilter([...own, ...terms.clientNetworks]);
    this.#channel = new OncpChannel({
      side: 'gateway',
      greeted: (content, out) => this.#greeted(content, out),
      told: (type, payload) => this.#told(type, payload),
      ending: () => ({ kind: 'misbehaved', message: 'A client cannot end a session by a record.' }),
      admits: (packet) => this.#isSettled && filter.allows(packet),
    });
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'new') {
      out.event({ type: 'drop', path });
      return;
    }
    this.#state = { name: 'opening', path, facts, dueAt: now + ANSWER_LIMIT };
    commitBytes(out.on(path), ANSWER);
  }

  receive(path: Path, bytes: Uint8Array, _now: Millis, out: TunnelSink): void {
    const state = this.#openOn(path);
    if (state === undefined) return;
    this.#channel.receive(bytes, out.on(path));
    if (this.#channel.ended !== undefined) {
      this.#end(this.#channel.ended, out);
    } else if (this.#isSettled && state.name === 'opening') {
      this.#state = { ...state, name: 'up' };
      out.event({ type: 'config', config: this.#config });
      out.event({ type: 'up', path });
    }
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    if (this.#openOn(path) !== undefined) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(): void {}

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'up') return;
    const { mtu } = this.#config;
    if (packet.end - packet.start <= mtu) this.#channel.send(packet, out.on(state.path));
    else this.#tooBig(packet, mtu, now, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    return this.#state.name === 'opening' ? this.#state.dueAt : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'opening' || now < this.#state.dueAt) return;
    const error = new NetworkError('The client has asked for a tunnel and says nothing.');
    this.#end({ kind: 'path-lost', message: error.message, error }, out);
  }

  /** Who is told why does not come back; of a tunnel that another one has replaced nothing is said. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOpen = state.name === 'opening' || state.name === 'up';
    if (isOpen && this.#isConfigured && reason.kind !== 'replaced' && reason.kind !== 'path-lost' && reason.kind !== 'renew') {
      const code = reason.kind === 'expired' ? END_REASONS.expired : END_REASONS.terminated;
      commitBytes(out.on(state.path), renderEnding(code));
    }
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const state = this.#state;
    if (state.name === 'new' || state.name === 'closed') {
      return { stream: { state: state.name === 'new' ? 'connecting' : 'down' }, datagram: { state: 'disabled' } };
    }
    const { tls } = state.facts;
    const cipher = tls !== undefined && { cipherSuite: tls.cipherSuite };
    return { stream: { state: state.name === 'up' ? 'connected' : 'connecting', ...cipher }, datagram: { state: 'disabled' } };
  }

  #greeted(content: Uint8Array, out: LayerSink): number {
    this.#options.log.log('debug', 'client greeted', { hostname: helloName(content) });
    commitBytes(out, renderRecord(Uint8Array.of(STATUS_OK)));
    for (const record of renderRecords(renderConfiguration(this.#config, this.#options.terms.gatewayIpv4))) commitBytes(out, record);
    this.#isConfigured = true;
    return content.length;
  }

  #told(type: number, payload: Uint8Array): CloseReason | undefined {
    if (type !== KMP_TYPES.settings) {
      this.#options.log.log('debug', 'unknown message', { type });
      return undefined;
    }
    if (parseSettings(payload).mtu !== undefined) this.#isSettled = true;
    return undefined;
  }

  /** We are the router in front of a link with an MTU of its own. */
  #tooBig(packet: Packet, mtu: number, now: Millis, out: LayerSink): void {
    const verdict = tooBig(packetBytes(packet), mtu);
    if (verdict.type === 'fragments') for (const fragment of verdict.packets) this.#channel.send(packetOf(fragment), out);
    else if (verdict.type === 'answer' && this.#errors.allows(now)) out.packet(packetOf(verdict.packet));
  }

  #openOn(path: Path): OpenState | undefined {
    const state = this.#state;
    return (state.name === 'opening' || state.name === 'up') && state.path === path ? state : undefined;
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}
