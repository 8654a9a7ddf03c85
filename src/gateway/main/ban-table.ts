/**
 * Who has shown bad behaviour, and who is kept out for it: points per address, a ban when they reach the limit.
 *
 * Read first: spec "Gateway contract", sections 2.3 (keys) and 7 (bans).
 *
 *   add(points) ──► scored ──score ≥ limit──► banned ──ban time over──► forgotten
 *                     └────── reset time without points ──────────────► forgotten
 *
 * An IPv6 client chooses its own address inside a /64, so that is what is counted. Peers on a network of this machine are never kept out, but listed.
 * Times are milliseconds since 1970: people are shown when a ban ends.
 */
import type { Cidr, IpAddress } from '../../core/wire/ip-address.ts';
import { formatIp, networkOf } from '../../core/wire/ip-address.ts';
import { covers, hostNetwork } from '../../node/network/routes.ts';
import type { BanConfig } from '../config/gateway-config.ts';

/** Addresses with points that are remembered; at the ceiling the one that was quiet for longest is forgotten. A memory of some 16 MB. */
export const MAX_SCORED_ADDRESSES = 65_536;
/** Banned addresses; apart from the others, so that nobody ends a ban by filling the table with fresh addresses. At the ceiling the oldest ban ends. */
export const MAX_BANNED_ADDRESSES = 65_536;

/** Points stop here: a flood must not count without end. */
const MAX_SCORE = 1_000_000;

const IPV6_CLIENT_PREFIX = 64;

export type BanSettings = Pick<BanConfig, 'maxScore' | 'banTime' | 'resetTime'>;

export interface BanListing {
  /** The address, or the first of the /64. */
  readonly address: string;
  readonly score: number;
  /** When the ban ends; undefined: there is none. */
  readonly bannedUntil?: number;
}

/** What some points have led to. `banned`, `exempt`: just now, worth a line in the log. */
export type BanVerdict = 'counted' | 'banned' | 'exempt';

interface Scored {
  score: number;
  lastPointsAt: number;
  bannedUntil: number | undefined;
  readonly isLocal: boolean;
}

export class BanTable {
  #settings: BanSettings;
  #localNetworks: readonly Cidr[];
  /** By the text of the address, the one with the oldest points first. */
  readonly #scored = new Map<string, Scored>();
  /** The ban that ends first comes first, as long as the settings stay. */
  readonly #banned = new Map<string, Scored>();

  /** `localNetworks`: those that this machine is on directly. */
  constructor(settings: BanSettings, localNetworks: readonly Cidr[] = []) {
    this.#settings = settings;
    this.#localNetworks = localNetworks;
  }

  /** After a reload: bans that have begun end when they were going to. */
  configure(settings: BanSettings, localNetworks: readonly Cidr[] = this.#localNetworks): void {
    this.#settings = settings;
    this.#localNetworks = localNetworks;
  }

  /** Counts points for an address. While it is banned they add up, but the ban ends no later. */
  add(address: IpAddress, points: number, now: number): BanVerdict {
    if (points <= 0 || this.#settings.maxScore <= 0) return 'counted';
    const key = clientKey(address);
    const entry = this.#current(key, now) ?? { score: 0, lastPointsAt: now, bannedUntil: undefined, isLocal: this.#isLocal(address) };
    entry.score = Math.min(entry.score + points, MAX_SCORE);
    entry.lastPointsAt = now;
    if (entry.bannedUntil !== undefined) return 'counted';
    if (entry.score < this.#settings.maxScore) {
      this.#scored.delete(key); // to the end of the line
      keep(this.#scored, key, entry, MAX_SCORED_ADDRESSES);
      return 'counted';
    }
    this.#scored.delete(key);
    entry.bannedUntil = now + this.#settings.banTime;
    keep(this.#banned, key, entry, MAX_BANNED_ADDRESSES);
    return entry.isLocal ? 'exempt' : 'banned';
  }

  /** Whether a connection from there is to be refused. */
  isBanned(address: IpAddress, now: number): boolean {
    const entry = this.#current(clientKey(address), now);
    return entry?.bannedUntil !== undefined && !entry.isLocal;
  }

  /** Ends a ban and forgets the points; false if there is nothing known of the address. */
  unban(address: IpAddress): boolean {
    const key = clientKey(address);
    return this.#banned.delete(key) || this.#scored.delete(key);
  }

  /** Everyone who has points, the banned ones first. */
  listings(now: number): BanListing[] {
    const listings: BanListing[] = [];
    for (const table of [this.#banned, this.#scored]) {
      for (const key of table.keys()) {
        const entry = this.#current(key, now);
        if (entry === undefined) continue;
        const { score, bannedUntil } = entry;
        listings.push({ address: key, score, ...(bannedUntil !== undefined && { bannedUntil }) });
      }
    }
    return listings;
  }

  /** The entry, unless its time is over: then it is forgotten. */
  #current(key: string, now: number): Scored | undefined {
    const banned = this.#banned.get(key);
    if (banned !== undefined) {
      if (now < (banned.bannedUntil ?? 0)) return banned;
      this.#banned.delete(key);
      return undefined;
    }
    const scored = this.#scored.get(key);
    if (scored === undefined || now < scored.lastPointsAt + this.#settings.resetTime) return scored;
    this.#scored.delete(key);
    return undefined;
  }

  #isLocal(address: IpAddress): boolean {
    const client = hostNetwork(unmapped(address));
    return this.#localNetworks.some((network) => covers(network, client));
  }
}

/** Puts an entry at the end of the line, and takes the first one away where it grows too long. */
function keep(table: Map<string, Scored>, key: string, entry: Scored, limit: number): void {
  table.set(key, entry);
  if (table.size <= limit) return;
  const [oldest] = table.keys();
  if (oldest !== undefined) table.delete(oldest);
}

/** By what a client is counted: its address, or its /64. */
export function clientKey(address: IpAddress): string {
  const plain = unmapped(address);
  return formatIp(plain.family === 4 ? plain : networkOf({ address: plain, prefix: IPV6_CLIENT_PREFIX }).address);
}

/** RFC 4291 §2.5.5.2: how a socket for both families shows IPv4 clients. Else all of them would share one /64. */
const MAPPED_PREFIX: readonly number[] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

function unmapped(address: IpAddress): IpAddress {
  const isMapped = address.family === 6 && MAPPED_PREFIX.every((byte, i) => address.bytes[i] === byte);
  return isMapped ? { family: 4, bytes: address.bytes.subarray(MAPPED_PREFIX.length) } : address;
}
