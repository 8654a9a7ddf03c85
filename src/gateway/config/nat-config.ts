/**
 * What a gateway without an interface is told of its NAT.
 *
 *   80:127.0.0.1:8080           the gateway's port 80 inside leads to port 8080 of this host's loopback address: as ssh -L writes it
 *   udp:5353:[2001:db8::1]:53   the same of UDP, to another host
 */
import type { NatService } from '../../core/nat/destination.ts';
import { DEFAULT_NAT_LIMITS } from '../../core/nat/limits.ts';
import { parseIp } from '../../core/wire/ip-address.ts';
import type { NatConfig } from './gateway-config.ts';

export const DEFAULT_NAT: NatConfig = { services: [], limits: DEFAULT_NAT_LIMITS };

/** The word in place of an interface's name: there is none. */
export const USERSPACE = 'userspace';

/** Undefined if it is not one. */
export function parseNatService(text: string): NatService | undefined {
  const [, protocol = 'tcp', port, bracketed, host, targetPort] =
    /^(?:(tcp|udp):)?(\d{1,5}):(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = parseIp(bracketed ?? host ?? '');
  if (address === undefined || !isPort(port) || !isPort(targetPort)) return undefined;
  return { protocol: protocol === 'udp' ? 'udp' : 'tcp', port: Number(port), target: { address, port: Number(targetPort) } };
}

function isPort(text: string | undefined): boolean {
  const port = Number(text);
  return port >= 1 && port <= 65_535;
}
