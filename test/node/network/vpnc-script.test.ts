/**
 * Our configurator beside Debian's vpnc-script: the same values in two identical namespaces, and the effects compared. Every difference is
 * one of those that docs/network-setup.md lists and justifies: `asTheScript` is that list as code, and nothing else may differ.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { type Cidr, formatCidr, formatIp, netmaskOf, networkOf } from '../../../src/core/wire/ip-address.ts';
import type { Recovery } from '../../../src/node/network/recover.ts';
import { missing } from '../../support/requirements.ts';
import { type AgentConfig, agentConfig } from './agent.ts';
import { Namespace } from './namespace.ts';

const SCRIPT = '/usr/share/vpnc-scripts/vpnc-script';
const root = mkdtempSync(path.join(tmpdir(), 'sallyport-vpnc-'));
after(() => rmSync(root, { recursive: true }));

const CASES: Readonly<Record<string, AgentConfig & { readonly gateway?: string }>> = {
  'everything in both families': {},
  'everything of IPv4 alone': { only: 4 },
  'everything of IPv6 alone': { only: 6, dns: ['fd99::1'], gateway: '2001:db8:ffff::9' },
  'a split tunnel': { include: ['10.10.0.0/16', '10.20.30.40/32', '2001:db8:9::/48'] },
  'a split tunnel with excludes': {
    include: ['10.10.0.0/16', '2001:db8:9::/48'],
    exclude: ['10.10.5.0/24', '2001:db8:9:1::/64'],
  },
  'a full tunnel with excludes': { exclude: ['10.10.5.0/24', '198.51.100.0/24', '169.254.0.0/16', '2001:db8:9:1::/64'] },
  'a split tunnel of one family, everything of the other': { include: ['10.10.0.0/16'] },
  'a gateway on the LAN': { include: ['10.10.0.0/16'], gateway: '192.0.2.200' },
  'no name servers': { dns: [] },
  'several search domains and servers': { dns: ['10.99.0.1', 'fd99::1', '10.99.0.2'], searchDomains: ['a.example', 'b.example'] },
};

const PROBES = [
  '10.10.1.1',
  '10.10.5.1',
  '10.20.30.40',
  '10.99.0.7',
  '192.0.2.77',
  '192.0.2.200',
  '198.51.100.7',
  '203.0.113.9',
  '203.0.113.10',
  '2001:db8:9::1',
  '2001:db8:9:1::1',
  '2001:db8:ffff::9',
  '2001:db8:ffff::a',
  'fd99::7',
];

/** What openconnect would hand to the script. Spec "vpnc-script", section 3. */
function environment(config: AgentConfig, gateway: string): Record<string, string> {
  const { mtu, ipv4, ipv6, dns, searchDomains, include, exclude } = agentConfig(config);
  const set: Record<string, string> = {
    VPNGATEWAY: gateway,
    TUNDEV: 'tun0',
    LOG_LEVEL: '1',
    INTERNAL_IP4_MTU: String(mtu),
    CISCO_CSTP_OPTIONS: '',
  };
  if (ipv4 !== undefined) {
    const prefix = ipv4.prefix ?? 32;
    set.INTERNAL_IP4_ADDRESS = formatIp(ipv4.address);
    set.INTERNAL_IP4_NETMASK = formatIp(netmaskOf(4, prefix));
    set.INTERNAL_IP4_NETMASKLEN = String(prefix);
    set.INTERNAL_IP4_NETADDR = formatIp(networkOf({ address: ipv4.address, prefix }).address);
  }
  if (ipv6 !== undefined) {
    set.INTERNAL_IP6_ADDRESS = formatIp(ipv6.address);
    set.INTERNAL_IP6_NETMASK = formatCidr({ address: ipv6.address, prefix: ipv6.prefix ?? 128 });
  }
  if (dns.length > 0) set.INTERNAL_IP4_DNS = dns.map(formatIp).join(' ');
  if (searchDomains.length > 0) set.CISCO_DEF_DOMAIN = searchDomains.join(' ');
  for (const [name, list] of [
    ['SPLIT_INC', include],
    ['SPLIT_EXC', exclude],
  ] as const) {
    for (const family of [4, 6] as const)
      addList(
        set,
        `CISCO_${family === 6 ? 'IPV6_' : ''}${name}`,
        list.filter(({ address }) => address.family === family),
      );
  }
  return set;
}

function addList(set: Record<string, string>, name: string, list: readonly Cidr[]): void {
  if (list.length > 0) set[name] = String(list.length);
  for (const [i, { address, prefix }] of list.entries()) {
    set[`${name}_${i}_ADDR`] = formatIp(address);
    set[`${name}_${i}_MASKLEN`] = String(prefix);
    if (address.family === 4) set[`${name}_${i}_MASK`] = formatIp(netmaskOf(4, prefix));
  }
}

