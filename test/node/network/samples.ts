/** A machine and a tunnel as tests start from them. */
import assert from 'node:assert/strict';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { FakeMachine, type FakeRoute } from './fake-machine.ts';

export function ip(text: string): IpAddress {
  const address = parseIp(text);
  assert.ok(address !== undefined, text);
  return address;
}

export function cidr(text: string): Cidr {
  const network = parseCidr(text);
  assert.ok(network !== undefined, text);
  return network;
}

/** A tunnel for everything in both families, unless said otherwise. */
export function tunnel(changes: Partial<TunnelConfig> & { readonly only?: 4 | 6 } = {}): TunnelConfig {
  const { only, ...rest } = changes;
  return {
    mtu: 1400,
    ...(only === 6 ? {} : { ipv4: { address: ip('10.99.0.50'), prefix: 24 } }),
    ...(only === 4 ? {} : { ipv6: { address: ip('fd99::50'), prefix: 64 } }),
    dns: [ip('10.99.0.1')],
    nbns: [],
    searchDomains: ['corp.example'],
    splitDns: [],
    include: [],
    exclude: [],
    vendorOptions: [],
    ...rest,
  };
}

export const GATEWAY: IpAddress = ip('203.0.113.9');
export const RESOLV_CONF_BEFORE = 'search lan.example\nnameserver 192.0.2.53\noptions edns0 trust-ad\n';

export const LAN_ROUTES: readonly FakeRoute[] = [
  { dst: 'default', gateway: '192.0.2.1', dev: 'eth0' },
  { dst: '192.0.2.0/24', dev: 'eth0', protocol: 'kernel', prefsrc: '192.0.2.10' },
  { dst: 'default', gateway: 'fe80::1', dev: 'eth0', metric: 1024, protocol: 'ra' },
  { dst: '2001:db8:1::/64', dev: 'eth0', metric: 256, protocol: 'kernel' },
];

/** A machine on a LAN, with a tunnel's device that nobody has touched, and a resolv.conf of its own. */
export function lanMachine(routes: readonly FakeRoute[] = LAN_ROUTES): FakeMachine {
  return new FakeMachine(
    {
      lo: { index: 1, mtu: 65536, isUp: true, addresses: ['127.0.0.1/8', '::1/128'] },
      eth0: { index: 2, mtu: 1500, isUp: true, addresses: ['192.0.2.10/24', '2001:db8:1::10/64'] },
      wlan0: { index: 3, mtu: 1500, isUp: true, addresses: [] },
      tun0: { index: 7, mtu: 1500, isUp: false, addresses: [] },
    },
    routes,
    { '/etc/resolv.conf': RESOLV_CONF_BEFORE },
  );
}
