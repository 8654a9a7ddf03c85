/**
 * A client's Network Connect tunnel: the request for it, the hello, the configuration, and packets by TLS, or by ESP while that works.
 *
 * Read first: spec "Juniper NC", sections 5 to 7 and 9.
 *
 *   new ─► asking ─► greeting ─────────────► up ─────────────► closed
 *          request   hello; status, 301      303, 302; packets
 */
import { NetworkError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { weaknessOf } from '../../esp/key-block.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { commitBytes, commitStream } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { joined } from '../../wire/copy.ts';
import { ClientEsp, type EspWishes } from './client-esp.ts';
import { parseConfiguration, type ReceivedConfiguration, renderMtu } from './configuration.ts';
import { renderEspSwitch, renderKeys } from './esp-terms.ts';
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
  /** Undefined: everything by TLS. */
  readonly esp: EspWishes | undefined;
}

type TunnelState =
  | { readonly name: 'new' | 'opening' | 'closed' }
  | (OpenState & { readonly name: 'asking'; readonly parser: ResponseParser; readonly dueAt: Millis })
  | (OpenState & { readonly name: 'greeting'; readonly dueAt: Millis })
  | UpState;

interface OpenState {
  readonly path: Path;
  readonly facts: PathFacts;
}

interface UpState extends OpenState {
  readonly name: 'up';
  readonly esp: ClientEsp | undefined;
  /** Packets leave by ESP, and the gateway was told so. */
  usesEsp: boolean;
}

/** What messages said that came together, in their order. */
type News =
  | { readonly type: 'configuration'; readonly received: ReceivedConfiguration }
  | { readonly type: 'keys'; readonly payload: Uint8Array };

