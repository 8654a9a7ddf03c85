/** The name servers that this host asks, as resolv.conf(5) has them. */
import { getServers } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { type Endpoint, parseIp } from '../../core/wire/ip-address.ts';
import { systemErrorCode } from '../system-error.ts';

const DNS_PORT = 53;

/** How many name servers the C library asks (MAXNS in resolv.h). */
const MAX_SERVERS = 3;

/** Rejects with the system's error for a file that is there and cannot be read. Where there is none: what Node asks. */
export async function hostResolvers(file = '/etc/resolv.conf'): Promise<Endpoint[]> {
  let servers: readonly string[];
  try {
    const text = await readFile(file, 'utf8');
    servers = [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map(([, server = '']) => server);
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    servers = getServers();
  }
  // One with a zone (fe80::1%eth0) or a port of its own is no address.
  const addresses = servers.map(parseIp).filter((address) => address !== undefined);
  return addresses.slice(0, MAX_SERVERS).map((address) => ({ address, port: DNS_PORT }));
}
