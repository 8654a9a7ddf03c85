/**
 * The gateway's tunnel for vendors that carry PPP. One path, on which everything that is the vendor's was said before: the twin of a client's carrier, not
 * of its whole tunnel, for a client that goes from TLS to UDP begins a new tunnel there, and the newest of a session wins.
 *
 * Read first: spec "PPP", sections 11 and 13.
 */
import type { SallyportError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { TunnelConfig } from '../tunnel/config.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import { TooBigPackets } from '../tunnel/too-big-packets.ts';
import type { PppCarrier } from './carrier.ts';
import { HandOver } from './hand-over.ts';
import type { PppTerms } from './link-options.ts';

export interface PppGatewayTunnelOptions {
  readonly log: Logger;
  /** What the client was told; PPP adds the MTU. */
  readonly config: Omit<TunnelConfig, 'mtu'>;
  /** Makes the carrier for the one path. */
  readonly carry: (path: Path, facts: PathFacts) => PppCarrier;
}

/** How long a client that has said goodbye has to close the path (spec "PPP", section 11). */
const LEAVE_LIMIT: Millis = 1000;

/** It may come back with its cookie: a log-out is a request of its own. */
const LEFT: CloseReason = { kind: 'detach', message: 'The client has ended the tunnel.' };

type TunnelState =
  | { readonly name: 'new' }
  | { readonly name: 'open'; readonly carrier: PppCarrier }
  /** A goodbye was said, and is waited for. */
  | { readonly name: 'closing'; readonly carrier: PppCarrier; readonly reason: CloseReason }
  /** The client has said goodbye, and closes the path itself; it would take one that is closed for it as lost. */
  | { readonly name: 'left'; readonly carrier: PppCarrier; readonly until: Millis }
  | { readonly name: 'closed' };

export class PppGatewayTunnel implements TunnelMachine {
  readonly #options: PppGatewayTunnelOptions;
  readonly #handOver = new HandOver();
  /** Spec "PPP", section 10.2: we are the router in front of a link with an MTU of its own. */
  readonly #tooBig = new TooBigPackets();
  #state: TunnelState = { name: 'new' };
  #terms: PppTerms | undefined;

  constructor(options: PppGatewayTunnelOptions) {
    this.#options = options;
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (this.#state.name !== 'new') {
      out.event({ type: 'drop', path });
      return;
    }
    const carrier = this.#options.carry(path, facts);
    this.#state = { name: 'open', carrier };
    carrier.handleTimeout(now, out.on(path)); // PPP begins at once
    this.#follow(now, out);
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    const carrier = this.#carrierOf(path);
    if (carrier === undefined) return;
    carrier.receive(bytes, now, out.on(path));
    this.#follow(now, out);
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'left' && state.carrier.path === path) this.#end(LEFT, out);
    else if (this.#carrierOf(path) !== undefined) {
      this.#end(state.name === 'closing' ? state.reason : { kind: 'path-lost', message: why.message, error: why }, out);
    }
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    this.#carrierOf(path)?.notice(notice, now);
    this.#follow(now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open') return;
    const { carrier } = state;
    const path = out.on(carrier.path);
    if (this.#terms === undefined || packet.end - packet.start <= this.#terms.mtu) carrier.send(packet, now, path);
    else this.#tooBig.handle(packet, this.#terms.mtu, now, path, (fragment) => carrier.send(fragment, now, path));
  }

  nextTimeout(): Millis | undefined {
    const state = this.#state;
    if (state.name === 'left') return state.until;
    return state.name === 'open' || state.name === 'closing' ? state.carrier.nextTimeout() : undefined;
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'left' && now >= state.until) this.#end(LEFT, out);
    if (state.name !== 'open' && state.name !== 'closing') return;
    state.carrier.handleTimeout(now, out.on(state.carrier.path));
    this.#follow(now, out);
  }

  /** Observed: a client that is told why ends; one that is told nothing stays with a dead tunnel until its connection closes. */
  close(reason: CloseReason, now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name === 'closing' || state.name === 'closed') return;
    // Who is there now has left this path already.
    if (state.name === 'new' || state.name === 'left' || reason.kind === 'replaced') {
      this.#end(reason, out);
      return;
    }
    this.#state = { name: 'closing', carrier: state.carrier, reason };
    state.carrier.close(now, out.on(state.carrier.path), reason.message);
    this.#follow(now, out);
  }

  status(): TunnelStatus {
    const state = this.#state;
    if (state.name !== 'open' && state.name !== 'closing') {
      return { stream: { state: state.name === 'new' ? 'connecting' : 'down' }, datagram: { state: 'disabled' } };
    }
    const { carrier } = state;
    const status = { ...carrier.status, ...(carrier.state.name !== 'up' && { state: 'connecting' as const }) };
    return carrier.path.kind === 'stream'
      ? { stream: status, datagram: { state: 'disabled' } }
      : { stream: { state: 'down' }, datagram: status };
  }

  /** After whatever happened. */
  #follow(now: Millis, out: TunnelSink): void {
    const state = this.#state;
    if (state.name !== 'open' && state.name !== 'closing') return;
    const { carrier } = state;
    if (carrier.state.name === 'over') {
      if (state.name === 'closing') this.#end(state.reason, out);
      else if (carrier.state.reason.kind === 'ended-by-peer') this.#state = { name: 'left', carrier, until: now + LEAVE_LIMIT };
      else this.#end(carrier.state.reason, out);
      return;
    }
    if (state.name === 'open' && this.#terms !== undefined) this.#handOver.follow(carrier, out);
    if (carrier.state.name !== 'up' || this.#terms === carrier.state.terms) return;
    const isFirst = this.#terms === undefined;
    const { terms } = carrier.state;
    this.#terms = terms;
    out.event({ type: 'config', config: { ...this.#options.config, mtu: terms.mtu } });
    if (!isFirst) return;
    this.#options.log.log('info', 'ppp up', { path: carrier.path.kind, mtu: terms.mtu });
    this.#handOver.follow(carrier, out);
    out.event({ type: 'up', path: carrier.path });
  }

  #carrierOf(path: Path): PppCarrier | undefined {
    const state = this.#state;
    return (state.name === 'open' || state.name === 'closing') && state.carrier.path === path ? state.carrier : undefined;
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#state.name === 'closed') return;
    this.#state = { name: 'closed' };
    out.event({ type: 'closed', reason });
  }
}
