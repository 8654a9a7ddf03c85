/**
 * Puts fragments together again, within limits.
 *
 * Read first: RFC 791 §3.2; RFC 8200 §4.5; RFC 5722 (overlaps); RFC 8900 §3 (what attackers do with fragments).
 */

import type { Millis } from '../tunnel/packet.ts';
import { copyOf } from '../wire/copy.ts';
import { putU16 } from './byte-order.ts';
import { checksumOf, sumWords } from './checksum.ts';
import type { IpPacket } from './ip-packet.ts';
import { REASSEMBLY_TIMEOUT, type StackLimits } from './limits.ts';
import type { DropCause } from './stack-counters.ts';

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Datagram {
  readonly key: string;
  readonly expiresAt: Millis;
  readonly pieces: Piece[];
  bytes: number;
  /** Length of the whole payload; undefined until the last fragment is there. */
  total: number | undefined;
  /** Header of the first fragment, without IPv6's fragment header. */
  header: Uint8Array | undefined;
  protocol: number;
  /** The first fragment as it came, cut: what an error quotes. */
  first: Uint8Array | undefined;
}

/** Largest payload that a length field can say. */
const MAX_PAYLOAD = 65_535;

/** RFC 4443 §2.4 (c): as much of the packet as fits into 1280 bytes. */
const QUOTED = 1_232;

/** What {@link FragmentReassembly.add} has made of a fragment. */
export type Reassembled = { readonly packet: Uint8Array } | { readonly dropped: DropCause } | undefined;

export class FragmentReassembly {
  readonly #limits: StackLimits;
  /** The oldest first: all live equally long. */
  readonly #datagrams = new Map<string, Datagram>();
  #bytes = 0;

  constructor(limits: StackLimits) {
    this.#limits = limits;
  }

  /** Takes a fragment. A packet: it was the last one missing, and this is the whole. */
  add(packet: IpPacket, now: Millis): Reassembled {
    const length = packet.end - packet.payload;
    const { fragmentOffset: offset, hasMoreFragments } = packet;
    // RFC 8200 §4.5: all but the last are multiples of 8, and the whole must be possible.
    if ((hasMoreFragments && length % 8 !== 0) || length === 0 || offset + length > MAX_PAYLOAD) return { dropped: 'malformed' };
    const key = keyOf(packet);
    let datagram = this.#datagrams.get(key);
    if (datagram === undefined) {
      datagram = {
        key,
        expiresAt: now + REASSEMBLY_TIMEOUT,
        pieces: [],
        bytes: 0,
        total: undefined,
        header: undefined,
        protocol: 0,
        first: undefined,
      };
      if (this.#datagrams.size >= this.#limits.reassemblies) this.#dropOldest();
      this.#datagrams.set(key, datagram);
    }
    const problem = this.#place(datagram, offset, length, hasMoreFragments);
    if (problem === 'known') return undefined;
    if (problem !== undefined) {
      this.#drop(datagram);
      return { dropped: problem };
    }
    if (offset === 0) takeHeader(datagram, packet);
    const place = datagram.pieces.findLastIndex((piece) => piece.offset < offset) + 1;
    datagram.pieces.splice(place, 0, { offset, bytes: copyOf(packet.buffer.subarray(packet.payload, packet.end)) });
    datagram.bytes += length;
    this.#bytes += length;
    if (!hasMoreFragments) datagram.total = offset + length;
    while (this.#bytes > this.#limits.reassemblyBytes) {
      const oldest = this.#dropOldest();
      if (oldest === datagram) return { dropped: 'reassembly-limit' };
    }
    if (datagram.bytes !== datagram.total || datagram.header === undefined) return undefined;
    this.#drop(datagram);
    return { packet: wholeOf(datagram, datagram.header) };
  }

  nextTimeout(): Millis | undefined {
    for (const datagram of this.#datagrams.values()) return datagram.expiresAt;
    return undefined;
  }

  /** Drops what has waited too long. `expired` hears of each, with its first fragment if that has come. */
  handleTimeout(now: Millis, expired: (first: Uint8Array | undefined) => void): void {
    for (const datagram of this.#datagrams.values()) {
      if (datagram.expiresAt > now) return;
      this.#drop(datagram);
      expired(datagram.first);
    }
  }

  #place(datagram: Datagram, offset: number, length: number, hasMore: boolean): DropCause | 'known' | undefined {
    const end = offset + length;
    if (datagram.total !== undefined && (end > datagram.total || (!hasMore && end !== datagram.total))) return 'reassembly-overlap';
    for (const piece of datagram.pieces) {
      const pieceEnd = piece.offset + piece.bytes.length;
      if (pieceEnd <= offset || piece.offset >= end) {
        if (!hasMore && pieceEnd > end) return 'reassembly-overlap';
        continue;
      }
      // RFC 5722 §4; the same once more is a network's doing, not an attack (RFC 8200 §4.5).
      return piece.offset === offset && piece.bytes.length === length ? 'known' : 'reassembly-overlap';
    }
    return datagram.pieces.length >= this.#limits.fragments ? 'reassembly-limit' : undefined;
  }

  #dropOldest(): Datagram | undefined {
    for (const oldest of this.#datagrams.values()) {
      this.#drop(oldest);
      return oldest;
    }
    return undefined;
  }

  #drop(datagram: Datagram): void {
    this.#datagrams.delete(datagram.key);
    this.#bytes -= datagram.bytes;
  }
}

/** RFC 791 §3.2 for IPv4; RFC 8200 §4.5 leaves the protocol out for IPv6. */
function keyOf(packet: IpPacket): string {
  const { buffer, addressesAt, addressLength, identification, family, protocol } = packet;
  const addresses = String.fromCharCode(...buffer.subarray(addressesAt, addressesAt + 2 * addressLength));
  return `${family === 4 ? protocol : ''}/${identification}/${addresses}`;
}

function takeHeader(datagram: Datagram, packet: IpPacket): void {
  const { buffer, start, payload, family, nextHeaderAt, protocol } = packet;
  const headerEnd = family === 4 ? payload : nextHeaderAt;
  const header = copyOf(buffer.subarray(start, headerEnd));
  datagram.protocol = protocol;
  datagram.header = header;
  datagram.first = copyOf(buffer.subarray(start, Math.min(packet.end, start + QUOTED)));
  if (family === 6) {
    // Whatever pointed at the fragment header points behind it.
    header[lastNextHeader(header)] = protocol;
  }
}

/** Where the last header of a chain says what follows it. */
function lastNextHeader(header: Uint8Array): number {
  let at = 6;
  let next = 40;
  while (next < header.length) {
    at = next;
    next += 8 + 8 * (header[next + 1] as number);
  }
  return at;
}

function wholeOf(datagram: Datagram, header: Uint8Array): Uint8Array {
  const packet = new Uint8Array(header.length + datagram.bytes);
  packet.set(header);
  for (const { offset, bytes } of datagram.pieces) packet.set(bytes, header.length + offset);
  if ((packet[0] as number) >>> 4 === 4) {
    putU16(packet, 2, packet.length);
    putU16(packet, 6, 0);
    putU16(packet, 10, 0);
    putU16(packet, 10, checksumOf(sumWords(packet, 0, header.length)));
  } else {
    putU16(packet, 4, packet.length - 40);
  }
  return packet;
}
