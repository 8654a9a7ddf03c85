import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { it } from 'node:test';
import { SallyportError } from '../../../src/core/errors.ts';
import type { PortRestriction } from '../../../src/gateway/config/gateway-config.ts';
import type { Restriction } from '../../../src/gateway/network/firewall-rules.ts';
import { MAX_RULES, SessionFirewall } from '../../../src/gateway/network/session-firewall.ts';
import { thisMachine } from '../../../src/node/network/machine.ts';
import { inNamespace, ip as runIp } from '../../support/namespace.ts';
import { type Fate, ForwardingScene, type Probe } from './forwarding-scene.ts';
import { cidr, ip } from './lease-requests.ts';

const ALICE = [cidr('10.77.0.50'), cidr('fd77::50')];
const FREE: Restriction = { dns: [], routes: [], noRoutes: [], restrictsToRoutes: false };

function restriction(more: {
  dns?: string[];
  routes?: string[];
  noRoutes?: string[];
  ports?: PortRestriction['ports'];
  isNegated?: boolean;
}): Restriction {
  const { dns = [], routes, noRoutes = [], ports, isNegated = false } = more;
  return {
    dns: dns.map(ip),
    routes: (routes ?? []).map(cidr),
    noRoutes: noRoutes.map(cidr),
    restrictsToRoutes: routes !== undefined,
    ...(ports && { restrictsToPorts: { isNegated, ports } }),
  };
}

const from =
  (source: string) =>
  (to: string, protocol: Probe['protocol'] = 'icmp', port?: number) => ({ from: source, to, protocol, ...(port && { port }) });
const alice = from('10.77.0.50');
const alice6 = from('fd77::50');
const rules = () => execFileSync('nft', ['list', 'ruleset'], { encoding: 'utf8' });

