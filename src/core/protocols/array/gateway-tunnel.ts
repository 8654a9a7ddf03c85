/**
 * The gateway's tunnel, from the answer to its request to packets. The twin of `client-tunnel.ts`.
 *
 * Read first: spec "Array", sections 3, 4, 5.3, 9 and 10.
 *
 *   new ── the connection whose request was read ──► asked for options ──► asked for settings ──► up ──► closed
 */
import { NetworkError, SallyportError } from '../../errors.ts';
import { renderResponse } from '../../http/render.ts';
import { tooBig } from '../../ip/too-big.ts';
import type { Logger } from '../../log.ts';
import { innerSources } from '../../ppp/gateway-terms.ts';
import { AnswerLimit } from '../../tunnel/answer-limit.ts';
import { PEER_DEAD } from '../../tunnel/keepalive.ts';
import { commitBytes } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { SourceFilter } from '../../tunnel/source-filter.ts';
import { renderOptions, renderSettings, TUNNEL_MTU } from './configuration.ts';
import { CONTROL_TYPES } from './control-packet.ts';
import { MESSAGE_TYPES, RequestReader, renderAnswer } from './exchange-message.ts';
import { PacketStream } from './packet-stream.ts';

/** How long a client may take for each question (spec 9). */
const QUESTION_LIMIT: Millis = 10_000;
/** Of an administrator who has set none (spec 5.3). */
const DEFAULT_KEEPALIVE: Millis = 10_000;
/** So many intervals of silence, and the client is gone (spec 5.3). */
const PATIENCE = 3;
/** Senders that are told of the tunnel's MTU, a second. */
const MAX_ERRORS = 100;

export interface ArrayGatewayTunnelOptions {
  readonly log: Logger;
  readonly terms: SessionTerms;
}

type TunnelState =
  | { readonly name: 'new' }
  | { readonly name: 'asked'; readonly path: Path; readonly stage: 'options' | 'settings'; readonly dueAt: Millis }
  | { readonly name: 'up'; readonly path: Path }
  | { readonly name: 'closed' };

export class ArrayGatewayTunnel implements TunnelMachine {
  readonly #log: Logger;
  /** Of IPv4, which is all that the protocol has. */
  readonly #config: SessionTerms['config'];
  readonly #keepalive: Millis;
  readonly #requests = new RequestReader();
  readonly #stream: PacketStream;
  readonly #errors = new AnswerLimit(MAX_ERRORS, 1000);
  #state: TunnelState = { name: 'new' };
  #cipherSuite: string | undefined;
  #quietSince: Millis = 0;

