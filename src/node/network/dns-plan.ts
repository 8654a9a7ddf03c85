/**
 * Plans DNS: which names are asked through the tunnel, in the words of whoever answers for DNS on this machine.
 *
 * Read first: spec "vpnc-script", sections 4 ("DNS back-end choice") and 6; resolvectl(1), "domain" and "default-route";
 * NetworkManager.conf(5), "GLOBAL-DNS SECTION".
 *
 *   the gateway says                     systemd-resolved asks the tunnel for       the others ask it for
 *   -----------------------------------  -----------------------------------------  ---------------------
 *   everything goes through the tunnel   all names, and no other link               all names
 *   split DNS domains                    these and the search domains only          all names
 *   some networks, no split DNS          the search domains; the rest from all links  all names
 */
import type { TunnelConfig } from '../../core/tunnel/config.ts';
import { formatIp } from '../../core/wire/ip-address.ts';
import { renderResolvConf } from './resolv-conf.ts';
import type { Resolver } from './resolver.ts';
import type { DnsStep } from './steps.ts';

/** Far more than any resolver uses. */
const MAX_SERVERS = 16;
const MAX_DOMAINS = 128;

export interface WantedDns {
  readonly config: TunnelConfig;
  readonly device: string;
  /** The name of this set-up, for a resolv.conf that says whose it is. */
  readonly session: string;
}

/** The one step that sets DNS, or none if the gateway names no server. `isEverything`: all of a family goes through the tunnel. */
export function planDns(wanted: WantedDns, resolver: Resolver, isEverything: boolean, notes: string[]): DnsStep[] {
  const { config, device, session } = wanted;
  const servers = [...new Set(config.dns.map(formatIp))].slice(0, MAX_SERVERS);
  if (servers.length === 0) return [];
  const searchDomains = domainsOf(config.searchDomains, notes);
  const splitDomains = domainsOf(config.splitDns, notes);
  if (resolver.kind !== 'resolved' && splitDomains.length > 0 && !isEverything) {
    notes.push('Only systemd-resolved can ask different servers for different names: all names are asked through the tunnel.');
  }
  switch (resolver.kind) {
    case 'resolved': {
      const routed = splitDomains.filter((domain) => !searchDomains.includes(domain));
      const domains = [...searchDomains, ...(isEverything ? ['~.'] : []), ...routed.map((domain) => `~${domain}`)];
      return [{ kind: 'resolved', device, servers, domains, isDefault: isEverything || splitDomains.length === 0 }];
    }
    case 'resolvconf': {
      const search = searchDomains.length === 0 ? [] : [`search ${searchDomains.join(' ')}`];
      const content = [...servers.map((server) => `nameserver ${server}`), ...search, ''].join('\n');
      return [{ kind: 'resolvconf', record: `${device}.sallyport`, content }];
    }
    case 'network-manager': {
      // Seen with NetworkManager 1.42: global DNS replaces what the connections say, and its own comes back when the file goes.
      const path = `/run/NetworkManager/conf.d/90-sallyport-${device}.conf`;
      const content = [
        `# DNS of ${device}, written by sallyport; it goes when the tunnel ends.`,
        '[global-dns]',
        `searches=${searchDomains.join(',')}`,
        '[global-dns-domain-*]',
        `servers=${servers.join(',')}`,
        '',
      ].join('\n');
      return [{ kind: 'network-manager', path, content }];
    }
    case 'file': {
      const content = renderResolvConf({ session, device, servers, searchDomains }, resolver.content);
      return [{ kind: 'resolv-conf', path: resolver.path, content, before: resolver.content }];
    }
  }
}

/** Names that can be domains. Others are left out: what a peer says becomes a word of a file or an argument. */
function domainsOf(names: readonly string[], notes: string[]): readonly string[] {
  const domains = [...new Set(names.map((name) => name.replace(/\.$/, '')))];
  const good = domains
    .filter((domain) => domain.length <= 253 && /^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(domain))
    .slice(0, MAX_DOMAINS);
  if (good.length < domains.length)
    notes.push(`${domains.length - good.length} of the gateway's DNS domains are not usable and were left out.`);
  return good;
}
