import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import { type ScriptFacts, scriptEnvironment } from '../../../src/core/tunnel/script-environment.ts';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';

const ip = (text: string): IpAddress => parseIp(text) ?? assert.fail(text);
const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);

const EMPTY: TunnelConfig = {
  mtu: 1434,
  dns: [],
  nbns: [],
  searchDomains: [],
  splitDns: [],
  include: [],
  exclude: [],
  vendorOptions: [],
};

/** What ocserv announced when the values of spec "vpnc-script", section 3, were measured. */
const FULL: TunnelConfig = {
  mtu: 1434,
  ipv4: { address: ip('192.168.99.50'), prefix: 24 },
  ipv6: { address: ip('fda9:4efe:7e3b:3ea:0:0:58ef:1'), prefix: 64 },
  dns: [ip('192.168.99.1'), ip('fda9:4efe:7e3b:03ea::1')],
  nbns: [ip('192.168.99.2')],
  searchDomains: ['example.com', 'one.example.com'],
  splitDns: ['corp.example.com', 'int.example.com'],
  include: [cidr('10.10.10.0/24'), cidr('fef4:db8:1000:1001::/64'), cidr('172.16.0.0/12')],
  exclude: [cidr('10.10.10.128/25'), cidr('fef4:db8:1000:1001:8000::/65')],
  banner: 'Welcome\nto Köln',
  proxyPac: 'http://proxy.example.com/p.pac',
  idleTimeout: 1_200_999,
  vendorOptions: [
    ['X-CSTP-DNS', '192.168.99.1'],
    ['X-CSTP-DNS', 'fda9:4efe:7e3b:03ea::1'],
    ['X-CSTP-MTU', '1434'],
  ],
};

const FACTS: ScriptFacts = { reason: 'connect', gateway: ip('127.0.0.1'), pid: 4711, logLevel: 1, deviceName: 'tun0' };

