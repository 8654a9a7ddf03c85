/**
 * A client's Network Connect tunnel over TLS: the request for it, the hello, the configuration, and packets.
 *
 * Read first: spec "Juniper NC", sections 5, 6 and 9.
 *
 *   new ─► asking ─► greeting ─────────────► up ─► closed
 *          request   hello; status, 301      303, packets
 */
import { NetworkError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { commitBytes, commitStream, type LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { parseConfiguration, renderMtu } from './configuration.ts';
import { KMP_TYPES } from './kmp-message.ts';
import { OncpChannel } from './oncp-channel.ts';
import { END_REASONS, renderHello, renderRecord, STATUS_OK, STATUS_ONLY_PULSE } from './oncp-record.ts';
import { denialIn } from './tunnel-request.ts';

/** How long a gateway may take for each answer before packets. */
const ANSWER_LIMIT: Millis = 60_000;

export interface ClientTunnelOptions {
  readonly log: Logger;
  readonly request: Uint8Array;
  /** The name that the gateway is told, for people. */
  readonly hostname: string;
  /** The configuration so far, on a reconnect. */
  readonly previous: TunnelConfig | undefined;
}

type TunnelState =
  | { readonly name: 'new' | 'opening' | 'closed' }
  | (OpenState & { readonly name: 'asking'; readonly parser: ResponseParser; readonly dueAt: Millis })
  | (OpenState & { readonly name: 'greeting'; readonly dueAt: Millis })
  | (OpenState & { readonly name: 'up' });

interface OpenState {
  readonly path: Path;
  readonly facts: PathFacts;
}

export class NcClientTunnel implements TunnelMachine {
  readonly #options: ClientTunnelOptions;
  readonly #channel = new OncpChannel({
    side: 'client',
    greeted: (content) => this.#greeted(content),
    told: (type, payload, out) => this.#told(type, payload, out),
    ending: meaningOfEnding,
  });
  #state: TunnelState = { name: 'new' };
  #config: TunnelConfig | undefined;

  constructor(options: ClientTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'opening') {
      out.event({ type: 'drop', path });
      return;
    }
    const parser = new ResponseParser();
    parser.expect('POST', { startsTunnel: true });
    this.#state = { name: 'asking', path, facts, parser, dueAt: now + ANSWER_LIMIT };
    commitStream(out.on(path), this.#options.request);
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (!('path' in state) || state.path !== path) return;
    if (state.name === 'asking') this.#answered(state, bytes, now, out);
    else this.#received(bytes, out);
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOurs = 'path' in state ? state.path === path : state.name === 'opening';
    if (isOurs) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(): void {}

  send(packet: Packet, _now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'up') this.#channel.send(packet, out.on(this.#state.path));
  }

  nextTimeout(): Millis | undefined {
    if (this.#state.name === 'new') return 0;
    return 'dueAt' in this.#state ? this.#state.dueAt : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'new') {
      this.#state = { name: 'opening' };
      out.event({ type: 'open', plan: { to: 'gateway' } });
    } else if ('dueAt' in this.#state && now >= this.#state.dueAt) {
      const error = new NetworkError('The gateway does not answer the request for a tunnel.');
      this.#end({ kind: 'path-lost', message: error.message, error }, out);
    }
  }

  /** Nothing is said: the session ends by a request of its own, and lives on without it (spec 9). */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const state = this.#state;
    const datagram = { state: 'disabled' } as const;
    if (!('path' in state)) return { stream: { state: state.name === 'closed' ? 'down' : 'connecting' }, datagram };
    const { tls } = state.facts;
    const cipher = tls !== undefined && { cipherSuite: tls.cipherSuite };
    return { stream: { state: state.name === 'up' ? 'connected' : 'connecting', ...cipher }, datagram };
  }

  #answered(state: Extract<TunnelState, { name: 'asking' }>, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const { path, facts, parser } = state;
    try {
      parser.push(bytes);
      const answer = parser.next()?.message;
      if (answer === undefined) return;
      const denial = denialIn(answer);
      if (denial !== undefined) {
        this.#end(denial, out);
        return;
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
      return;
    }
    this.#state = { name: 'greeting', path, facts, dueAt: now + ANSWER_LIMIT };
    commitBytes(out.on(path), renderHello(this.#options.hostname));
    const rest = parser.takeRest();
    if (rest.length > 0) this.#received(rest, out);
  }

  #received(bytes: Uint8Array, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'greeting' && state.name !== 'up') return;
    this.#channel.receive(bytes, out.on(state.path));
    const { ended } = this.#channel;
    if (ended !== undefined) {
      if (ended.kind === 'ended-by-peer') this.#options.log.log('warn', 'disconnected by gateway', { reason: ended.message });
      this.#end(ended, out);
    } else if (state.name === 'greeting' && this.#config !== undefined) {
      const { path, facts } = state;
      this.#state = { name: 'up', path, facts };
      out.event({ type: 'config', config: this.#config });
      out.event({ type: 'up', path });
    }
  }

  /** The status byte, behind which the configuration may follow at once (spec 5.4). */
  #greeted([status]: Uint8Array): number {
    if (status === STATUS_ONLY_PULSE) throw new PeerRefusedError('The gateway does not allow Network Connect. Try --protocol=pulse.');
    if (status !== STATUS_OK) throw new PeerMisbehavedError(`The gateway refused the tunnel with status ${status}.`);
    return 1;
  }

  /** Keys are for ESP, which was not asked for: they say nothing here. Observed: after the configuration there is nothing else. */
  #told(type: number, payload: Uint8Array, out: LayerSink): CloseReason | undefined {
    const { log, previous } = this.#options;
    if (type !== KMP_TYPES.configuration || this.#config !== undefined) {
      log.log('debug', 'message not used', { type });
      return undefined;
    }
    const { config, warnings } = parseConfiguration(payload, previous);
    for (const { problem, field, text } of warnings) log.log('warn', 'configuration value', { problem, field, text });
    this.#config = config;
    commitBytes(out, renderRecord(renderMtu(config.mtu)));
    return undefined;
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}

function meaningOfEnding(reason: number): CloseReason {
  switch (reason) {
    case END_REASONS.expired:
      return { kind: 'ended-by-peer', message: 'The gateway has ended the session: its time is over.' };
    case END_REASONS.idle:
      return { kind: 'ended-by-peer', message: 'The gateway has ended the session: nothing has passed for too long.' };
    default:
      return { kind: 'ended-by-peer', message: `The gateway has ended the session (reason ${reason}).` };
  }
}
