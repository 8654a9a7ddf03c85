/**
 * The largest packets that paths take, as far as routers have said.
 *
 * Read first: RFC 1191 §3, §7; RFC 8201 §4. Believing a router means believing whoever can write its address: sizes have a floor, and age.
 */
import type { Millis } from '../tunnel/packet.ts';
import { formatIp, type IpAddress } from '../wire/ip-address.ts';
import { PATH_MTU_LIFETIME } from './limits.ts';

/** Linux's floor: below it, headers are most of what is sent. */
const LEAST_IPV4 = 552;
/** RFC 8200 §5. */
const LEAST_IPV6 = 1280;

/** RFC 1191 §7.1: for routers that do not say the size, the next smaller of these. */
const PLATEAUS = [65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 576];

interface Known {
  readonly mtu: number;
  readonly until: Millis;
}

export class PathMtuCache {
  readonly #limit: number;
  /** The oldest first. */
  readonly #known = new Map<string, Known>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param link largest packet of the link */
  mtu(destination: IpAddress, link: number, now: Millis): number {
    if (this.#known.size === 0) return link;
    const key = formatIp(destination);
    const known = this.#known.get(key);
    if (known === undefined) return link;
    if (known.until > now) return Math.min(link, known.mtu);
    this.#known.delete(key);
    return link;
  }

  /**
   * A router has said that a packet of `length` bytes does not fit. True: that is news.
   *
   * @param mtu what it says would fit; 0: nothing
   */
  learn(destination: IpAddress, mtu: number, length: number, link: number, now: Millis): boolean {
    const before = this.mtu(destination, link, now);
    const said = mtu > 0 ? mtu : (PLATEAUS.find((plateau) => plateau < length) ?? LEAST_IPV4);
    const believed = Math.max(said, destination.family === 4 ? LEAST_IPV4 : LEAST_IPV6);
    if (believed >= before) return false;
    const key = formatIp(destination);
    this.#known.delete(key);
    if (this.#known.size >= this.#limit) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest);
        break;
      }
    }
    this.#known.set(key, { mtu: believed, until: now + PATH_MTU_LIFETIME });
    return true;
  }
}
