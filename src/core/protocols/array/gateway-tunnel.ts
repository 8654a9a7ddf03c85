/**
 * The gateway's tunnel, from the answer to its request to packets. The twin of `client-tunnel.ts`.
 *
 * Read first: spec "Array", sections 3, 4, 5.3, 6, 9 and 10.
 *
 *   new ── the connection whose request was read ──► asked for options ──► asked for settings ──► up ──► closed
 *
 * While it is up an association may join it (`gateway-datagrams.ts`). The stream stays, and the tunnel ends with it.
 */
import { NetworkError, SallyportError } from '../../errors.ts';
import { renderResponse } from '../../http/render.ts';
import type { Logger } from '../../log.ts';
import { PEER_DEAD } from '../../tunnel/keepalive.ts';
import { commitBytes, type LayerSink } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources, SourceFilter } from '../../tunnel/source-filter.ts';
import { TooBigPackets } from '../../tunnel/too-big-packets.ts';
import type { Cidr } from '../../wire/ip-address.ts';
import { streamTraffic } from './carried-packets.ts';
import { renderOptions, renderSettings, TUNNEL_MTU } from './configuration.ts';
import { CONTROL_TYPES } from './control-packet.ts';
import { MESSAGE_TYPES, RequestReader, renderAnswer } from './exchange-message.ts';
import { GatewayDatagrams } from './gateway-datagrams.ts';
import { PacketStream } from './packet-stream.ts';
import { renderAnswer as renderDatagramAnswer } from './speed-tunnel.ts';

/** How long a client may take for each question (spec 9). */
const QUESTION_LIMIT: Millis = 10_000;
/** Of an administrator who has set none (spec 5.3). */
const DEFAULT_KEEPALIVE: Millis = 10_000;
/** So many intervals of silence, and the client is gone (spec 5.3). */
const PATIENCE = 3;

export interface ArrayGatewayTunnelOptions {
  readonly log: Logger;
  readonly terms: SessionTerms;
  /** The UDP port that the client is told of; absent: there is no tunnel by UDP. */
  readonly datagramPort?: number;
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
  readonly #sources: readonly Cidr[];
  readonly #datagramPort: number | undefined;
  readonly #datagrams: GatewayDatagrams;
  readonly #tooBig = new TooBigPackets();
  #state: TunnelState = { name: 'new' };
  #cipherSuite: string | undefined;
  /** The engine can carry the stream. */
  #isCarried = false;
  #quietSince: Millis = 0;
  /** By which packets leave. */
  #out: Path | undefined;
  /** The client has said by the stream that UDP is gone. */
  #isDatagramGone = false;