inNamespace(
  'the firewall of sessions',
  import.meta.filename,
  () => {
    async function scene(body: (scene: ForwardingScene, firewall: SessionFirewall, fates: Fates) => Promise<void>): Promise<void> {
      const opened = await ForwardingScene.open();
      const firewall = new SessionFirewall({ device: opened.device.name });
      try {
        await body(opened, firewall, async (expected, probes) => {
          for (const probe of probes) assert.equal(await opened.out(probe), expected, JSON.stringify(probe));
        });
      } finally {
        await firewall.close();
        opened.close();
      }
    }
    type Fates = (expected: Fate, probes: readonly Probe[]) => Promise<void>;

    it('leaves the packet filter alone for sessions that may do everything', async () => {
      await scene(async (_, firewall, fates) => {
        await firewall.removeLeftovers();
        await firewall.restrict('alice', ALICE, FREE);
        assert.equal(rules(), '');
        await fates('passed', [alice('10.1.2.3'), alice6('fd99::1', 'icmpv6'), alice('10.1.2.3', 'tcp', 25)]);
      });
    });

    it('keeps a session to its routes, without the no-routes, and always lets it ask for names', async () => {
      await scene(async (_, firewall, fates) => {
        const routes = ['10.0.0.0/8', '10.5.0.0/16', 'fd99::/16'];
        await firewall.restrict(
          'alice',
          ALICE,
          restriction({ dns: ['9.9.9.9', 'fd53::53'], routes, noRoutes: ['10.1.0.0/16', 'fd99:1::/48'] }),
        );
        await fates('passed', [
          alice('10.2.3.4'),
          alice('10.5.3.4', 'tcp', 443),
          alice('10.255.255.255', 'esp'),
          alice6('fd99:2::1', 'udp', 9),
        ]);
        await fates('passed', [alice('9.9.9.9', 'udp', 53), alice('9.9.9.9', 'tcp', 53), alice6('fd53::53', 'udp', 53)]);
        await fates('refused', [
          alice('11.2.3.4'),
          alice('10.1.3.4', 'tcp', 443),
          alice6('fd98::1', 'tcp', 443),
          alice6('fd99:1::1', 'icmpv6'),
        ]);
        await fates('refused', [alice('9.9.9.9'), alice('9.9.9.9', 'udp', 54), alice('8.8.8.8', 'udp', 53)]);
      });
    });

    it('lets everything but the no-routes pass where there are no routes', async () => {
      await scene(async (_, firewall, fates) => {
        await firewall.restrict('alice', ALICE, restriction({ routes: [], noRoutes: ['10.1.0.0/16'] }));
        await fates('passed', [alice('10.2.3.4'), alice6('fd98::1', 'tcp', 443)]);
        await fates('refused', [alice('10.1.3.4')]);
      });
    });

    it('keeps a session to a list of ports, wherever they are', async () => {
      await scene(async (_, firewall, fates) => {
        const ports = [
          { protocol: 'tcp', port: 443 },
          { protocol: 'udp' },
          { protocol: 'sctp', port: 9 },
          { protocol: 'esp' },
          { protocol: 'icmp' },
        ] as const;
        await firewall.restrict('alice', ALICE, restriction({ dns: ['9.9.9.9'], ports }));
        await fates('passed', [
          alice('10.1.1.1', 'tcp', 443),
          alice('10.1.1.1', 'udp', 7),
          alice('10.1.1.1', 'sctp', 9),
          alice('10.1.1.1', 'esp'),
        ]);
        await fates('passed', [alice('10.1.1.1'), alice6('fd99::1', 'tcp', 443), alice6('fd99::1', 'esp'), alice('9.9.9.9', 'tcp', 53)]);
        await fates('refused', [
          alice('10.1.1.1', 'tcp', 80),
          alice('10.1.1.1', 'sctp', 10),
          alice6('fd99::1', 'icmpv6'),
          alice6('fd99::1', 'tcp', 80),
        ]);
      });
    });

    it('combines ports with routes', async () => {
      await scene(async (_, firewall, fates) => {
        await firewall.restrict(
          'alice',
          ALICE,
          restriction({ routes: ['10.0.0.0/8'], ports: [{ protocol: 'tcp', port: 443 }, { protocol: 'icmpv6' }] }),
        );
        await fates('passed', [alice('10.1.1.1', 'tcp', 443)]);
        await fates('refused', [
          alice('11.1.1.1', 'tcp', 443),
          alice('10.1.1.1', 'tcp', 80),
          alice('10.1.1.1'),
          alice6('fd99::1', 'icmpv6'),
        ]);
      });
    });

    it('refuses a list of ports and takes the rest', async () => {
      await scene(async (_, firewall, fates) => {
        const ports = [{ protocol: 'tcp', port: 25 }, { protocol: 'icmp' }, { protocol: 'udp', port: 53 }] as const;
        await firewall.restrict('alice', ALICE, restriction({ dns: ['9.9.9.9'], ports, isNegated: true }));
        await fates('passed', [
          alice('10.1.1.1', 'tcp', 26),
          alice('10.1.1.1', 'sctp', 25),
          alice6('fd99::1', 'icmpv6'),
          alice('9.9.9.9', 'udp', 53),
        ]);
        await fates('refused', [alice('10.1.1.1', 'tcp', 25), alice('10.1.1.1'), alice('8.8.8.8', 'udp', 53)]);
      });
    });

    it('lets the fragments of a packet go where its port may', async () => {
      await scene(async (opened, firewall) => {
        await firewall.restrict('alice', ALICE, restriction({ ports: [{ protocol: 'udp', port: 7 }] }));
        assert.equal(await opened.out({ ...alice('10.1.1.1', 'udp', 7), isFragmented: true }), 'passed');
      });
    });

    it('restricts each session by itself, and nobody else', async () => {
      await scene(async (opened, firewall, fates) => {
        await firewall.restrict('alice', ALICE, restriction({ routes: ['10.1.0.0/16', '10.77.0.60/32'] }));
        await firewall.restrict('bob', [cidr('10.77.0.60'), cidr('fd77:0:0:60::/64')], restriction({ routes: ['10.2.0.0/16'] }));
        const [bob, bob6] = [from('10.77.0.60'), from('fd77:0:0:60:1:2:3:4')];
        await fates('passed', [alice('10.1.1.1'), bob('10.2.1.1'), from('10.77.0.70')('10.3.1.1')]);
        await fates('refused', [alice('10.2.1.1'), bob('10.1.1.1'), bob6('fd99::1', 'udp', 7)]);
        assert.equal(await opened.across(alice('10.77.0.60')), 'passed');
        assert.equal(await opened.in({ from: '10.3.1.1', to: '10.77.0.50', protocol: 'tcp', port: 22 }), 'passed');
        await Promise.all([firewall.release('alice'), firewall.release('alice'), firewall.release('nobody')]);
        await fates('passed', [alice('10.2.1.1'), alice6('fd99::1', 'udp', 7)]);
        await fates('refused', [bob('10.1.1.1')]);
      });
    });

    it('puts new rules in the place of old ones, and takes them all away', async () => {
      await scene(async (_, firewall, fates) => {
        await firewall.restrict('alice', ALICE, restriction({ routes: ['10.1.0.0/16'] }));
        await firewall.restrict('alice', ALICE, restriction({ routes: ['10.2.0.0/16'] }));
        await fates('passed', [alice('10.2.1.1')]);
        await fates('refused', [alice('10.1.1.1')]);
        assert.equal(rules().match(/chain s\d+ /g)?.length, 1);
        await firewall.restrict('alice', ALICE, FREE);
        await fates('passed', [alice('10.3.1.1')]);
        assert.doesNotMatch(rules(), /chain s\d/);
      });
    });

    it('covers networks behind clients, the narrower first, and the same network behind two', async () => {
      await scene(async (_, firewall, fates) => {
        const behind = (...sources: string[]) => sources.map(cidr);
        runIp('route add 172.16.0.0/16 dev vpns0');
        await firewall.restrict('wide', behind('10.77.0.50/32', '172.16.0.0/16'), restriction({ routes: ['10.1.0.0/16'] }));
        await firewall.restrict('narrow', behind('10.77.0.60/32', '172.16.5.0/24'), restriction({ routes: ['10.2.0.0/16'] }));
        await firewall.restrict('twin', behind('10.77.0.61/32', '172.16.5.0/24'), restriction({ routes: ['10.2.0.0/16'] }));
        const [wide, narrow] = [from('172.16.1.1'), from('172.16.5.5')];
        await fates('passed', [wide('10.1.1.1'), narrow('10.2.1.1')]);
        await fates('refused', [wide('10.2.1.1'), narrow('10.1.1.1')]);
        await firewall.release('narrow');
        await fates('refused', [narrow('10.1.1.1')]);
        await firewall.release('twin');
        await fates('refused', [narrow('10.2.1.1')]);
        await firewall.release('wide');
        await fates('passed', [narrow('10.3.1.1')]);
      });
    });

    it('removes what a crashed gateway has left, of this device and of devices that are gone, and nobody else’s', async () => {
      await scene(async (opened, firewall, fates) => {
        await firewall.restrict('alice', ALICE, restriction({ routes: ['10.1.0.0/16'] }));
        for (const table of ['sallyport_gateway_gone0', 'sallyport_gateway_far0', 'someone_else'])
          execFileSync('nft', ['add', 'table', 'inet', table]);
        const next = new SessionFirewall({ device: opened.device.name });
        await next.removeLeftovers();
        assert.deepEqual(rules().match(/(?<=^table inet )\S+/gm), ['sallyport_gateway_far0', 'someone_else']);
        await fates('passed', [alice('10.2.1.1')]);
        await next.restrict('alice', ALICE, restriction({ routes: ['10.1.0.0/16'] }));
        await fates('refused', [alice('10.2.1.1')]);
        await next.close();
        await next.close();
        for (const table of ['sallyport_gateway_far0', 'someone_else']) execFileSync('nft', ['delete', 'table', 'inet', table]);
        assert.equal(rules(), '');
      });
    });

    it('makes all its rules anew after somebody has flushed those of this machine', async () => {
      await scene(async (_, firewall, fates) => {
        const bob = from('10.77.0.60');
        const flush = () => execFileSync('nft', ['flush', 'ruleset']);
        await firewall.restrict('alice', ALICE, restriction({ routes: ['10.1.0.0/16'] }));
        flush();
        await firewall.restrict('bob', [cidr('10.77.0.60/32')], restriction({ routes: ['10.2.0.0/16'] }));
        await fates('refused', [alice('10.2.1.1'), bob('10.1.1.1')]);
        await fates('passed', [alice('10.1.1.1'), bob('10.2.1.1')]);
        flush();
        await firewall.release('bob');
        await fates('refused', [alice('10.2.1.1')]);
        await fates('passed', [bob('10.1.1.1')]);
      });
    });

    it('refuses a session whose rules cannot be set, and leaves the others as they are', async () => {
      await scene(async (opened, firewall, fates) => {
        await firewall.restrict('alice', ALICE, restriction({ routes: ['10.1.0.0/16'] }));
        await assert.rejects(firewall.restrict('twin', ALICE, restriction({ routes: ['10.2.0.0/16'] })), /nft did not take the rules/);
        const many = Array.from({ length: MAX_RULES + 1 }, (_, i) => `10.${i >> 8}.${i & 255}.0/24`);
        await assert.rejects(firewall.restrict('bob', ALICE, restriction({ routes: many })), SallyportError);
        await fates('refused', [alice('10.2.1.1')]);
        await fates('passed', [alice('10.1.1.1')]);
        const run: typeof thisMachine.run = (program, args, options) =>
          thisMachine.run(program === 'nft' ? 'no-such-nft' : program, args, options);
        const without = new SessionFirewall({ device: opened.device.name, machine: { ...thisMachine, run } });
        await assert.rejects(without.restrict('bob', ALICE, restriction({ routes: [] })), /"no-such-nft" is not installed/);
      });
    });

    it('takes as many routes as a session may have', async () => {
      await scene(async (_, firewall, fates) => {
        const many = Array.from({ length: 2000 }, (_, i) => `10.${i >> 7}.${(i & 127) * 2}.0/24`);
        await firewall.restrict('alice', ALICE, restriction({ routes: many }));
        await fates('passed', [alice('10.1.2.1')]);
        await fates('refused', [alice('10.1.3.1')]);
      });
    });
  },
  ['nft'],
);