describe('environment of a network script', () => {
  it('says everything that a gateway announced, in the words of vpnc-script', () => {
    const { set } = scriptEnvironment(FULL, FACTS);
    assert.deepEqual(set, {
      reason: 'connect',
      VPNGATEWAY: '127.0.0.1',
      VPNPID: '4711',
      TUNDEV: 'tun0',
      LOG_LEVEL: '1',
      IDLE_TIMEOUT: '1200',
      INTERNAL_IP4_ADDRESS: '192.168.99.50',
      INTERNAL_IP4_MTU: '1434',
      INTERNAL_IP4_NETMASK: '255.255.255.0',
      INTERNAL_IP4_NETMASKLEN: '24',
      INTERNAL_IP4_NETADDR: '192.168.99.0',
      INTERNAL_IP4_DNS: '192.168.99.1 fda9:4efe:7e3b:3ea::1',
      INTERNAL_IP4_NBNS: '192.168.99.2',
      INTERNAL_IP6_ADDRESS: 'fda9:4efe:7e3b:3ea::58ef:1',
      INTERNAL_IP6_NETMASK: 'fda9:4efe:7e3b:3ea::58ef:1/64',
      CISCO_DEF_DOMAIN: 'example.com one.example.com',
      CISCO_SPLIT_DNS: 'int.example.com,corp.example.com',
      CISCO_BANNER: 'Welcome\nto Köln',
      CISCO_PROXY_PAC: 'http://proxy.example.com/p.pac',
      CISCO_SPLIT_INC: '2',
      CISCO_SPLIT_INC_0_ADDR: '10.10.10.0',
      CISCO_SPLIT_INC_0_MASK: '255.255.255.0',
      CISCO_SPLIT_INC_0_MASKLEN: '24',
      CISCO_SPLIT_INC_1_ADDR: '172.16.0.0',
      CISCO_SPLIT_INC_1_MASK: '255.240.0.0',
      CISCO_SPLIT_INC_1_MASKLEN: '12',
      CISCO_SPLIT_EXC: '1',
      CISCO_SPLIT_EXC_0_ADDR: '10.10.10.128',
      CISCO_SPLIT_EXC_0_MASK: '255.255.255.128',
      CISCO_SPLIT_EXC_0_MASKLEN: '25',
      CISCO_IPV6_SPLIT_INC: '1',
      CISCO_IPV6_SPLIT_INC_0_ADDR: 'fef4:db8:1000:1001::',
      CISCO_IPV6_SPLIT_INC_0_MASKLEN: '64',
      CISCO_IPV6_SPLIT_EXC: '1',
      CISCO_IPV6_SPLIT_EXC_0_ADDR: 'fef4:db8:1000:1001:8000::',
      CISCO_IPV6_SPLIT_EXC_0_MASKLEN: '65',
      CISCO_CSTP_OPTIONS: 'X-CSTP-DNS=192.168.99.1\nX-CSTP-DNS=fda9:4efe:7e3b:03ea::1\nX-CSTP-MTU=1434',
    });
  });

  it('always says the gateway, the process, the MTU, the log level and the options, and unsets all the rest that has no value', () => {
    const { set, unset } = scriptEnvironment(EMPTY, { ...FACTS, gateway: ip('2001:db8::1') });
    assert.deepEqual(set, {
      reason: 'connect',
      VPNGATEWAY: '2001:db8::1',
      VPNPID: '4711',
      TUNDEV: 'tun0',
      LOG_LEVEL: '1',
      INTERNAL_IP4_MTU: '1434',
      CISCO_CSTP_OPTIONS: '',
    });
    for (const name of [
      ...[
        'CISCO_BANNER',
        'CISCO_SPLIT_INC',
        'CISCO_SPLIT_EXC',
        'IDLE_TIMEOUT',
        'INTERNAL_IP4_DNS',
        'INTERNAL_IP4_NBNS',
        'CISCO_DEF_DOMAIN',
      ],
      ...['INTERNAL_IP4_ADDRESS', 'INTERNAL_IP4_NETMASK', 'INTERNAL_IP4_NETMASKLEN', 'INTERNAL_IP4_NETADDR', 'CISCO_SPLIT_DNS'],
      ...['INTERNAL_IP6_ADDRESS', 'INTERNAL_IP6_NETMASK', 'INTERNAL_IP6_DNS', 'CISCO_IPV6_SPLIT_INC', 'CISCO_IPV6_SPLIT_EXC'],
      ...['CISCO_PROXY_PAC', 'VPNFD', 'TUNIDX'],
    ]) {
      assert.ok(unset.includes(name), name);
    }
  });

  it('gives every reason its word', () => {
    for (const reason of ['pre-init', 'connect', 'attempt-reconnect', 'reconnect', 'disconnect'] as const) {
      assert.equal(scriptEnvironment(FULL, { ...FACTS, reason }).set.reason, reason);
    }
  });

  it('names no device before there is one, unless the user did', () => {
    const { deviceName: _, ...preInit } = { ...FACTS, reason: 'pre-init' as const };
    const { set, unset } = scriptEnvironment(FULL, preInit);
    assert.equal('TUNDEV' in set, false);
    assert.ok(unset.includes('TUNDEV'));
    assert.equal(scriptEnvironment(FULL, { ...preInit, deviceName: 'vpn0' }).set.TUNDEV, 'vpn0');
  });

  it('hands a packet socket to a program that takes the packets itself, and no reason', () => {
    const { deviceName: _, ...facts } = FACTS;
    const { set, unset } = scriptEnvironment(FULL, { ...facts, reason: 'script-tun', packetSocket: 9 });
    assert.equal(set.VPNFD, '9');
    assert.equal('reason' in set, false);
    assert.ok(unset.includes('reason') && unset.includes('TUNDEV'));
  });

  it('says the index of a device on Windows', () => {
    assert.equal(scriptEnvironment(FULL, { ...FACTS, deviceIndex: 12 }).set.TUNIDX, '12');
  });

  it('says no network of an address whose netmask is unknown', () => {
    const { set, unset } = scriptEnvironment({ ...EMPTY, ipv4: { address: ip('10.0.0.1') }, ipv6: { address: ip('fd00::1') } }, FACTS);
    assert.equal(set.INTERNAL_IP4_ADDRESS, '10.0.0.1');
    assert.equal(set.INTERNAL_IP6_ADDRESS, 'fd00::1');
    for (const name of ['INTERNAL_IP4_NETMASK', 'INTERNAL_IP4_NETMASKLEN', 'INTERNAL_IP4_NETADDR', 'INTERNAL_IP6_NETMASK']) {
      assert.ok(unset.includes(name), name);
    }
  });

  it('writes a route to everything as one', () => {
    const { set } = scriptEnvironment({ ...EMPTY, include: [cidr('0.0.0.0/0')] }, FACTS);
    assert.equal(set.CISCO_SPLIT_INC, '1');
    assert.equal(set.CISCO_SPLIT_INC_0_MASK, '0.0.0.0');
    assert.equal(set.CISCO_SPLIT_INC_0_MASKLEN, '0');
  });

  it('unsets the inherited routes of an outer tunnel that this one does not set', () => {
    const inherited = [
      'PATH',
      'CISCO_SPLIT_INC_0_ADDR',
      'CISCO_SPLIT_INC_7_ADDR',
      'CISCO_IPV6_SPLIT_EXC_3_MASKLEN',
      'CISCO_SPLIT_INC_0_DPORT',
      'CISCO_X',
    ];
    const { unset } = scriptEnvironment(FULL, FACTS, inherited);
    assert.deepEqual(
      unset.filter((name) => inherited.includes(name)),
      ['CISCO_SPLIT_INC_7_ADDR', 'CISCO_IPV6_SPLIT_EXC_3_MASKLEN', 'CISCO_SPLIT_INC_0_DPORT'],
    );
  });

  it('numbers the routes of each family without a gap, and never sets and unsets the same name', () => {
    const routes = fc.array(fc.constantFrom('10.0.0.0/8', '192.0.2.0/24', '2001:db8::/32', '::/0').map(cidr), { maxLength: 20 });
    fc.assert(
      fc.property(routes, routes, (include, exclude) => {
        const { set, unset } = scriptEnvironment({ ...EMPTY, include, exclude }, FACTS);
        for (const [name, list] of [
          ['SPLIT_INC', include],
          ['SPLIT_EXC', exclude],
        ] as const) {
          for (const [prefix, family] of [
            ['CISCO_', 4],
            ['CISCO_IPV6_', 6],
          ] as const) {
            const count = list.filter((route) => route.address.family === family).length;
            assert.equal(Number(set[`${prefix}${name}`] ?? 0), count);
            for (let i = 0; i < count; i++) assert.ok(set[`${prefix}${name}_${i}_ADDR`] !== undefined);
            assert.equal(set[`${prefix}${name}_${count}_ADDR`], undefined);
          }
        }
        assert.ok(unset.every((name) => !(name in set)));
      }),
    );
  });
});