/** Our routes as the script would have made them: the differences that are meant, and no others. */
function asTheScript(routes: readonly string[], family: 4 | 6): string[] {
  const halves = family === 4 ? ['0.0.0.0/1 dev tun0', '128.0.0.0/1 dev tun0'] : ['::/1 dev tun0 metric 1', '8000::/1 dev tun0 metric 1'];
  const isEverything = halves.every((half) => routes.includes(half));
  return routes
    .filter((route) => !halves.includes(route))
    .filter((route) => !(isEverything && family === 4 && route.startsWith('default '))) // the script takes the default route's place
    .concat(isEverything ? [`default dev tun0${family === 6 ? ' metric 1' : ''}`] : [])
    .map((route) => (/^fd99::\/64 dev tun0/.test(route) ? route.replace('metric 1', 'proto kernel metric 256') : route)) // the kernel's own
    .map((route) => (route.startsWith('default') || family === 4 ? route : route.replace(/metric 1$/, 'metric 1024'))) // what `ip` takes when none is given
    .toSorted();
}

describe("Debian's vpnc-script and the configurator", {
  skip: missing('root', 'netns', 'tun', ...(existsSync(SCRIPT) ? [] : ['vpnc-script'])),
}, () => {
  for (const [name, { gateway = '203.0.113.9', ...config }] of Object.entries(CASES)) {
    it(`do the same for ${name}`, async () => {
      const [theirs, ours] = [new Namespace(), new Namespace()];
      try {
        const start = ours.snapshot();
        assert.deepEqual(theirs.snapshot(), start);
        const [script, network] = [theirs.agent(path.join(root, 'a')), ours.agent(path.join(root, 'b'))];
        const run = (reason: string) =>
          script.ask({ do: 'script', command: `${SCRIPT} 2>/dev/null`, set: { ...environment(config, gateway), reason } });
        for (const reason of ['pre-init', 'connect']) assert.deepEqual(await run(reason), { kind: 'ok' });
        assert.deepEqual(await network.ask({ do: 'apply', gateway, config }), { changed: true, notes: [] });
        for (const family of [4, 6] as const) assert.deepEqual(asTheScript(ours.routes(family), family), theirs.routes(family).toSorted());
        for (const address of PROBES) assert.equal(ours.wayTo(address), theirs.wayTo(address), address);
        assert.deepEqual(ours.tunnel(), theirs.tunnel());
        assert.deepEqual(resolvConf(ours), resolvConf(theirs));
        assert.deepEqual(await run('disconnect'), { kind: 'ok' });
        await network.ask({ do: 'undo' });
        assert.deepEqual(ours.snapshot(), start);
        assert.deepEqual({ ...theirs.snapshot(), tunnel: ours.tunnel() }, start, 'the script leaves the MTU behind');
      } finally {
        await Promise.all([theirs.close(), ours.close()]);
      }
    });
  }

  it('let the script be undone after a crash, even when the device is gone: a recovery runs it', async () => {
    for (const isDeviceGone of [false, true]) {
      const space = new Namespace();
      try {
        const { tunnel: _, ...start } = space.snapshot();
        const directory = path.join(root, space.name);
        const victim = space.agent(directory);
        const set = { ...environment({}, '203.0.113.9'), reason: 'connect' };
        assert.deepEqual(await victim.ask({ do: 'script', command: `${SCRIPT} 2>/dev/null`, set }), { kind: 'ok' });
        assert.equal(space.wayTo('198.51.100.7'), 'tun0');
        await victim.kill();
        if (isDeviceGone) space.ip('link delete tun0');
        const [report] = (await space.agent(directory).ask({ do: 'recover' })) as Recovery[];
        assert.equal(report?.outcome, 'undone', report?.lines.join());
        const { tunnel: __, ...end } = space.snapshot();
        assert.deepEqual(end, start);
      } finally {
        await space.close();
      }
    }
  });

  it('differ where a network is the LAN: the script loses that route, we keep it', async () => {
    const config = { only: 4, include: ['192.0.2.0/24'] } as const;
    const [theirs, ours] = [new Namespace(), new Namespace()];
    try {
      const start = ours.routes(4);
      const [script, network] = [theirs.agent(path.join(root, 'c')), ours.agent(path.join(root, 'd'))];
      const run = (reason: string) =>
        script.ask({ do: 'script', command: `${SCRIPT} 2>/dev/null`, set: { ...environment(config, '203.0.113.9'), reason } });
      await run('connect');
      await network.ask({ do: 'apply', gateway: '203.0.113.9', config });
      for (const space of [theirs, ours]) {
        assert.equal(space.wayTo('192.0.2.77'), 'tun0');
        assert.equal(space.wayTo('203.0.113.9'), 'eth0 via 192.0.2.1');
      }
      await run('disconnect');
      await network.ask({ do: 'undo' });
      assert.deepEqual(ours.routes(4), start);
      assert.ok(!theirs.routes(4).some((route) => route.startsWith('192.0.2.0/24')));
    } finally {
      await Promise.all([theirs.close(), ours.close()]);
    }
  });
});

function resolvConf(space: Namespace): { servers: string[]; search: string[]; options: string[] } {
  const words = space
    .resolvConfText()
    .split('\n')
    .map((line) => line.split(' '));
  const valuesOf = (keyword: string) => words.filter(([first]) => first === keyword).flatMap(([, ...values]) => values);
  return {
    servers: valuesOf('nameserver'),
    search: valuesOf('search').toSorted(),
    options: valuesOf('options').filter((option) => option !== 'trust-ad'),
  };
}
