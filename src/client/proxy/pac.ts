/** A proxy auto-configuration file: tells browsers what goes through the proxy. */
import { formatIp, netmaskOf } from '../../core/wire/ip-address.ts';
import type { RouteRules } from './route-rules.ts';

/** More would be a burden for each request of a browser: the proxy itself sends the rest direct. */
const MAX_RULES = 500;

/**
 * `proxy`: `host:port`, as the browser knows it. Names of which the rules know nothing and IPv6 addresses go to the proxy, which looks them up and
 * decides; only what surely goes direct is said to.
 */
export function renderPac(rules: RouteRules, proxy: string): string {
  const domains = rules.domains.slice(0, MAX_RULES).map(({ domain, way }) => [domain, way === 'direct']);
  const networks = rules.networks
    .filter(({ network }) => network.address.family === 4)
    .slice(0, MAX_RULES)
    .map(({ network, way }) => [formatIp(network.address), formatIp(netmaskOf(4, network.prefix)), way === 'direct']);
  return `function FindProxyForURL(url, host) {
  var direct = "DIRECT";
  var proxy = ${JSON.stringify(`PROXY ${proxy}; SOCKS5 ${proxy}`)};
  var domains = ${JSON.stringify(domains)};
  var networks = ${JSON.stringify(networks)};
  var name = host.toLowerCase().replace(/\\.$/, "");
  if (name === "localhost" || /\\.localhost$/.test(name) || /^127\\./.test(name) || name === "::1" || name === "[::1]") return direct;
  for (var i = 0; i < domains.length; i++) {
    var domain = domains[i][0];
    if (name === domain || name.slice(-domain.length - 1) === "." + domain) return domains[i][1] ? direct : proxy;
  }
  if (/^\\d+\\.\\d+\\.\\d+\\.\\d+$/.test(name)) {
    for (var j = 0; j < networks.length; j++) {
      if (isInNet(name, networks[j][0], networks[j][1])) return networks[j][2] ? direct : proxy;
    }
    return ${rules.sendsOtherAddresses === 'direct' ? 'direct' : 'proxy'};
  }
  return proxy;
}
`;
}
