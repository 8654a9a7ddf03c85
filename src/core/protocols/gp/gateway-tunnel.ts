/**
 * The gateway's tunnel: on the connection that asked for it, over TLS.
 *
 * Read first: spec "GlobalProtect", sections 9.3 to 9.5 and 10.5.
 */
import type { SallyportError } from '../../errors.ts';
import { tooBig } from '../../ip/too-big.ts';
import type { Logger } from '../../log.ts';
import { AnswerLimit } from '../../tunnel/answer-limit.ts';
import { MIN_MTU_IPV4, MIN_MTU_IPV6 } from '../../tunnel/config.ts';
import { commitBytes } from '../../tunnel/layer.ts';
import type { CloseReason, Path, PathFacts, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import { type Millis, type Packet, packetBytes, packetOf } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { utf8 } from '../../wire/text.ts';
import { START_TUNNEL } from './frame.ts';
import { StreamLink } from './stream-link.ts';

/** Clients ask every ten seconds; of one that has been silent for two minutes appliances think that it is gone (spec 9.5). */
const SILENCE: Millis = 60_000;

/** Senders that are told of the tunnel's MTU, a second. */
const MAX_ERRORS = 100;

/** What TCP, TLS, IP and the frame add at worst, in round figures. */
const OVERHEAD = 120;

export function tunnelMtu({ linkMtu, config }: SessionTerms): number {
  return Math.max(linkMtu - OVERHEAD, config.ipv6 === undefined ? MIN_MTU_IPV4 : MIN_MTU_IPV6);
}

export class GpGatewayTunnel implements TunnelMachine {
  readonly #log: Logger;
  readonly #terms: SessionTerms;
  readonly #mtu: number;
  #running: { readonly path: Path; readonly link: StreamLink; readonly cipherSuite: string | undefined } | undefined;
  readonly #errors = new AnswerLimit(MAX_ERRORS, 1000);
  #isClosed = false;

  constructor(log: Logger, terms: SessionTerms) {
    this.#log = log;
    this.#terms = terms;
    this.#mtu = tunnelMtu(terms);
  }

  opened(path: Path, { tls }: PathFacts, now: Millis, out: TunnelSink): void {
    if (path.kind !== 'stream' || this.#running !== undefined || this.#isClosed) {
      out.event({ type: 'drop', path });
      return;
    }
    const { config, clientNetworks } = this.#terms;
    const own = [config.ipv4, config.ipv6].flatMap((lease) =>
      lease === undefined ? [] : { address: lease.address, prefix: lease.address.bytes.length * 8 },
    );
    const link = new StreamLink({ dpd: SILENCE, innerSources: [...own, ...clientNetworks] }, now);
    this.#running = { path, link, cipherSuite: tls?.cipherSuite };
    commitBytes(out.on(path), utf8(START_TUNNEL));
    this.#log.log('info', 'tunnel up', { path: 'stream', mtu: this.#mtu });
    out.event({ type: 'config', config: { ...config, mtu: this.#mtu } });
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

  notice(): void {}

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    if (this.#running === undefined) return;
    const { path, link } = this.#running;
    const sink = out.on(path);
    if (packet.end - packet.start <= this.#mtu) {
      link.send(packet, now, sink);
      return;
    }
    const verdict = tooBig(packetBytes(packet), this.#mtu);
    if (verdict.type === 'fragments') for (const fragment of verdict.packets) link.send(packetOf(fragment), now, sink);
    else if (verdict.type === 'answer' && this.#errors.allows(now)) sink.packet(packetOf(verdict.packet));
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
