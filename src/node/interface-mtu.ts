/** The MTU of the interface that has a local address, without system calls of our own: what a socket's packets may be at most when they leave. */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type IpAddress, parseIp, sameIp } from '../core/wire/ip-address.ts';

/**
 * In bytes of IP packet; undefined where the system does not say (no such address here, or not Linux). The path's own MTU can be smaller: a route's
 * MTU and what ICMP taught the kernel are only known to a connected socket of the engine.
 */
export function interfaceMtu(local: IpAddress): number | undefined {
  const name = interfaceOf(local);
  if (name === undefined) return undefined;
  try {
    const mtu = Number.parseInt(readFileSync(`/sys/class/net/${name}/mtu`, 'latin1'), 10);
    return mtu > 0 ? mtu : undefined;
  } catch {
    return undefined; // no /sys: another system, or a container without it
  }
}

/** The name of the interface that has this address. */
export function interfaceOf(local: IpAddress): string | undefined {
  for (const [name, addresses] of Object.entries(networkInterfaces())) {
    for (const { address } of addresses ?? []) {
      const parsed = parseIp(address.replace(/%.*$/, '')); // a zone is not part of an address
      // A second address of an interface may carry a label: eth0:1.
      if (parsed?.family === local.family && sameIp(parsed, local)) return name.replace(/:.*$/, '');
    }
  }
  return undefined;
}
