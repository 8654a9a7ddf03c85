/**
 * `restrict-user-to-ports`: what a client may reach, or, negated, what it may not.
 *
 *   tcp(443), udp(53), sctp(9), icmp(), icmpv6(), esp()
 *   !(tcp(443), tcp(80))
 */
import type { PortRestriction } from './gateway-config.ts';

type PortRule = PortRestriction['ports'][number];

/** Each becomes a rule of the packet filter. */
const MAX_RULES = 256;

const WITH_PORT = ['tcp', 'udp', 'sctp'] as const;
const WITHOUT_PORT = ['icmp', 'icmpv6', 'esp'] as const;

/** Undefined if it is not one. */
export function parsePortRestriction(text: string): PortRestriction | undefined {
  const negated = /^!\s*\((.*)\)$/s.exec(text.trim())?.[1];
  const words = (negated ?? text).split(',').map((word) => word.trim());
  if (words.length > MAX_RULES) return undefined;
  const ports = words.map(parseRule);
  return ports.every((rule) => rule !== undefined) ? { isNegated: negated !== undefined, ports } : undefined;
}

function parseRule(word: string): PortRule | undefined {
  const [, name = '', number] = /^(\w+)\s*\(\s*(\d{1,5})?\s*\)$/.exec(word) ?? [];
  const bare = WITHOUT_PORT.find((protocol) => protocol === name.toLowerCase());
  // Observed: `icmp(3)` is taken, and `tcp(0)` like `tcp()`.
  if (bare !== undefined) return { protocol: bare };
  const protocol = WITH_PORT.find((one) => one === name.toLowerCase());
  const port = Number(number ?? 0);
  if (protocol === undefined || port > 65_535) return undefined;
  return port === 0 ? { protocol } : { protocol, port };
}
