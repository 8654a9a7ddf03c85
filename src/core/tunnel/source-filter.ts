/**
 * From which addresses a client may send: those it was given, and networks behind it that an administrator named. What claims to come from
 * elsewhere is dropped before it reaches any other client's replies (spec "AnyConnect", section 12.2).
 */
import type { Cidr } from '../wire/ip-address.ts';
import { netmaskOf } from '../wire/ip-address.ts';
import type { Packet } from './packet.ts';
import type { SessionTerms } from './session-terms.ts';

/** Where an IPv4 and an IPv6 header have the source address. */
const SOURCE_OFFSET = { 4: 12, 6: 8 } as const;

interface Network {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  readonly mask: Uint8Array;
}

/** Of a session: its own addresses, and the networks behind its client. */
export function innerSources({ config: { ipv4, ipv6 }, clientNetworks }: Pick<SessionTerms, 'config' | 'clientNetworks'>): readonly Cidr[] {
  const own = [ipv4, ipv6].flatMap((lease) =>
    lease === undefined ? [] : { address: lease.address, prefix: lease.address.bytes.length * 8 },
  );
  return [...own, ...clientNetworks];
}

export class SourceFilter {
  readonly #networks: readonly Network[];

  constructor(networks: readonly Cidr[]) {
    this.#networks = networks.map(({ address, prefix }) => ({
      family: address.family,
      bytes: address.bytes,
      mask: netmaskOf(address.family, prefix).bytes,
    }));
  }

  /** For what {@link isIpPacket} has found to be a packet. */
  allows(packet: Packet): boolean {
    return this.allowsAt(packet.buffer, packet.start);
  }

  /** The same for one that begins at `start`. */
  allowsAt(buffer: Uint8Array, start: number): boolean {
    const family = (buffer[start] ?? 0) >>> 4 === 4 ? 4 : 6;
    const at = start + SOURCE_OFFSET[family];
    for (const network of this.#networks) if (network.family === family && matches(network, buffer, at)) return true;
    return false;
  }
}

function matches({ bytes, mask }: Network, buffer: Uint8Array, at: number): boolean {
  for (let i = 0; i < mask.length; i++) {
    if ((((buffer[at + i] ?? 0) ^ (bytes[i] ?? 0)) & (mask[i] ?? 0)) !== 0) return false;
  }
  return true;
}
