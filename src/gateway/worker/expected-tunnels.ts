/**
 * Tunnels of which this worker has told clients the keys, until their first datagram comes. The twin of `main/expected-flows.ts`, which knows of each of
 * them that it is here, and of no keys.
 */
import type { Logger } from '../../core/log.ts';
import type { ExpectedFlow, Visitor } from '../../core/protocols/gateway-protocol.ts';
import { granted } from '../../core/protocols/page-gateway.ts';
import type { TunnelMachine } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { toHex } from '../../core/wire/text.ts';
import { EXPECTATION_LIFE } from '../main/expected-flows.ts';
import type { Lease } from '../processes/worker-contract.ts';
import type { LeasedSession } from './worker-visitor.ts';

/** The keys of more clients at once, who have not come yet, are not kept: those wait longest go by TLS. */
const MAX_EXPECTED = 4096;

/** A client that has come, and its tunnel. */
export interface ReceivedTunnel {
  readonly lease: Lease;
  readonly machine: TunnelMachine;
  readonly datagramId: Uint8Array;
}

export class ExpectedTunnels {
  readonly #flows = new Map<string, { readonly flow: ExpectedFlow; readonly until: Millis }>();
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  expect(flow: ExpectedFlow): void {
    const now = this.#now();
    for (const [id, { until }] of this.#flows) {
      if (until > now && this.#flows.size < MAX_EXPECTED) break;
      this.#flows.delete(id);
    }
    this.#flows.set(toHex(flow.datagramId), { flow, until: now + EXPECTATION_LIFE });
  }

  /**
   * The tunnel that this datagram begins, leased; undefined: it is nobody's, or its client may not come in. Once: what comes by another flow is the
   * running tunnel's.
   */
  async receive(datagramId: Uint8Array, first: Uint8Array, visitor: Visitor, log: Logger): Promise<ReceivedTunnel | undefined> {
    const id = toHex(datagramId);
    const { flow, until } = this.#flows.get(id) ?? { flow: undefined, until: 0 };
    if (flow === undefined || this.#now() >= until || !flow.opens(first)) return undefined;
    this.#flows.delete(id);
    const session = await visitor.session(flow.cookie);
    if (session === undefined || (await granted(session, () => session.lease(flow.wishes), log)) === undefined) return undefined;
    const lease = (session as LeasedSession).lastLease; // the visitor makes all sessions
    return lease && { lease, machine: flow.tunnel(lease.terms), datagramId };
  }
}
