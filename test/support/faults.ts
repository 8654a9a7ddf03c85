/**
 * Bad networks by packet filter: UDP or a port that is blocked, plain random loss. For delay, reordering and duplication see relay.ts:
 * not every kernel has netem.
 *
 * The rules look at packets as they arrive, before routing, so they hold for what a router forwards and for what an end keeps; the sender
 * sees nothing of it (a filter on its own way out would give it an error).
 */
import type { Namespace } from './namespaces.ts';

export interface Block {
  readonly protocol: 'tcp' | 'udp';
  /** At either end: packets to it and from it. Default: every port. */
  readonly port?: number;
  /** Only packets over IPv4 or over IPv6. Default: both. */
  readonly family?: 4 | 6;
  /** `reject` answers with ICMP "port unreachable", or a TCP reset; the default, `drop`, says nothing. */
  readonly how?: 'drop' | 'reject';
}

export interface Loss {
  /** Default: every packet, whatever it carries. `icmpv6` includes neighbour discovery, which tries again after a second. */
  readonly protocol?: 'tcp' | 'udp' | 'icmp' | 'icmpv6';
  /** 0 to 1, in steps of a thousandth. */
  readonly probability: number;
}

const TABLE = 'inet sallyport_faults';

/** The faults of one namespace. They add up until {@link clear}. */
export class Faults {
  readonly #namespace: Namespace;

  constructor(namespace: Namespace) {
    this.#namespace = namespace;
  }

  async block(...blocks: readonly Block[]): Promise<void> {
    await this.#add(blocks.flatMap(blockRules));
  }

  async lose(...losses: readonly Loss[]): Promise<void> {
    await this.#add(losses.map(lossRule));
  }

  /** Makes the network whole again. Flows that the packet filter knew go on. */
  async clear(): Promise<void> {
    await this.#nft(`table ${TABLE}`, `delete table ${TABLE}`);
  }

  async #add(rules: readonly string[]): Promise<void> {
    const chain = `add chain ${TABLE} arriving { type filter hook prerouting priority raw; }`;
    await this.#nft(`add table ${TABLE}`, chain, ...rules.map((rule) => `add rule ${TABLE} arriving ${rule}`));
  }

  async #nft(...lines: readonly string[]): Promise<void> {
    await this.#namespace.run('nft', ['-f', '-'], { input: `${lines.join('\n')}\n` });
  }
}

function blockRules({ protocol, port, family, how = 'drop' }: Block): string[] {
  const matches = port === undefined ? [`meta l4proto ${protocol}`] : [`${protocol} dport ${port}`, `${protocol} sport ${port}`];
  const only = family === undefined ? '' : `meta nfproto ipv${family} `;
  const answer = protocol === 'tcp' ? 'reject with tcp reset' : 'reject';
  return matches.map((match) => `${only}${match} ${how === 'drop' ? 'drop' : answer}`);
}

function lossRule({ protocol, probability }: Loss): string {
  const match = protocol === undefined ? '' : `meta l4proto ${protocol === 'icmpv6' ? 'ipv6-icmp' : protocol} `;
  return `${match}numgen random mod 1000 < ${Math.round(probability * 1000)} drop`;
}
