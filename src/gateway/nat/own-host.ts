/** The addresses of the machine that the gateway runs on, as they are now: whatever listens there trusts that strangers do not come from inside. */
import { networkInterfaces } from 'node:os';
import type { Millis } from '../../core/tunnel/packet.ts';
import { formatIp, type IpAddress } from '../../core/wire/ip-address.ts';

/** Interfaces come and go; asking for each flow would cost more than the flow. What slips through is seen when its socket is connected. */
const BELIEVED: Millis = 2_000;

export class OwnHost {
  #addresses: ReadonlySet<string> = new Set();
  #readAt: Millis = Number.NEGATIVE_INFINITY;
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  has(address: IpAddress): boolean {
    const now = this.#now();
    if (now > this.#readAt + BELIEVED) {
      this.#readAt = now;
      this.#addresses = new Set(Object.values(networkInterfaces()).flatMap((all) => all?.map((one) => bare(one.address)) ?? []));
    }
    return this.#addresses.has(formatIp(address));
  }
}

/** Whether a connected socket leads to this machine: it has the address at both ends. */
export function isSameHost(local: string | undefined, remote: string | undefined): boolean {
  return local !== undefined && remote !== undefined && bare(local) === bare(remote);
}

/** A zone is not part of an address. */
function bare(address: string): string {
  return address.replace(/%.*$/, '');
}
