/** What the engine carries past a driver, for those who count what a tunnel is used for. */
import type { Millis } from '../../core/tunnel/packet.ts';

/** Bytes of IP packets to the peer and from it, and when the last one passed (0: none has). */
export interface CarriedUse {
  readonly sent: number;
  readonly received: number;
  readonly at: Millis;
}

export const NO_USE: CarriedUse = { sent: 0, received: 0, at: 0 };

export function sumOfUses(uses: readonly (CarriedUse | undefined)[]): CarriedUse {
  let { sent, received, at } = NO_USE;
  for (const use of uses) {
    if (use === undefined) continue;
    sent += use.sent;
    received += use.received;
    at = Math.max(at, use.at);
  }
  return { sent, received, at };
}
