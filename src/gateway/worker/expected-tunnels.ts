/** Tunnels of which this worker has told clients the keys, until their first datagram comes. Main knows of each of them that it is here, and of no keys. */
import type { Logger } from '../../core/log.ts';
import type { ExpectedFlow, Visitor } from '../../core/protocols/gateway-protocol.ts';
import { granted } from '../../core/protocols/page-gateway.ts';
import type { TunnelMachine } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { DatagramPath } from '../../node/datagram-path.ts';
import { Expectations } from '../processes/expectations.ts';
import type { Lease } from '../processes/worker-contract.ts';
import type { LeasedSession } from './worker-visitor.ts';

/** Clients whose keys are kept, and who have not come yet. */
const MAX_EXPECTED = 4096;

/** A client that has come, and its tunnel. */
export interface ReceivedTunnel {
  readonly lease: Lease;
  readonly machine: TunnelMachine;
  readonly datagramId: Uint8Array;
}

export class ExpectedTunnels {
  readonly #flows = new Expectations<ExpectedFlow>(MAX_EXPECTED);
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  expect(session: string, flow: ExpectedFlow): void {
    this.#flows.forgetId(flow.datagramId); // main has said whose it is
    this.#flows.expect(session, flow.datagramId, flow, this.#now());
  }

  /**
   * Whose client this datagram is from; undefined: nobody's, or it is forged. Once: what comes by another flow is the running tunnel's. Main is not asked.
   */
  claim(datagramId: Uint8Array, first: Uint8Array): ExpectedFlow | undefined {
    const flow = this.#flows.of(datagramId, this.#now());
    if (flow === undefined || !flow.opens(first)) return undefined;
    this.#flows.forgetId(datagramId);
    return flow;
  }
}

/**
 * The tunnel of a client that has come, leased; undefined: it may not come in, and the path is closed, as it is when main cannot be asked. That may take as
 * long as an administrator's script: until a flow's socket is connected, and so a path, it hears what everybody says to the gateway.
 */
export async function receiveExpected(
  flow: ExpectedFlow,
  path: Pick<DatagramPath, 'close'>,
  visitor: Visitor,
  log: Logger,
): Promise<ReceivedTunnel | undefined> {
  let lease: Lease | undefined;
  try {
    const session = await visitor.session(flow.cookie);
    if (session === undefined || (await granted(session, () => session.lease(flow.wishes), log)) === undefined) return undefined;
    lease = (session as LeasedSession).lastLease; // the visitor makes all sessions
    return lease && { lease, machine: flow.tunnel(lease.terms), datagramId: flow.datagramId };
  } finally {
    if (lease === undefined) await path.close();
  }
}
