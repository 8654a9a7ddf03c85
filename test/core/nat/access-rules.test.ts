/** What a restricted session may reach: as the packet filter of a gateway with an interface says it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AccessCheck, type AccessRules, type PortRule } from '../../../src/core/nat/access-rules.ts';
import { type Cidr, formatIp, type IpAddress, netmaskOf, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { addSessionLines } from '../../../src/gateway/network/firewall-rules.ts';

const PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, esp: 50, 'ipv6-icmp': 58, sctp: 132 } as const;

interface Trial {
  readonly protocol: number;
  readonly destination: IpAddress;
  readonly port: number;
}

/** Reads the lines for nft(8) as the kernel would: the first rule that ends says what becomes of a packet. */
function verdictOf(lines: readonly string[], chain: string, trial: Trial): boolean {
  for (const line of lines) {
    const [, inChain, rule = ''] = /^add rule inet t (\S+) (.*)$/.exec(line) ?? [];
    if (inChain !== chain) continue;
    const [, matches = '', verdict = ''] = /^(.*?)\s*(accept|reject|goto \S+)$/.exec(rule) ?? assert.fail(line);
    if (!isMatch(matches, trial)) continue;
    if (verdict.startsWith('goto ')) return verdictOf(lines, verdict.slice(5), trial);
    return verdict === 'accept';
  }
  throw new Error(`chain ${chain} says nothing`);
}

function isMatch(text: string, { protocol, destination, port }: Trial): boolean {
  let rest = text;
  const take = (pattern: RegExp): string | undefined => {
    const found = pattern.exec(rest);
    if (found === null) return undefined;
    rest = rest.slice(found[0].length).trimStart();
    return found[1] ?? '';
  };
  while (rest !== '') {
    const numberOf = (name: string) => PROTOCOLS[name as keyof typeof PROTOCOLS];
    const v4 = take(/^ip daddr \{ ([^}]*) \}/);
    const v6 = v4 === undefined ? take(/^ip6 daddr \{ ([^}]*) \}/) : undefined;
    const set = v4 ?? v6;
    const protocols = set === undefined ? (take(/^meta l4proto \{ ([^}]*) \}/) ?? take(/^meta l4proto (\S+)/)) : undefined;
    if (set !== undefined) {
      if (destination.family !== (v4 === undefined ? 6 : 4)) return false;
      if (!set.split(', ').some((network) => isIn(destination, network))) return false;
    } else if (protocols !== undefined) {
      if (!protocols.split(', ').some((name) => numberOf(name) === protocol)) return false;
    } else {
      const family = take(/^meta nfproto (\S+)/);
      const anyPort = family === undefined ? take(/^th dport (\d+)/) : undefined;
      const ofProtocol = family === undefined && anyPort === undefined ? /^(tcp|udp|sctp) dport (\d+)/.exec(rest) : null;
      if (family !== undefined) {
        if (destination.family !== (family === 'ipv4' ? 4 : 6)) return false;
      } else if (anyPort !== undefined) {
        if (Number(anyPort) !== port) return false;
      } else if (ofProtocol !== null) {
        rest = rest.slice(ofProtocol[0].length).trimStart();
        if (numberOf(ofProtocol[1] ?? '') !== protocol || Number(ofProtocol[2]) !== port) return false;
      } else {
        throw new Error(`what does this match? ${rest}`);
      }
    }
  }
  return true;
}

function isIn({ family, bytes }: IpAddress, text: string): boolean {
  const network = parseCidr(text) ?? assert.fail(text);
  const mask = netmaskOf(family, network.prefix).bytes;
  return bytes.every((byte, i) => ((byte ^ (network.address.bytes[i] ?? 0)) & (mask[i] ?? 0)) === 0);
}

// Few of each, so that they meet.
const addresses = fc
  .constantFrom('10.0.0.1', '10.0.1.1', '192.0.2.1', '192.0.2.200', 'fd00::1', 'fd00:1::1', '2001:db8::9')
  .map((text) => parseIp(text) as IpAddress);
const networks = fc
  .constantFrom('10.0.0.0/8', '10.0.0.0/24', '192.0.2.0/25', '192.0.2.1/32', '0.0.0.0/0', 'fd00::/16', 'fd00:1::/32', '::/0')
  .map((text) => parseCidr(text) as Cidr);
const ports = fc.constantFrom(22, 53, 80, 443);
const portRules: fc.Arbitrary<PortRule> = fc.oneof(
  fc.constantFrom<PortRule>({ protocol: 'icmp' }, { protocol: 'icmpv6' }, { protocol: 'esp' }, { protocol: 'tcp' }, { protocol: 'udp' }),
  fc.record({ protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const), port: ports }),
);
const rules: fc.Arbitrary<AccessRules> = fc
  .record({
    dns: fc.array(addresses, { maxLength: 2 }),
    routes: fc.array(networks, { maxLength: 3 }),
    noRoutes: fc.array(networks, { maxLength: 2 }),
    restrictsToRoutes: fc.boolean(),
    restrictsToPorts: fc.option(fc.record({ isNegated: fc.boolean(), ports: fc.array(portRules, { minLength: 1, maxLength: 3 }) }), {
      nil: undefined,
    }),
  })
  .map(({ restrictsToPorts, ...rest }) => ({ ...rest, ...(restrictsToPorts !== undefined && { restrictsToPorts }) }));
const trials: fc.Arbitrary<Trial> = fc
  .record({ protocol: fc.constantFrom(...Object.values(PROTOCOLS)), destination: addresses, port: ports })
  .map(({ protocol, port, ...rest }) => ({ ...rest, protocol, port: [6, 17, 132].includes(protocol) ? port : -1 }));

describe('what a restricted session may reach', () => {
  it('is what the rules for nft say, whatever they are', () => {
    fc.assert(
      fc.property(rules, fc.array(trials, { minLength: 1, maxLength: 20 }), (restriction, packets) => {
        const check = AccessCheck.of(restriction);
        const lines = addSessionLines({ table: 't', number: 1, sources: [] }, restriction);
        for (const packet of packets) {
          const allowed = check?.allows(packet.protocol, packet.destination, packet.port) ?? true;
          const expected = check === undefined || verdictOf(lines, 's1', packet);
          assert.equal(allowed, expected, `${packet.protocol} to ${formatIp(packet.destination)} port ${packet.port}: ${lines.join('\n')}`);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('is everything without a restriction, whatever routes there are', () => {
    assert.equal(AccessCheck.of({ dns: [], routes: [], noRoutes: [parseCidr('10.0.0.0/8') as Cidr], restrictsToRoutes: false }), undefined);
  });
});
