/**
 * The environment of a network-configuration script, in the words of vpnc-script.
 *
 * Read first: spec "vpnc-script", sections 1 to 3. A script gets what was inherited, without the names in `unset`, and with `set` on top.
 */
import { type Cidr, formatCidr, formatIp, type IpAddress, netmaskOf, networkOf } from '../wire/ip-address.ts';
import type { InterfaceAddress, TunnelConfig } from './config.ts';

/** When a script is called. `script-tun`: the program that takes the packets itself, started once. */
export type ScriptReason = 'pre-init' | 'connect' | 'attempt-reconnect' | 'reconnect' | 'disconnect' | 'script-tun';

export interface ScriptFacts {
  readonly reason: ScriptReason;
  /** The peer that the connection really goes to: of a proxy, the proxy. */
  readonly gateway: IpAddress;
  /** Of the process that keeps the tunnel. */
  readonly pid: number;
  /** 0 errors, 1 information, 2 debugging, 3 traces. */
  readonly logLevel: 0 | 1 | 2 | 3;
  /** Before the device is open (`pre-init`): only if the user named one. */
  readonly deviceName?: string;
  /** Windows. */
  readonly deviceIndex?: number;
  /** `script-tun`: the descriptor of the packet socket. */
  readonly packetSocket?: number;
}

export interface ScriptEnvironment {
  readonly set: Readonly<Record<string, string>>;
  /** What must not be inherited: a script of a tunnel inside a tunnel would see the outer one's values. */
  readonly unset: readonly string[];
}

/** Every variable of the contract that has no number in its name, whether we ever set it or not. */
const VARIABLES: readonly string[] = [
  'reason',
  'VPNGATEWAY',
  'VPNPID',
  'TUNDEV',
  'TUNIDX',
  'VPNFD',
  'LOG_LEVEL',
  'IDLE_TIMEOUT',
  'INTERNAL_IP4_ADDRESS',
  'INTERNAL_IP4_MTU',
  'INTERNAL_IP4_NETMASK',
  'INTERNAL_IP4_NETMASKLEN',
  'INTERNAL_IP4_NETADDR',
  'INTERNAL_IP4_DNS',
  'INTERNAL_IP4_NBNS',
  'INTERNAL_IP6_ADDRESS',
  'INTERNAL_IP6_NETMASK',
  'INTERNAL_IP6_DNS',
  'CISCO_DEF_DOMAIN',
  'CISCO_SPLIT_DNS',
  'CISCO_BANNER',
  'CISCO_PROXY_PAC',
  'CISCO_SPLIT_INC',
  'CISCO_SPLIT_EXC',
  'CISCO_IPV6_SPLIT_INC',
  'CISCO_IPV6_SPLIT_EXC',
  'CISCO_CSTP_OPTIONS',
];

/** The variables of single routes. Their number is not bounded by what this tunnel sets, so inherited ones are found by name. */
const ROUTE_VARIABLE = /^CISCO_(?:IPV6_)?SPLIT_(?:INC|EXC)_\d+_(?:ADDR|MASK|MASKLEN|PROTOCOL|SPORT|DPORT)$/;

/** `inherited`: the names in the environment that the script would get otherwise. */
export function scriptEnvironment(config: TunnelConfig, facts: ScriptFacts, inherited: Iterable<string> = []): ScriptEnvironment {
  const set = new Map<string, string>();
  const put = (name: string, value: string | number | undefined) => {
    if (value !== undefined && value !== '') set.set(name, String(value));
  };
  put('reason', facts.reason === 'script-tun' ? undefined : facts.reason);
  put('VPNGATEWAY', formatIp(facts.gateway));
  put('VPNPID', facts.pid);
  put('TUNDEV', facts.deviceName);
  put('TUNIDX', facts.deviceIndex);
  put('VPNFD', facts.packetSocket);
  put('LOG_LEVEL', facts.logLevel);
  put('IDLE_TIMEOUT', config.idleTimeout === undefined ? undefined : Math.floor(config.idleTimeout / 1000));

  put('INTERNAL_IP4_MTU', config.mtu); // of IPv6 too
  if (config.ipv4 !== undefined) putIpv4(put, config.ipv4);
  if (config.ipv6 !== undefined) putIpv6(put, config.ipv6);
  put('INTERNAL_IP4_DNS', config.dns.map(formatIp).join(' ')); // both families: scripts read INTERNAL_IP6_DNS on OpenBSD only
  put('INTERNAL_IP4_NBNS', config.nbns.map(formatIp).join(' '));

  put('CISCO_DEF_DOMAIN', config.searchDomains.join(' '));
  put('CISCO_SPLIT_DNS', config.splitDns.toReversed().join(',')); // openconnect lists the last one first
  put('CISCO_BANNER', config.banner);
  put('CISCO_PROXY_PAC', config.proxyPac);
  putRoutes(put, 'SPLIT_INC', config.include);
  putRoutes(put, 'SPLIT_EXC', config.exclude);
  set.set('CISCO_CSTP_OPTIONS', config.vendorOptions.map(([name, value]) => `${name}=${value}`).join('\n')); // there even when empty

  const unset = [...VARIABLES, ...[...inherited].filter((name) => ROUTE_VARIABLE.test(name))];
  return { set: Object.fromEntries(set), unset: unset.filter((name) => !set.has(name)) };
}

type Put = (name: string, value: string | number | undefined) => void;

function putIpv4(put: Put, { address, prefix }: InterfaceAddress): void {
  put('INTERNAL_IP4_ADDRESS', formatIp(address));
  if (prefix === undefined) return;
  put('INTERNAL_IP4_NETMASK', formatIp(netmaskOf(4, prefix)));
  put('INTERNAL_IP4_NETMASKLEN', prefix);
  put('INTERNAL_IP4_NETADDR', formatIp(networkOf({ address, prefix }).address));
}

function putIpv6(put: Put, { address, prefix }: InterfaceAddress): void {
  put('INTERNAL_IP6_ADDRESS', formatIp(address));
  if (prefix !== undefined) put('INTERNAL_IP6_NETMASK', formatCidr({ address, prefix })); // an address, despite the name
}

function putRoutes(put: Put, name: 'SPLIT_INC' | 'SPLIT_EXC', routes: readonly Cidr[]): void {
  for (const family of [4, 6] as const) {
    const variable = `CISCO_${family === 6 ? 'IPV6_' : ''}${name}`;
    const ofFamily = routes.filter((route) => route.address.family === family);
    put(variable, ofFamily.length === 0 ? undefined : ofFamily.length);
    for (const [i, { address, prefix }] of ofFamily.entries()) {
      put(`${variable}_${i}_ADDR`, formatIp(address));
      if (family === 4) put(`${variable}_${i}_MASK`, formatIp(netmaskOf(4, prefix)));
      put(`${variable}_${i}_MASKLEN`, prefix);
    }
  }
}
