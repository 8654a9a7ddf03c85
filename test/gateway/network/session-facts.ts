/** A session as scripts are told of it. */
import type { SessionScriptFacts } from '../../../src/gateway/network/session-environment.ts';
import { cidr, ip } from './lease-requests.ts';

export const ALICES_SESSION: SessionScriptFacts = {
  id: 4711,
  user: 'alice',
  group: 'staff',
  device: 'vpns0',
  remote: ip('192.0.2.2'),
  local: ip('198.51.100.2'),
  lease: {
    ipv4: { address: ip('10.77.0.50'), prefix: 24, unit: cidr('10.77.0.50'), local: ip('10.77.0.1') },
    ipv6: { address: ip('fd77::9a7c:c09f:b76e:58ef'), prefix: 128, unit: cidr('fd77::9a7c:c09f:b76e:58ef'), local: ip('fd77::1') },
  },
  client: { hostname: 'client', userAgent: 'Open AnyConnect VPN Agent v9.01-3' },
  policy: {
    dns: ['10.77.0.1', 'fd77::1', '9.9.9.9'].map(ip),
    routes: ['10.0.0.0/8', '192.168.1.0/24', 'fd99::/32'].map(cidr),
    noRoutes: ['10.1.0.0/16', 'fd99:1::/48'].map(cidr),
    restrictsToRoutes: false,
  },
};

/** `NAME=value` with a zero behind each, as env -0 writes it. */
export function variablesOf(text: string): Record<string, string> {
  const lines = text.split('\0').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
