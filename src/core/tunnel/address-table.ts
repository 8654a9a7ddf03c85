/**
 * Whose packet is it? Networks, each with a value, and the one with the longest prefix that a packet's destination is in.
 *
 * A gateway has thousands of addresses of the same few prefix lengths: each length has a table of its own, and a look-up tries them from the longest.
 * Nothing is allocated in it.
 *
 *   /32 ─► { 10.0.0.7 → a, 10.0.0.8 → b }      /24 ─► { 192.168.7.0 → a }
 */
import { type Cidr, type IpAddress, netmaskOf, networkOf } from '../wire/ip-address.ts';

/** Where an IPv4 and an IPv6 header have the addresses. */
const SOURCE_OFFSET = { 4: 12, 6: 8 } as const;
const DESTINATION_OFFSET = { 4: 16, 6: 24 } as const;

interface Entry<T> {
  readonly bytes: Uint8Array;
  readonly value: T;
}

/** All networks of one prefix length, by a hash of their bytes. */
interface LengthTable<T> {
  readonly prefix: number;
  readonly mask: Uint8Array;
  readonly buckets: Map<number, Entry<T>[]>;
}

export class AddressTable<T> {
  readonly #tables: { readonly 4: LengthTable<T>[]; readonly 6: LengthTable<T>[] } = { 4: [], 6: [] };

  /** A network that is there already gets the new value. */
  set(network: Cidr, value: T): void {
    const { address, prefix } = networkOf(network);
    const { buckets, mask } = this.#tableOf(address.family, prefix);
    const hash = hashOf(address.bytes, 0, mask);
    const bucket = (buckets.get(hash) ?? []).filter(({ bytes }) => !matches(bytes, address.bytes, 0, mask));
    bucket.push({ bytes: address.bytes, value });
    buckets.set(hash, bucket);
  }

  /** Takes the network away, if it still has this value. */
  delete(network: Cidr, value: T): void {
    const { address, prefix } = networkOf(network);
    const tables = this.#tables[address.family];
    const table = tables.find((other) => other.prefix === prefix);
    if (table === undefined) return;
    const hash = hashOf(address.bytes, 0, table.mask);
    const bucket = (table.buckets.get(hash) ?? []).filter(
      (entry) => entry.value !== value || !matches(entry.bytes, address.bytes, 0, table.mask),
    );
    if (bucket.length > 0) table.buckets.set(hash, bucket);
    else table.buckets.delete(hash);
    if (table.buckets.size === 0) tables.splice(tables.indexOf(table), 1);
  }

  /** By the destination of the IP packet that begins at `start`; undefined if nobody has it. The header must be whole. */
  ofPacket(buffer: Uint8Array, start: number): T | undefined {
    const family = (buffer[start] ?? 0) >>> 4 === 6 ? 6 : 4;
    return this.#find(family, buffer, start + DESTINATION_OFFSET[family]);
  }

  /** The same by its source. */
  ofSource(buffer: Uint8Array, start: number): T | undefined {
    const family = (buffer[start] ?? 0) >>> 4 === 6 ? 6 : 4;
    return this.#find(family, buffer, start + SOURCE_OFFSET[family]);
  }

  /** Whose address it is. */
  of({ family, bytes }: IpAddress): T | undefined {
    return this.#find(family, bytes, 0);
  }

  #find(family: 4 | 6, buffer: Uint8Array, at: number): T | undefined {
    for (const { mask, buckets } of this.#tables[family]) {
      const bucket = buckets.get(hashOf(buffer, at, mask));
      if (bucket === undefined) continue;
      for (const { bytes, value } of bucket) if (matches(bytes, buffer, at, mask)) return value;
    }
    return undefined;
  }

  #tableOf(family: 4 | 6, prefix: number): LengthTable<T> {
    const tables = this.#tables[family];
    let table = tables.find((other) => other.prefix === prefix);
    if (table === undefined) {
      table = { prefix, mask: netmaskOf(family, prefix).bytes, buckets: new Map() };
      tables.push(table);
      tables.sort((a, b) => b.prefix - a.prefix);
    }
    return table;
  }
}

/** FNV-1a over the masked bytes. Not secret: whoever chooses addresses is the administrator. */
function hashOf(buffer: Uint8Array, at: number, mask: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < mask.length; i++) hash = Math.imul(hash ^ ((buffer[at + i] ?? 0) & (mask[i] ?? 0)), 0x01000193);
  return hash;
}

function matches(network: Uint8Array, buffer: Uint8Array, at: number, mask: Uint8Array): boolean {
  for (let i = 0; i < mask.length; i++) if ((((buffer[at + i] ?? 0) ^ (network[i] ?? 0)) & (mask[i] ?? 0)) !== 0) return false;
  return true;
}
