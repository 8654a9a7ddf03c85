/**
 * The client's tunnel: one connection over TLS, a bare request, and frames.
 *
 * Read first: spec "GlobalProtect", sections 9.3 to 9.5 and 11.
 *
 *   new ── open ──► asked ── START_TUNNEL ──► up ── timeout - 60 s ──► closed (renew)
 *                     └── an answer of HTTP's ──► closed (refused)
 */
import { NetworkError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../errors.ts';
import { ResponseParser } from '../../http/response-parser.ts';
import type { Logger } from '../../log.ts';
import type { TunnelConfig } from '../../tunnel/config.ts';
import { commitBytes } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import { joined } from '../../wire/copy.ts';
import { printable, utf8 } from '../../wire/text.ts';
import { START_TUNNEL } from './frame.ts';
import { StreamLink } from './stream-link.ts';

export interface GpClientTunnelOptions {
  readonly log: Logger;
  /** Holds the cookie. */
  readonly request: Uint8Array;
  readonly config: Omit<TunnelConfig, 'mtu' | 'expiresAt'>;
  readonly mtuOf: (facts: PathFacts) => number;
  readonly dpd: Millis;
  /** How long session and tunnel last, from the machine's start on. */
  readonly lifetime?: Millis;
  readonly renewAfter?: Millis;
}

/** How long a gateway may take to answer the request. */
const ANSWER_LIMIT: Millis = 60_000;
const GRANTED = utf8(START_TUNNEL);

type TunnelState =
  | { readonly name: 'new' }
  | { readonly name: 'opening' }
  | { readonly name: 'asked'; readonly path: Path; readonly facts: PathFacts; readonly until: Millis }
  | { readonly name: 'up'; readonly path: Path; readonly facts: PathFacts; readonly link: StreamLink }
  | { readonly name: 'closed' };

export class GpClientTunnel implements TunnelMachine {
  readonly #options: GpClientTunnelOptions;
  readonly #parser = new ResponseParser();
  #state: TunnelState = { name: 'new' };
  /** The beginning of an answer that may be a yes. */
  #received: Uint8Array = new Uint8Array(0);
  /** The answer is HTTP's. */
  #isDenial = false;
  #startedAt: Millis = 0;

  constructor(options: GpClientTunnelOptions) {
    this.#options = options;
    this.#parser.expect('GET');
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (path.kind !== 'stream' || this.#state.name !== 'opening') {
      out.event({ type: 'drop', path });
      return;
    }
    this.#state = { name: 'asked', path, facts, until: now + ANSWER_LIMIT };
    commitBytes(out.on(path), this.#options.request);
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'asked' && state.path === path) {
      this.#answered(state, bytes, now, out);
    } else if (state.name === 'up' && state.path === path) {
      state.link.receive(bytes, now, out.on(path));
      if (state.link.ended !== undefined) this.#end(state.link.ended, out);
    }
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    const isOurs = state.name === 'opening' ? path.kind === 'stream' : 'path' in state && state.path === path;
    if (isOurs) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(): void {}

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'up') state.link.send(packet, now, out.on(state.path));
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    switch (state.name) {
      case 'new':
        return 0;
      case 'asked':
        return state.until;
      case 'up': {
        const due = Math.min(state.link.nextTimeout() ?? Number.POSITIVE_INFINITY, this.#renewAt);
        return due === Number.POSITIVE_INFINITY ? undefined : due;
      }
      case 'opening':
      case 'closed':
        return undefined;
      default:
        return state satisfies never;
    }
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'new') {
      this.#startedAt = now;
      this.#state = { name: 'opening' };
      out.event({ type: 'open', plan: { to: 'gateway' } });
    } else if (state.name === 'asked' && now >= state.until) {
      const error = new NetworkError(`The gateway did not answer the request for a tunnel within ${ANSWER_LIMIT / 1000} seconds.`);
      this.#end({ kind: 'path-lost', message: error.message, error }, out);
    } else if (state.name === 'up') {
      if (now >= this.#renewAt) {
        this.#end({ kind: 'renew', message: 'The tunnel’s time is over.' }, out);
        return;
      }
      state.link.handleTimeout(now, out.on(state.path));
      if (state.link.ended !== undefined) this.#end(state.link.ended, out);
    }
  }

  /** There is no goodbye in the tunnel: the log-out is a request of its own. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const state = this.#state;
    const datagram = { state: 'disabled' } as const;
    switch (state.name) {
      case 'up': {
        const cipherSuite = state.facts.tls?.cipherSuite;
        const rekeyAt = this.#renewAt;
        return {
          stream: {
            state: 'established',
            ...(cipherSuite !== undefined && { cipherSuite }),
            ...(rekeyAt !== Number.POSITIVE_INFINITY && { rekeyAt }),
          },
          datagram,
        };
      }
      case 'closed':
        return { stream: { state: 'down' }, datagram };
      default:
        return { stream: { state: 'connecting' }, datagram };
    }
  }

  get #renewAt(): Millis {
    const { renewAfter } = this.#options;
    return renewAfter === undefined ? Number.POSITIVE_INFINITY : this.#startedAt + renewAfter;
  }

  #answered(state: Extract<TunnelState, { name: 'asked' }>, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (this.#isDenial) {
      this.#denied(bytes, out);
      return;
    }
    const received = joined(this.#received, bytes);
    this.#isDenial = !GRANTED.every((byte, i) => received[i] === undefined || received[i] === byte);
    if (this.#isDenial) {
      this.#denied(received, out);
      return;
    }
    this.#received = received;
    if (received.length < GRANTED.length) return;
    this.#received = new Uint8Array(0);
    const { config, mtuOf, dpd, lifetime, log } = this.#options;
    const link = new StreamLink({ dpd }, now);
    const { path, facts } = state;
    const mtu = mtuOf(facts);
    this.#state = { name: 'up', path, facts, link };
    log.log('debug', 'tunnel granted', { mtu });
    const expiresAt = lifetime === undefined ? {} : { expiresAt: this.#startedAt + lifetime };
    out.event({ type: 'config', config: { ...config, mtu, ...expiresAt } });
    out.event({ type: 'up', path });
    this.receive(path, received.subarray(GRANTED.length), now, out);
  }

  /** Spec 8.1: 502 is a cookie that is not taken. The parser has limits of its own. */
  #denied(received: Uint8Array, out: TunnelSink): void {
    try {
      this.#parser.push(received);
      const answer = this.#parser.next()?.message;
      if (answer === undefined) return;
      const said = `${answer.status} ${printable(answer.reason)}`;
      if (answer.status === 502 || (answer.status >= 300 && answer.status < 500)) {
        const message = `The gateway does not take the cookie for a tunnel (${said}).`;
        this.#end({ kind: 'refused', message, error: new PeerRefusedError(message) }, out);
      } else {
        const message = `The gateway answered the request for a tunnel with ${said}.`;
        this.#end({ kind: 'unusable', message, error: new PeerMisbehavedError(message) }, out);
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      this.#end({ kind: 'misbehaved', message: error.message, error }, out);
    }
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}
