/** Which addresses are ours, which of them a packet leaves by, and which can be nobody's. */
import { type IpAddress, sameIp } from '../wire/ip-address.ts';
import { sameBytes } from './byte-order.ts';

export class HostAddresses {
  #addresses: readonly IpAddress[] = [];

  constructor(addresses: readonly IpAddress[]) {
    this.#addresses = addresses;
  }

  get all(): readonly IpAddress[] {
    return this.#addresses;
  }

  /** Puts others in their place, and says which are gone. */
  replace(addresses: readonly IpAddress[]): readonly IpAddress[] {
    const gone = this.#addresses.filter((old) => !addresses.some((now) => sameIp(old, now)));
    this.#addresses = addresses;
    return gone;
  }

  has(address: IpAddress): boolean {
    return this.#addresses.some((own) => sameIp(own, address));
  }

  /** Whether the address at a place of a packet is ours. */
  hasAt(buffer: Uint8Array, at: number, family: 4 | 6): boolean {
    for (const { family: ownFamily, bytes } of this.#addresses) {
      if (ownFamily === family && sameBytes(buffer, at, bytes, 0, bytes.length)) return true;
    }
    return false;
  }

  /** What a packet to this destination has as its source; undefined: there is no way to that family. */
  sourceFor(destination: IpAddress): IpAddress | undefined {
    const ofFamily = this.#addresses.filter(({ family }) => family === destination.family);
    // RFC 6724 §5, rules 2 and 8, for what one link has: the same scope, then the longest common prefix.
    return ofFamily.reduce<IpAddress | undefined>(
      (best, each) => (best === undefined || rank(each, destination) > rank(best, destination) ? each : best),
      undefined,
    );
  }
}

/** Whether nobody can be reached one by one there: multicast, broadcast, unspecified, loopback (RFC 1122 §3.2.1.3, RFC 4291 §2.5, §2.7). */
export function isUnicast(buffer: Uint8Array, at: number, family: 4 | 6): boolean {
  const first = buffer[at] as number;
  if (family === 4) return first !== 0 && first !== 127 && first < 224;
  if (first === 0xff) return false;
  for (let i = 0; i < 15; i++) if (buffer[at + i] !== 0) return true;
  return (buffer[at + 15] as number) > 1;
}

function rank(source: IpAddress, destination: IpAddress): number {
  const isSameScope = isLinkLocal(source) === isLinkLocal(destination);
  return (isSameScope ? 1_000 : 0) + commonPrefix(source.bytes, destination.bytes);
}

function isLinkLocal({ family, bytes }: IpAddress): boolean {
  return family === 6 ? bytes[0] === 0xfe && ((bytes[1] as number) & 0xc0) === 0x80 : bytes[0] === 169 && bytes[1] === 254;
}

function commonPrefix(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const difference = (a[i] as number) ^ (b[i] as number);
    if (difference !== 0) return 8 * i + Math.clz32(difference) - 24;
  }
  return 8 * a.length;
}
