/** Gives the engine a carrier's data while its terms hold. A stream's it takes back while PPP is agreed on anew; a datagram path's is the engine's for good. */
import type { Path, TunnelSink } from '../tunnel/machine.ts';
import type { PppCarrier } from './carrier.ts';
import type { PppTerms } from './link-options.ts';

export class HandOver {
  /** The terms that the engine works by, and where. */
  #given: { readonly path: Path; readonly terms: PppTerms } | undefined;

  /** Called after each turn of the carrier that packets leave by, or that they left by before; undefined: there is none. */
  follow(carrier: PppCarrier | undefined, out: TunnelSink): void {
    const terms = carrier?.state.name === 'up' ? carrier.state.terms : undefined;
    const given = this.#given;
    if (given !== undefined && carrier?.path === given.path && terms === given.terms) return;
    if (given !== undefined && carrier?.path === given.path) {
      // Not of a datagram path: the engine has the keys for good, and what was committed without it would leave in the clear.
      if (given.path.kind === 'stream') out.event({ type: 'traffic', path: given.path, traffic: undefined });
      this.#given = undefined;
    }
    if (carrier === undefined || terms === undefined) return;
    const traffic = carrier.handOver();
    if (traffic === undefined) return;
    out.event({ type: 'traffic', path: carrier.path, traffic });
    this.#given = { path: carrier.path, terms };
  }
}
