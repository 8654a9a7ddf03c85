/**
 * The gateway's tunnel: on the connection that asked for it, over TLS.
 *
 * Read first: spec "GlobalProtect", sections 9.3 to 9.5 and 10.5.
 */
import type { SallyportError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { commitBytes } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources } from '../../tunnel/source-filter.ts';
import { TooBigPackets } from '../../tunnel/too-big-packets.ts';
import { utf8 } from '../../wire/text.ts';
import { START_TUNNEL } from './frame.ts';
import { tunnelMtu } from './gateway-terms.ts';
import { StreamLink } from './stream-link.ts';

/** Clients ask every ten seconds; of one that has been silent for two minutes appliances think that it is gone (spec 9.5). */
const SILENCE: Millis = 60_000;

export class GpGatewayTunnel implements TunnelMachine {
  readonly #log: Logger;
  readonly #terms: SessionTerms;
  readonly #mtu: number;
  #running: { readonly path: Path; readonly link: StreamLink; readonly cipherSuite: string | undefined } | undefined;
  readonly #tooBig = new TooBigPackets();
  #isClosed = false;

  constructor(log: Logger, terms: SessionTerms) {
    this.#log = log;
    this.#terms = terms;
    this.#mtu = tunnelMtu(terms);
  }

  opened(path: Path, { tls, engine }: PathFacts, now: Millis, out: TunnelSink): void {
    if (path.kind !== 'stream' || this.#running !== undefined || this.#isClosed) {
      out.event({ type: 'drop', path });
      return;
    }
    const { config } = this.#terms;
    const link = new StreamLink({ dpd: SILENCE, innerSources: innerSources(this.#terms) }, now);
    this.#running = { path, link, cipherSuite: tls?.cipherSuite };
    commitBytes(out.on(path), utf8(START_TUNNEL));
    this.#log.log('info', 'tunnel up', { path: 'stream', mtu: this.#mtu });
    out.event({ type: 'config', config: { ...config, mtu: this.#mtu } });
    if (engine) out.event({ type: 'traffic', path, traffic: link.handOver(this.#mtu) });
    out.event({ type: 'up', path });
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (this.#running?.path !== path) return;
    this.#running.link.receive(bytes, now, out.on(path));
    this.#follow(out);
  }

  lost(path: Path, why: SallyportError, _now: Millis, out: TunnelSink): void {
    // Clients close the connection for every renewal, and to leave: a log-out is a request of its own (spec 10.5).
    if (this.#running?.path === path) this.#end({ kind: 'path-lost', message: why.message, error: why }, out);
  }

  notice(path: Path, notice: PathNotice, _now: Millis, out: TunnelSink): void {
    if (this.#running?.path !== path) return;
    if (notice.type === 'keys-used-up') this.#end({ kind: 'path-lost', message: 'The connection’s keys are used up.' }, out);
    else this.#running.link.notice(notice);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#running === undefined) return;
    const { path, link } = this.#running;
    const sink = out.on(path);
    if (packet.end - packet.start <= this.#mtu) link.send(packet, now, sink);
    else this.#tooBig.handle(packet, this.#mtu, now, sink, (fragment) => link.send(fragment, now, sink));
  }

  nextTimeout(): Millis | undefined {
    return this.#running?.link.nextTimeout();
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    if (this.#running === undefined) return;
    this.#running.link.handleTimeout(now, out.on(this.#running.path));
    this.#follow(out);
  }

  /** There is no goodbye: a client whose session is over is told when it asks again. */
  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    const running = this.#running;
    if (running === undefined) return { stream: { state: this.#isClosed ? 'down' : 'connecting' }, datagram: { state: 'disabled' } };
    const { cipherSuite } = running;
    return { stream: { state: 'established', ...(cipherSuite !== undefined && { cipherSuite }) }, datagram: { state: 'disabled' } };
  }

  #follow(out: TunnelSink): void {
    if (this.#running?.link.ended !== undefined) this.#end(this.#running.link.ended, out);
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#running = undefined;
    out.event({ type: 'closed', reason });
  }
}