export class NcClientTunnel implements TunnelMachine {
  readonly #options: ClientTunnelOptions;
  readonly #channel = new OncpChannel({
    side: 'client',
    greeted: (content) => this.#greeted(content),
    told: (type, payload) => this.#told(type, payload),
    ending: meaningOfEnding,
  });
  readonly #news: News[] = [];
  #state: TunnelState = { name: 'new' };

  constructor(options: ClientTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (path.kind === 'datagram' && state.name === 'up' && state.esp !== undefined) {
      state.esp.side.opened(path, facts, now, out);
      this.#follow(state, now, out);
      return;
    }
    if (path.kind === 'datagram' || state.name !== 'opening') {
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
    if (!('path' in state)) return;
    if (state.path === path) {
      if (state.name === 'asking') this.#answered(state, bytes, now, out);
      else this.#received(bytes, now, out);
    } else if (state.name === 'up') {
      state.esp?.side.receive(path, bytes, now, out);
      this.#follow(state, now, out);
    }
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (path.kind === 'stream') {
      const isOurs = 'path' in state ? state.path === path : state.name === 'opening';
      if (isOurs) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
    } else if (state.name === 'up') {
      state.esp?.side.lost(path, why, now);
      this.#follow(state, now, out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'up') return;
    if (path.kind === 'datagram') {
      state.esp?.side.notice(path, notice, now, out);
      this.#follow(state, now, out);
    } else if (notice.type === 'keys-used-up') {
      this.#end({ kind: 'renew', message: 'The session’s keys are renewed.' }, out);
    }
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'up') return;
    if (!state.usesEsp || state.esp?.side.send(packet, now, out) !== true) this.#channel.send(packet, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name === 'new') return 0;
    if (state.name === 'up') return state.esp?.side.nextTimeout();
    return 'dueAt' in state ? state.dueAt : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new') {
      this.#state = { name: 'opening' };
      out.event({ type: 'open', plan: { to: 'gateway' } });
    } else if (state.name === 'up') {
      state.esp?.side.handleTimeout(now, out);
      this.#follow(state, now, out);
    } else if ('dueAt' in state && now >= state.dueAt) {
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
    const datagram = (state.name === 'up' ? state.esp?.side.status() : undefined) ?? { state: 'disabled' };
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
    if (rest.length > 0) this.#received(rest, now, out);
  }

  #received(bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'greeting' && state.name !== 'up') return;
    this.#channel.receive(bytes, out.on(state.path));
    const { ended } = this.#channel;
    if (ended === undefined) {
      this.#heed(now, out);
    } else {
      if (ended.kind === 'ended-by-peer') this.#options.log.log('warn', 'disconnected by gateway', { reason: ended.message });
      this.#end(ended, out);
    }
  }

  /** The status byte, behind which the configuration may follow at once (spec 5.4). */
  #greeted([status]: Uint8Array): number {
    if (status === STATUS_ONLY_PULSE) throw new PeerRefusedError('The gateway does not allow Network Connect. Try --protocol=pulse.');
    if (status !== STATUS_OK) throw new PeerMisbehavedError(`The gateway refused the tunnel with status ${status}.`);
    return 1;
  }

  #told(type: number, payload: Uint8Array): void {
    const { log, previous } = this.#options;
    if (type === KMP_TYPES.configuration) this.#news.push({ type: 'configuration', received: parseConfiguration(payload, previous) });
    else if (type === KMP_TYPES.keys) this.#news.push({ type: 'keys', payload: Uint8Array.from(payload) });
    else log.log('debug', 'message not used', { type });
  }

  #heed(now: Millis, out: TunnelSink): void {
    try {
      for (const news of this.#news.splice(0)) {
        const state = this.#state;
        if (news.type === 'configuration' && state.name === 'greeting') this.#configured(state, news.received, now, out);
        else if (news.type === 'keys' && state.name === 'up') this.#rekeyed(state, news.payload, now, out);
        else this.#options.log.log('debug', 'message not used', { type: news.type });
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
    }
  }

  /** The answer is one record, as openconnect has it (spec 6.5). */
  #configured({ path, facts }: OpenState, received: ReceivedConfiguration, now: Millis, out: TunnelSink): void {
    const { config, warnings } = received;
    for (const { problem, field, text } of warnings) this.#options.log.log('warn', 'configuration value', { problem, field, text });
    const esp = this.#espOf(received, facts, now);
    const settings = renderMtu(config.mtu);
    commitBytes(out.on(path), renderRecord(esp === undefined ? settings : joined(settings, renderKeys('client', esp.own))));
    const state: UpState = { name: 'up', path, facts, esp, usesEsp: false };
    this.#state = state;
    esp?.side.handleTimeout(now, out); // begins at once
    out.event({ type: 'config', config });
    const traffic = facts.engine ? this.#channel.handOver(config.mtu) : undefined;
    if (traffic !== undefined) out.event({ type: 'traffic', path, traffic });
    out.event({ type: 'up', path });
    this.#follow(state, now, out);
  }

  #espOf({ esp: offer, config }: ReceivedConfiguration, { remote }: PathFacts, now: Millis): ClientEsp | undefined {
    const { esp: wishes, log } = this.#options;
    if (wishes === undefined || offer === undefined) return undefined;
    // Spec 6.5: not where the connection is IPv6.
    const problem =
      remote.address.family === 6 ? 'the gateway is reached by IPv6' : weaknessOf(offer.terms.algorithms, wishes.allowsLegacy);
    if (problem === undefined) return new ClientEsp({ ...wishes, log, offer, tunnelMtu: config.mtu }, now);
    log.log('info', 'datagram disabled', { reason: problem });
    return undefined;
  }

  #rekeyed(state: UpState, payload: Uint8Array, now: Millis, out: TunnelSink): void {
    const { esp, path } = state;
    if (esp?.renew(payload, now, out) === true) commitBytes(out.on(path), renderRecord(renderKeys('client', esp.own)));
    this.#follow(state, now, out);
  }

  /** After whatever happened to ESP: whether packets leave by it. The gateway is told first (spec 6.7). */
  #follow(state: UpState, now: Millis, out: TunnelSink): void {
    if (this.#state !== state || state.esp === undefined) return;
    const { side } = state.esp;
    side.settle(now, out);
    const up = side.path ?? state.path;
    const usesEsp = up !== state.path;
    if (usesEsp === state.usesEsp) return;
    state.usesEsp = usesEsp;
    commitBytes(out.on(state.path), renderRecord(renderEspSwitch(usesEsp)));
    out.event({ type: 'up', path: up });
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