  constructor({ log, terms }: ArrayGatewayTunnelOptions) {
    const { ipv6: _, ...config } = terms.config;
    this.#log = log;
    this.#config = config;
    this.#keepalive = terms.times.dpd ?? DEFAULT_KEEPALIVE;
    const filter = new SourceFilter(innerSources({ ...terms, config }));
    this.#stream = new PacketStream({
      admits: (packet) => filter.allows(packet),
      control: (type, out) => {
        if (type === CONTROL_TYPES.keepalive) this.#stream.sendControl(type, out);
        // Nothing was offered: a client that asks all the same waits for an answer, which without a payload is a no (spec 6.1).
        if (type === CONTROL_TYPES.datagram) this.#stream.sendControl(type, out);
      },
    });
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'new' || path.kind !== 'stream') {
      out.event({ type: 'drop', path });
      return;
    }
    this.#cipherSuite = facts.tls?.cipherSuite;
    this.#state = { name: 'asked', path, stage: 'options', dueAt: now + QUESTION_LIMIT };
    const headers = [['Content-Length', '0']] as const;
    commitBytes(out.on(path), renderResponse({ version: '1.1', status: 200, reason: 'OK', headers, body: new Uint8Array(0) }));
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if ((state.name !== 'asked' && state.name !== 'up') || state.path !== path) return;
    this.#quietSince = now;
    try {
      if (state.name === 'asked') this.#asked(bytes, now, out);
      else this.#stream.receive(bytes, out.on(path));
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
    }
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOurs = (state.name === 'asked' || state.name === 'up') && state.path === path;
    if (isOurs) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(_path: Path, _notice: PathNotice): void {
    // A stream that no engine carries has nothing to tell.
  }

  /** A client that gets packets has no reason to ask: silence counts from the last packet either way. */
  send(packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'up') return;
    const sink = out.on(this.#state.path);
    this.#quietSince = now;
    if (packet.end - packet.start <= TUNNEL_MTU) {
      this.#stream.send(packet, sink);
      return;
    }
    // We are the router in front of a link with an MTU of its own.
    const verdict = tooBig(packetBytes(packet), TUNNEL_MTU);
    if (verdict.type === 'fragments') for (const fragment of verdict.packets) this.#stream.send(packetOf(fragment), sink);
    else if (verdict.type === 'answer' && this.#errors.allows(now)) sink.packet(packetOf(verdict.packet));
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name === 'asked') return state.dueAt;
    return state.name === 'up' ? this.#quietSince + PATIENCE * this.#keepalive : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const due = this.nextTimeout();
    if (due === undefined || now < due) return;
    const error = new NetworkError('The client no longer answers.', { code: PEER_DEAD });
    this.#end({ kind: 'path-lost', message: error.message, error }, out);
  }

  /** No word of it is known: a client whose stream ends comes back, and hears then that there is no session (spec 7). */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const { name } = this.#state;
    return {
      stream: {
        state: name === 'up' ? 'connected' : name === 'closed' ? 'down' : 'connecting',
        ...(this.#cipherSuite !== undefined && { cipherSuite: this.#cipherSuite }),
      },
      datagram: { state: 'disabled' },
    };
  }

  /** A client asks the second question when it has read the first one's answer; one that does not wait is served all the same. */
  #asked(bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    let rest: Uint8Array | undefined = bytes;
    for (let state = this.#state; rest !== undefined && state.name === 'asked'; state = this.#state) {
      const { path, stage } = state;
      rest = this.#requests.push(stage === 'options' ? MESSAGE_TYPES.options : MESSAGE_TYPES.settings, rest);
      if (rest === undefined) return;
      if (stage === 'options') this.#tellOptions(path, now, out);
      else this.#tellSettings(path, now, out);
    }
    const state = this.#state;
    if (rest !== undefined && rest.length > 0 && state.name === 'up') this.#stream.receive(rest, out.on(state.path));
  }

  #tellOptions(path: Path, now: Millis, out: TunnelSink): void {
    const answer = renderAnswer(MESSAGE_TYPES.optionsAnswer, renderOptions({ hasDatagrams: false, keepalive: this.#keepalive }));
    if (answer !== undefined) commitBytes(out.on(path), answer);
    this.#state = { name: 'asked', path, stage: 'settings', dueAt: now + QUESTION_LIMIT };
  }

  #tellSettings(path: Path, now: Millis, out: TunnelSink): void {
    const [log, config] = [this.#log, this.#config];
    const answer = config.ipv4 && renderAnswer(MESSAGE_TYPES.settingsAnswer, renderSettings(config));
    if (answer === undefined) {
      const message =
        config.ipv4 === undefined ? 'There is no IPv4 address for this client.' : 'The routes do not fit the protocol’s answer.';
      log.log('error', 'no tunnel', { reason: message });
      this.#end({ kind: 'unusable', message }, out);
      return;
    }
    commitBytes(out.on(path), answer);
    this.#state = { name: 'up', path };
    this.#quietSince = now;
    log.log('info', 'stream up', { mtu: TUNNEL_MTU });
    out.event({ type: 'config', config: { ...config, mtu: TUNNEL_MTU } });
    out.event({ type: 'up', path });
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}
