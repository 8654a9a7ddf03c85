/**
 * Where a client's packet goes from here: to another client, or to the stack, which stands in for the rest of the world.
 *
 *   packet ─► one of our own addresses ──────────────────────────► the stack
 *          ─► a client's address or network, or a pool of theirs ─► may this session? ─► one hop less ─► that client
 *          ─► anything else ─────────────────────────────────────► the stack
 */
import { putU16, u16 } from '../ip/byte-order.ts';
import { HostAddresses } from '../ip/host-addresses.ts';
import { IpPacket } from '../ip/ip-packet.ts';
import { AddressTable } from '../tunnel/address-table.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { Cidr, IpAddress } from '../wire/ip-address.ts';
import { hasPorts } from './access-rules.ts';
import { PeerFlows } from './peer-flows.ts';
import type { NatSessions } from './sessions.ts';

/** The last two: to be refused in words. */
export type Route = 'stack' | 'peer' | 'drop' | 'restricted' | 'hop-limit';

/** Why a packet for another client went no further. */
export type RouteDrop = 'malformed' | 'stranger' | 'restricted' | 'hop-limit';

export class NatRouter {
  /** What was dropped, by why. */
  readonly dropped: Record<RouteDrop, number> = { malformed: 0, stranger: 0, restricted: 0, 'hop-limit': 0 };
  readonly #sessions: NatSessions;
  readonly #packet = new IpPacket();
  readonly #peers: PeerFlows;
  #own = new HostAddresses([]);
  #pools = new AddressTable<true>();

  /** @param secret 16 random bytes that nobody else knows */
  constructor(sessions: NatSessions, secret: Uint8Array) {
    this.#sessions = sessions;
    this.#peers = new PeerFlows(secret);
  }

  /** What clients have their addresses of, and which of them are ours. */
  configure(own: readonly IpAddress[], pools: readonly Cidr[]): void {
    this.#own = new HostAddresses(own);
    this.#pools = new AddressTable();
    for (const pool of pools) this.#pools.set(pool, true);
  }

  /** What a client sends; it was seen to be an IP packet from its address. One for a peer has its hop limit counted down where it lies. */
  route(buffer: Uint8Array, start: number, end: number, now: Millis): Route {
    const family = (buffer[start] as number) >>> 4 === 6 ? 6 : 4;
    if (this.#own.hasAt(buffer, start + (family === 4 ? 16 : 24), family)) return 'stack';
    const { table } = this.#sessions;
    if (table.ofPacket(buffer, start) === undefined && this.#pools.ofPacket(buffer, start) === undefined) return 'stack';
    return this.#toPeer(buffer, start, end, now);
  }

  /** A packet on its way to a client, from another one: a restricted client may answer it. */
  passing(buffer: Uint8Array, start: number, end: number, now: Millis): void {
    const receiver = this.#sessions.table.ofPacket(buffer, start);
    if (receiver?.rules === undefined) return;
    if (this.#packet.parse(buffer, start, end) === undefined) this.#peers.arrived(this.#packet, now);
  }

  #toPeer(buffer: Uint8Array, start: number, end: number, now: Millis): Route {
    const packet = this.#packet;
    if (packet.parse(buffer, start, end) !== undefined) return this.#drop('malformed');
    const sender = this.#sessions.table.ofSource(buffer, start);
    if (sender === undefined) return this.#drop('stranger');
    if (packet.hopLimit <= 1) return this.#drop('hop-limit'); // two networks behind clients that each send on to the other
    const { protocol, payload, family, fragmentOffset } = packet;
    if (sender.rules !== undefined) {
      // A fragment without ports could be anything's: as with no port at all.
      const port = hasPorts(protocol) && fragmentOffset === 0 && packet.end - payload >= 4 ? u16(buffer, payload + 2) : -1;
      const isAllowed = sender.rules.allows(protocol, { family, bytes: packet.destination }, port) || this.#peers.isAnswer(packet, now);
      if (!isAllowed) return this.#drop('restricted');
    }
    countDown(buffer, start, family);
    return 'peer';
  }

  #drop(why: RouteDrop): Route {
    this.dropped[why]++;
    return why === 'restricted' || why === 'hop-limit' ? why : 'drop';
  }
}

/** RFC 791, RFC 1812 §5.3.1; the checksum by RFC 1624: the field that changes is the high byte of its word. */
function countDown(buffer: Uint8Array, start: number, family: 4 | 6): void {
  if (family === 6) {
    buffer[start + 7] = (buffer[start + 7] as number) - 1;
    return;
  }
  buffer[start + 8] = (buffer[start + 8] as number) - 1;
  const sum = u16(buffer, start + 10) + 0x100;
  putU16(buffer, start + 10, (sum & 0xffff) + (sum >>> 16));
}
