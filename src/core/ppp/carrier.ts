/** A way for PPP's frames: a stream or a DTLS association, with what a vendor says on it first. A tunnel has one, or two while the other is tried. */
import type { LayerSink } from '../tunnel/layer.ts';
import type { CloseReason, Path, PathNotice, PathStatus } from '../tunnel/machine.ts';
import type { Millis, Packet } from '../tunnel/packet.ts';
import type { StreamTraffic, TrafficDescription } from '../tunnel/traffic.ts';
import type { PppTerms } from './link-options.ts';

/**
 *   opening ── the vendor's words ──► linking ── LCP, IPCP, IP6CP ⇄ up ──► over
 */
export type CarrierState =
  | { readonly name: 'opening' }
  /** The gateway has said yes: from here on the path is the tunnel's. */
  | { readonly name: 'linking' }
  | { readonly name: 'up'; readonly terms: PppTerms }
  | { readonly name: 'over'; readonly reason: CloseReason };

export interface PppCarrier {
  readonly path: Path;
  readonly state: CarrierState;
  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void;
  send(packet: Packet, now: Millis, out: LayerSink): void;
  notice(notice: PathNotice, now: Millis): void;
  nextTimeout(): Millis | undefined;
  handleTimeout(now: Millis, out: LayerSink): void;
  /** Says goodbye; `over` when it was answered, or has waited long enough. `text`: for the peer's people. */
  close(now: Millis, out: LayerSink, text?: string): void;
  /** For the packet engine, of the terms that are up: the path's data from now on. Undefined: it cannot be carried. */
  handOver(): TrafficDescription | StreamTraffic | undefined;
  readonly status: PathStatus;
}