  constructor({ log, terms, datagramPort }: ArrayGatewayTunnelOptions) {
    const { ipv6: _, ...config } = terms.config;
    this.#log = log;
    this.#config = config;
    this.#keepalive = terms.times.dpd || DEFAULT_KEEPALIVE; // 0: off, which this protocol has no word for
    const sources = innerSources({ ...terms, config });
    const filter = new SourceFilter(sources);
    const admits = (packet: Packet) => filter.allows(packet);
    const { linkMtu, switchToStreamAfter } = terms;
    this.#sources = sources;
    this.#datagramPort = datagramPort;
    this.#datagrams = new GatewayDatagrams({
      log,
      innerSources: sources,
      linkMtu,
      ...(switchToStreamAfter !== undefined && { switchToStreamAfter }),
    });
    this.#stream = new PacketStream({ admits, control: (type, out) => this.#control(type, out) });
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (path.kind === 'datagram' && this.#state.name === 'up' && this.#datagramPort !== undefined) {
      this.#datagrams.opened(path, facts, now, out);
      this.#route(out);
      return;
    }
    if (this.#state.name !== 'new' || path.kind !== 'stream') {
      out.event({ type: 'drop', path });
      return;
    }
    this.#cipherSuite = facts.tls?.cipherSuite;
    this.#isCarried = facts.engine;
    this.#state = { name: 'asked', path, stage: 'options', dueAt: now + QUESTION_LIMIT };
    const headers = [['Content-Length', '0']] as const;
    commitBytes(out.on(path), renderResponse({ version: '1.1', status: 200, reason: 'OK', headers, body: new Uint8Array(0) }));
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'up' && path.kind === 'datagram') {
      if (this.#datagrams.receive(path, bytes, now, out)) this.#quietSince = now;
      this.#route(out);
      return;
    }
    if ((state.name !== 'asked' && state.name !== 'up') || state.path !== path) return;
    this.#quietSince = now;
    try {
      if (state.name === 'asked') this.#asked(bytes, now, out);
      else this.#stream.receive(bytes, out.on(path));
      if (this.#isDatagramGone) this.#dropDatagrams(now, out);
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
    }
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOurs = (state.name === 'asked' || state.name === 'up') && state.path === path;
    if (isOurs) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
    this.#datagrams.lost(path, why, out);
    this.#route(out);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'up') return;
    if (notice.type === 'carried') this.#quietSince = Math.max(this.#quietSince, notice.heardAt);
    if (notice.type === 'carried' && path === this.#state.path) this.#quietSince = Math.max(this.#quietSince, notice.sentAt);
    this.#datagrams.notice(path, notice, now, out);
    this.#route(out);
  }

  /**
   * A client that gets packets by the stream has no reason to ask: there silence counts from the last packet either way. One that gets them by UDP asks by
   * the stream meanwhile (spec 5.3): nobody need be there to whom they are sent.
   */
  send(packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'up') return;
    const { path } = this.#state;
    if (packet.end - packet.start <= TUNNEL_MTU) this.#sendWhole(packet, path, now, out);
    else this.#tooBig.handle(packet, TUNNEL_MTU, now, out.on(path), (fragment) => this.#sendWhole(fragment, path, now, out));
  }

  #sendWhole(packet: Packet, stream: Path, now: Millis, out: TunnelSink): void {
    if (this.#datagrams.send(packet, now, out)) return;
    this.#stream.send(packet, out.on(stream));
    this.#quietSince = now;
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name === 'asked') return state.dueAt;
    if (state.name !== 'up') return undefined;
    return Math.min(this.#deadAt, this.#datagrams.nextTimeout() ?? Number.POSITIVE_INFINITY);
  }

  get #deadAt(): Millis {
    return this.#quietSince + PATIENCE * this.#keepalive;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'up') {
      this.#datagrams.handleTimeout(now);
      this.#route(out);
    }
    const due = state.name === 'asked' ? state.dueAt : state.name === 'up' ? this.#deadAt : undefined;
    if (due === undefined || now < due) return;
    const error = new NetworkError('The client no longer answers.', { code: PEER_DEAD });
    this.#end({ kind: 'path-lost', message: error.message, error }, out);
  }

  /** No word of it is known: a client whose stream ends comes back, and hears then that there is no session (spec 7). */
  close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    if (this.#state.name === 'up') this.#datagrams.drop(now, out);
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const { name } = this.#state;
    return {
      stream: {
        state: name === 'up' ? 'connected' : name === 'closed' ? 'down' : 'connecting',
        ...(this.#cipherSuite !== undefined && { cipherSuite: this.#cipherSuite }),
      },
      datagram: this.#datagramPort === undefined ? { state: 'disabled' } : this.#datagrams.status(),
    };
  }

  #control(type: number, out: LayerSink): void {
    switch (type) {
      case CONTROL_TYPES.keepalive:
        this.#stream.sendControl(type, out);
        break;
      case CONTROL_TYPES.datagram:
        // A client that asks waits for an answer, which without a payload is a no (spec 6.1).
        if (this.#datagramPort === undefined) this.#stream.sendControl(type, out);
        else commitBytes(out, renderDatagramAnswer(this.#datagramPort));
        break;
      case CONTROL_TYPES.datagramGone:
        this.#isDatagramGone = true;
        break;
    }
  }

  #dropDatagrams(now: Millis, out: TunnelSink): void {
    this.#isDatagramGone = false;
    this.#datagrams.drop(now, out);
    this.#route(out);
  }

  /** Says by which path packets leave from now on, if it is another. */
  #route(out: TunnelSink): void {
    if (this.#state.name !== 'up') return;
    const path = this.#datagrams.path ?? this.#state.path;
    if (path === this.#out) return;
    this.#out = path;
    out.event({ type: 'up', path });
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
    if (rest === undefined || state.name !== 'up') return;
    if (rest.length > 0) this.#stream.receive(rest, out.on(state.path));
    if (!this.#isCarried) return;
    const traffic = { ...streamTraffic(this.#stream.takePartial()), innerSources: this.#sources };
    out.event({ type: 'traffic', path: state.path, traffic });
  }

  #tellOptions(path: Path, now: Millis, out: TunnelSink): void {
    const answer = renderAnswer(
      MESSAGE_TYPES.optionsAnswer,
      renderOptions({ hasDatagrams: this.#datagramPort !== undefined, keepalive: this.#keepalive }),
    );
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
    this.#route(out);
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}
