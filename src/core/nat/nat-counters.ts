/** What a NAT counts, since it began. */
import type { Refusal } from './destination.ts';

export class NatCounters {
  /** TCP connections that were tried, and those that came about. */
  tcpDialed = 0;
  tcpConnected = 0;
  udpOpened = 0;
  datagramsOut = 0;
  datagramsIn = 0;
  /** That had no room on their way in. */
  datagramsLost = 0;
  /** What a limit has kept from being. */
  limited = 0;
  /** Packets of no session. */
  strangers = 0;
  /** What the outside did not take, by why. */
  readonly failures: Map<string, number> = new Map();
  /** What a rule has refused, by why. */
  readonly refusals: Map<Refusal, number> = new Map();

  refused(why: Refusal): void {
    this.refusals.set(why, (this.refusals.get(why) ?? 0) + 1);
  }

  failed(why: string): void {
    this.failures.set(why, (this.failures.get(why) ?? 0) + 1);
  }
}
