/**
 * The gateway's tunnel by ESP: it begins with a flow under the keys of the last configuration, and goes on by whichever flow its client speaks on.
 *
 * Read first: spec "GlobalProtect", sections 10.3 to 10.5. There is no word for its end: a client that is not answered asks for a tunnel over TLS.
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { NetworkError, type SallyportError } from '../../errors.ts';
import { algorithmsText } from '../../esp/algorithms.ts';
import { EspAssociations } from '../../esp/associations.ts';
import { EspGatewaySide } from '../../esp/gateway-side.ts';
import type { Logger } from '../../log.ts';
import { PEER_DEAD } from '../../tunnel/keepalive.ts';
import type { CloseReason, Path, PathFacts, PathNotice, TunnelMachine, TunnelSink, TunnelStatus } from '../../tunnel/machine.ts';
import type { Millis, Packet } from '../../tunnel/packet.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import { innerSources } from '../../tunnel/source-filter.ts';
import { TooBigPackets } from '../../tunnel/too-big-packets.ts';
import type { IpAddress } from '../../wire/ip-address.ts';
import { tunnelMtu } from './gateway-terms.ts';
import type { EspOffer } from './ipsec.ts';
import { gatewayProbe } from './magic-ping.ts';

/** A client asks after ten seconds in which nothing came. While packets leave for it, it has no reason to say anything. */
const SILENCE: Millis = 60_000;
/** But for so long, somebody behind it has something to say, or it is gone. */
const MAX_SILENCE: Millis = 900_000;

export interface GpEspTunnelOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly terms: SessionTerms;
  readonly offer: EspOffer;
  /** What the client asks whether we are there. */
  readonly asked: IpAddress;
  /** How long the keys are good, from the tunnel's beginning on. */
  readonly keysLife: Millis;
}

export class GpEspTunnel implements TunnelMachine {
  readonly #options: GpEspTunnelOptions;
  readonly #mtu: number;
  readonly #side: EspGatewaySide;
  readonly #tooBig = new TooBigPackets();
  /** When the keys are over; undefined: no flow has come yet. */
  #overAt: Millis | undefined;
  #heardAt: Millis = 0;
  #sentAt: Millis = 0;
  #up: Path | undefined;
  #isClosed = false;

  constructor(options: GpEspTunnelOptions) {
    this.#options = options;
    this.#mtu = tunnelMtu(options.terms);
    this.#side = new EspGatewaySide(options.log, MAX_SILENCE);
  }

  opened(path: Path, facts: PathFacts, now: Millis, out: TunnelSink): void {
    if (path.kind !== 'datagram' || this.#isClosed) {
      out.event({ type: 'drop', path });
      return;
    }
    if (this.#overAt === undefined) this.#begin(now, out);
    this.#side.opened(path, facts, out);
  }

  receive(path: Path, bytes: Uint8Array, now: Millis, out: TunnelSink): void {
    if (this.#isClosed) return;
    this.#side.receive(path, bytes, now, out);
    if (path === this.#side.path) this.#heardAt = now; // what is forged counts too: it does no more than put off the end
    this.#settle(now, out);
  }

  lost(path: Path, why: SallyportError, now: Millis, out: TunnelSink): void {
    this.#side.lost(path, why);
    this.#settle(now, out);
  }

  notice(path: Path, notice: PathNotice, now: Millis, out: TunnelSink): void {
    if (notice.type === 'keys-used-up') {
      this.#end({ kind: 'path-lost', message: 'No number is left under these keys.' }, out);
      return;
    }
    if (notice.type === 'carried') {
      this.#heardAt = Math.max(this.#heardAt, notice.heardAt);
      this.#sentAt = Math.max(this.#sentAt, notice.sentAt);
    }
    this.#side.notice(path, notice, now, out);
    this.#settle(now, out);
  }

  send(packet: Packet, now: Millis, out: TunnelSink): void {
    const { path } = this.#side;
    if (path === undefined) return;
    this.#sentAt = now;
    if (packet.end - packet.start <= this.#mtu) this.#side.send(packet, now, out);
    else this.#tooBig.handle(packet, this.#mtu, now, out.on(path), (fragment) => void this.#side.send(fragment, now, out));
  }

  nextTimeout(): Millis | undefined {
    return this.#overAt === undefined || this.#isClosed ? undefined : Math.min(this.#overAt, this.#goneAt);
  }

  handleTimeout(now: Millis, out: TunnelSink): void {
    if (this.#overAt === undefined || this.#isClosed) return;
    if (now >= this.#goneAt) {
      const error = new NetworkError('The other side no longer answers.', { code: PEER_DEAD });
      this.#end({ kind: 'path-lost', message: error.message, error }, out);
    } else if (now >= this.#overAt) {
      this.#end({ kind: 'path-lost', message: 'The client has not asked for new keys in time.' }, out);
    }
  }

  close(reason: CloseReason, _now: Millis, out: TunnelSink): void {
    this.#end(reason, out);
  }

  status(): TunnelStatus {
    return { stream: { state: 'down' }, datagram: this.#isClosed ? { state: 'down' } : this.#side.status() };
  }

  get #goneAt(): Millis {
    return Math.min(Math.max(this.#heardAt, this.#sentAt) + SILENCE, this.#heardAt + MAX_SILENCE);
  }

  #begin(now: Millis, out: TunnelSink): void {
    const { crypto, terms, offer, asked, keysLife } = this.#options;
    this.#overAt = now + keysLife;
    this.#heardAt = now;
    const associations = new EspAssociations(crypto, { outbound: offer.toClient, inbound: offer.toGateway });
    const sources = { innerSources: innerSources(terms), tunnelMtu: this.#mtu };
    this.#side.begin({ ...sources, associations, probe: gatewayProbe([asked]), cipherSuite: algorithmsText(offer.toClient) }, now, out);
  }

  /** After whatever happened: by which flow packets leave. */
  #settle(now: Millis, out: TunnelSink): void {
    if (this.#isClosed) return;
    this.#side.settle(now, out);
    const { path } = this.#side;
    if (path === undefined || path === this.#up) return;
    if (this.#up === undefined) {
      this.#options.log.log('info', 'tunnel up', { path: 'datagram', mtu: this.#mtu });
      out.event({ type: 'config', config: { ...this.#options.terms.config, mtu: this.#mtu } });
    }
    this.#up = path;
    out.event({ type: 'up', path });
  }

  #end(reason: CloseReason, out: TunnelSink): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    out.event({ type: 'closed', reason });
  }
}
