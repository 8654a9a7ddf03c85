import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError, PeerMisbehavedError } from '../../../src/core/errors.ts';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import type { IpAddress } from '../../../src/core/wire/ip-address.ts';
import { readFacts } from '../../../src/node/network/facts.ts';
import { MAX_ROUTES, type NetworkPlan, planNetwork } from '../../../src/node/network/plan.ts';
import { describeStep, parseStep, type Step } from '../../../src/node/network/steps.ts';
import type { FakeMachine, FakeRoute } from './fake-machine.ts';
import { cidr, GATEWAY, ip, LAN_ROUTES, lanMachine, tunnel } from './samples.ts';

async function plan(config: TunnelConfig, machine: FakeMachine = lanMachine(), gateway: IpAddress = GATEWAY): Promise<NetworkPlan> {
  return planNetwork({ config, gateway, device: 'tun0', session: '1-2-3' }, await readFacts(machine, 'tun0'));
}

/** The routes of a plan as `destination > device[ via router]`. */
function routesOf({ steps }: NetworkPlan): string[] {
  return steps.flatMap((step) =>
    step.kind === 'route' ? [`${step.destination} > ${step.device}${step.via === undefined ? '' : ` via ${step.via}`}`] : [],
  );
}

function stepOf<K extends Step['kind']>({ steps }: NetworkPlan, kind: K): Extract<Step, { kind: K }> | undefined {
  return steps.find((step): step is Extract<Step, { kind: K }> => step.kind === kind);
}

const withRoutes = (...routes: readonly FakeRoute[]) => lanMachine([...LAN_ROUTES, ...routes]);

describe('the plan of a network set-up', () => {
  it('takes its steps in the order of the standard script', async () => {
    const { steps } = await plan(tunnel({ include: [cidr('10.0.0.0/8')], exclude: [cidr('10.1.0.0/16')] }));
    assert.deepEqual(steps.map(describeStep), [
      'the route to the gateway, 203.0.113.9/32 by eth0 and 192.0.2.1',
      'the MTU 1400 of tun0',
      'the address 10.99.0.50/32 of tun0',
      'the address fd99::50/64 of tun0',
      'the route past the tunnel, 10.1.0.0/16 by eth0 and 192.0.2.1',
      'the route 10.99.0.0/24 by tun0',
      'the route 10.0.0.0/8 by tun0',
      'the route fd99::/64 by tun0',
      'the route ::/1 by tun0',
      'the route 8000::/1 by tun0',
      'the DNS in /etc/resolv.conf',
    ]);
  });

  it('routes everything as two halves, so that the default route stays as it is', async () => {
    assert.deepEqual(routesOf(await plan(tunnel({ only: 4 }))), [
      '203.0.113.9/32 > eth0 via 192.0.2.1',
      '10.99.0.0/24 > tun0',
      '0.0.0.0/1 > tun0',
      '128.0.0.0/1 > tun0',
    ]);
  });

  it('takes an include of everything for what it says', async () => {
    const everything = routesOf(await plan(tunnel({ only: 4 })));
    assert.deepEqual(routesOf(await plan(tunnel({ only: 4, include: [cidr('0.0.0.0/0'), cidr('10.0.0.0/8')] }))), everything);
  });

  it('leaves a family alone that has no address, whatever the includes and excludes', async () => {
    const config = tunnel({ only: 4, include: [cidr('10.0.0.0/8'), cidr('2001:db8:9::/48')], exclude: [cidr('2001:db8:9:1::/64')] });
    assert.ok(routesOf(await plan(config)).every((route) => !route.includes(':')));
    const onlyIpv6 = routesOf(await plan(tunnel({ only: 6 }), lanMachine(), ip('2001:db8:ffff::1')));
    assert.deepEqual(onlyIpv6, ['2001:db8:ffff::1/128 > eth0 via fe80::1', 'fd99::/64 > tun0', '::/1 > tun0', '8000::/1 > tun0']);
  });

  it('routes no network of its own where the gateway names none', async () => {
    const config = tunnel({ include: [cidr('10.0.0.0/8'), cidr('2001:db8:9::/48')], dns: [] });
    const { steps, notes } = await plan({ ...config, ipv4: { address: ip('10.99.0.50') }, ipv6: { address: ip('fd99::50') } });
    assert.deepEqual(
      steps.flatMap((step) => (step.kind === 'address' ? [step.address] : [])),
      ['10.99.0.50/32', 'fd99::50/128'],
    );
    assert.deepEqual(routesOf({ steps, notes }).slice(1), ['10.0.0.0/8 > tun0', '2001:db8:9::/48 > tun0']);
  });

  it('clears host bits and takes each network once', async () => {
    const config = tunnel({ only: 4, include: [cidr('10.5.6.7/8'), cidr('10.0.0.0/8'), cidr('10.99.0.0/24')] });
    assert.deepEqual(routesOf(await plan(config)).slice(1), ['10.99.0.0/24 > tun0', '10.0.0.0/8 > tun0']);
  });

  it('routes a network as halves where it has a route that would win or be overwritten', async () => {
    const config = tunnel({ only: 4, include: [cidr('192.0.2.0/24')] });
    assert.deepEqual(routesOf(await plan(config)).slice(2), ['192.0.2.0/25 > tun0', '192.0.2.128/25 > tun0']);
    const lowPriority = lanMachine(LAN_ROUTES.map((route) => (route.dst === '192.0.2.0/24' ? { ...route, metric: 100 } : route)));
    assert.deepEqual(routesOf(await plan(config, lowPriority)).slice(2), ['192.0.2.0/24 > tun0'], 'a lower metric wins by itself');
  });

  it('takes each step once, where the half of one network is another', async () => {
    const machine = withRoutes({ dst: '10.0.0.0/8', gateway: '192.0.2.254', dev: 'eth0' });
    const config = tunnel({ only: 4, include: [cidr('10.0.0.0/8'), cidr('10.0.0.0/9')], exclude: [cidr('203.0.113.9/32')] });
    assert.deepEqual(routesOf(await plan(config, machine)), [
      '203.0.113.9/32 > eth0 via 192.0.2.1',
      '10.99.0.0/24 > tun0',
      '10.0.0.0/9 > tun0',
      '10.128.0.0/9 > tun0',
    ]);
  });

  it('takes the place of a route to a single address, with the words that bring it back', async () => {
    const machine = withRoutes({
      dst: '10.1.2.3/32',
      gateway: '192.0.2.77',
      dev: 'eth0',
      protocol: 'static',
      flags: ['onlink', 'linkdown'],
    });
    const { steps, notes } = await plan(tunnel({ only: 4, include: [cidr('10.1.2.3/32')] }), machine);
    const step = steps.find((one) => one.kind === 'route' && one.destination === '10.1.2.3/32');
    assert.deepEqual(step?.kind === 'route' ? step.replaces : undefined, [
      '10.1.2.3',
      'via',
      '192.0.2.77',
      'dev',
      'eth0',
      'proto',
      'static',
      'onlink',
    ]);
    assert.deepEqual(notes, []);
  });

  it('lets a route stay that it could not restore, and says so', async () => {
    const machine = withRoutes({ dst: '10.1.2.3/32', gateway: '192.0.2.77', dev: 'eth0', flags: ['mystery'] });
    const result = await plan(tunnel({ only: 4, include: [cidr('10.1.2.3/32')] }), machine);
    assert.ok(!routesOf(result).some((route) => route.startsWith('10.1.2.3')));
    assert.deepEqual(result.notes, ['The route to 10.1.2.3/32 that is there could not be restored later, so it stays.']);
  });

  it('lets excludes win over includes of the same or a smaller network', async () => {
    const config = tunnel({
      only: 4,
      include: [cidr('10.1.0.0/16'), cidr('10.2.0.0/16'), cidr('172.16.0.0/12')],
      exclude: [cidr('10.0.0.0/8'), cidr('172.16.0.0/12')],
    });
    assert.deepEqual(routesOf(await plan(config)), [
      '203.0.113.9/32 > eth0 via 192.0.2.1',
      '10.0.0.0/8 > eth0 via 192.0.2.1',
      '172.16.0.0/12 > eth0 via 192.0.2.1',
    ]);
  });

  it('needs no route for an exclude that has just that route, and never routes what belongs to the host or the link', async () => {
    const config = tunnel({ only: 4, exclude: ['192.0.2.0/24', '0.0.0.0/32', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4'].map(cidr) });
    assert.deepEqual(routesOf(await plan(config)).slice(1), ['10.99.0.0/24 > tun0', '0.0.0.0/1 > tun0', '128.0.0.0/1 > tun0']);
  });

  it('does not take includes that are never routed for a wish to have everything', async () => {
    assert.deepEqual(routesOf(await plan(tunnel({ only: 4, include: [cidr('169.254.0.0/16')] }))).slice(1), ['10.99.0.0/24 > tun0']);
  });

  it('says so where an excluded network or the gateway cannot be reached outside of the tunnel', async () => {
    const { notes } = await plan(tunnel({ only: 4, exclude: [cidr('198.51.100.0/24')] }), lanMachine([]));
    assert.deepEqual(notes, [
      'There is no way to the gateway 203.0.113.9 outside of the tunnel at the moment.',
      'There is no way to 198.51.100.0/24 outside of the tunnel, which should not go through it.',
    ]);
  });

  it('copies the way to the gateway with all that matters of it', async () => {
    const machine = lanMachine([
      { dst: 'default', gateway: 'fe80::1', dev: 'eth0' },
      { dst: '203.0.113.0/24', dev: 'eth0', prefsrc: '192.0.2.10', flags: ['onlink'] },
    ]);
    const step = stepOf(await plan(tunnel({ only: 4 }), machine), 'route');
    assert.deepEqual(step, {
      kind: 'route',
      purpose: 'gateway',
      destination: '203.0.113.9/32',
      device: 'eth0',
      source: '192.0.2.10',
      isOnlink: true,
      metric: 0,
    });
  });

  it('takes the better of several ways, and none that is dead', async () => {
    const machine = lanMachine([
      { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', metric: 100, flags: ['dead', 'linkdown'] },
      { dst: 'default', gateway: '198.51.100.1', dev: 'wlan0', metric: 600 },
      { dst: 'default', gateway: '198.51.100.2', dev: 'wlan0', metric: 700 },
    ]);
    assert.equal(routesOf(await plan(tunnel({ only: 4 }), machine))[0], '203.0.113.9/32 > wlan0 via 198.51.100.1');
  });

  it('makes no route to a gateway on this machine, or one that has its own route already', async () => {
    for (const gateway of ['127.0.0.1', '192.0.2.10'])
      assert.equal(routesOf(await plan(tunnel({ only: 4 }), lanMachine(), ip(gateway)))[0], '10.99.0.0/24 > tun0');
    const machine = withRoutes({ dst: '203.0.113.9/32', gateway: '192.0.2.254', dev: 'eth0' });
    assert.equal(routesOf(await plan(tunnel({ only: 4 }), machine))[0], '10.99.0.0/24 > tun0');
  });

  it('never routes the gateway itself into the tunnel', async () => {
    const result = routesOf(await plan(tunnel({ only: 4, include: [cidr('203.0.113.9/32'), cidr('203.0.113.8/31')] })));
    assert.deepEqual(result, ['203.0.113.9/32 > eth0 via 192.0.2.1', '10.99.0.0/24 > tun0', '203.0.113.8/31 > tun0']);
  });

  it('leaves IPv6 out where it is off, or where its packets would not fit, and says so', async () => {
    const off = lanMachine();
    off.files.set('/proc/sys/net/ipv6/conf/tun0/disable_ipv6', '1\n');
    const withoutIpv6 = await plan(tunnel(), off);
    assert.deepEqual(withoutIpv6.notes, ['IPv6 is switched off for tun0: only IPv4 goes through the tunnel.']);
    const small = await plan(tunnel({ mtu: 1200 }));
    assert.deepEqual(small.notes, ["The tunnel's packets of 1200 bytes are too small for IPv6: only IPv4 goes through it."]);
    for (const { steps } of [withoutIpv6, small])
      assert.ok(steps.every((step) => step.kind === 'resolv-conf' || !JSON.stringify(step).includes('::')));
  });

  it('does nothing to a device that is as it should be', async () => {
    const machine = lanMachine();
    machine.links.set('tun0', { index: 7, mtu: 1400, isUp: true, addresses: ['10.99.0.50/32', 'fd99::50/64'] });
    machine.routes = [...machine.routes, { dst: '10.99.0.0/24', dev: 'tun0' }];
    const { steps } = await plan(tunnel(), machine);
    assert.ok(steps.every(({ kind }) => kind !== 'link' && kind !== 'address'));
    assert.ok(!routesOf({ steps, notes: [] }).includes('10.99.0.0/24 > tun0'));
  });

  it('refuses more routes than any gateway needs, and a device that is not there', async () => {
    const include = Array.from({ length: MAX_ROUTES + 1 }, (_, i) => cidr(`10.${i >>> 8}.${i & 255}.0/24`));
    await assert.rejects(plan(tunnel({ include })), PeerMisbehavedError);
    const machine = lanMachine();
    machine.links.delete('tun0');
    await assert.rejects(plan(tunnel(), machine), MisuseError);
  });

  it('writes steps that the journal can give back', async () => {
    const machine = withRoutes({ dst: '10.1.2.3/32', gateway: '192.0.2.77', dev: 'eth0' });
    const { steps } = await plan(tunnel({ include: [cidr('10.1.2.3/32')], exclude: [cidr('10.1.0.0/16')] }), machine);
    assert.deepEqual(
      steps.map((step) => parseStep(JSON.parse(JSON.stringify(step)))),
      steps,
    );
  });
});

describe('the plan for name servers', () => {
  it('routes those into a split tunnel that only it can mean', async () => {
    const dns = ['10.99.0.1', '10.200.0.53', '192.0.2.53', '9.9.9.9', 'fd77::53'].map(ip);
    const result = routesOf(await plan(tunnel({ dns, include: [cidr('172.16.0.0/12'), cidr('2001:db8:9::/48')] })));
    assert.deepEqual(
      result.filter((route) => /\/(32|128) > tun0/.test(route)),
      ['10.200.0.53/32 > tun0', 'fd77::53/128 > tun0'],
    );
  });

  it('asks systemd-resolved for all names in a full tunnel', async () => {
    const machine = withResolved();
    const step = stepOf(await plan(tunnel({ splitDns: ['int.example'] }), machine), 'resolved');
    assert.deepEqual(step, {
      kind: 'resolved',
      device: 'tun0',
      servers: ['10.99.0.1'],
      domains: ['corp.example', '~.', '~int.example'],
      isDefault: true,
    });
  });

  it('asks systemd-resolved for the split domains only, where there are some', async () => {
    const config = tunnel({ splitDns: ['int.example', 'corp.example'], include: [cidr('10.0.0.0/8'), cidr('2001:db8:9::/48')] });
    const step = stepOf(await plan(config, withResolved()), 'resolved');
    assert.deepEqual(step, {
      kind: 'resolved',
      device: 'tun0',
      servers: ['10.99.0.1'],
      domains: ['corp.example', '~int.example'],
      isDefault: false,
    });
  });

  it('lets systemd-resolved ask all links in a split tunnel without split domains', async () => {
    const config = tunnel({ include: [cidr('10.0.0.0/8'), cidr('2001:db8:9::/48')] });
    assert.equal(stepOf(await plan(config, withResolved()), 'resolved')?.isDefault, true);
  });

  it('does not tell a service that sees another network', async () => {
    const machine = withResolved();
    machine.sharesNetwork = false;
    assert.equal(stepOf(await plan(tunnel(), machine), 'resolv-conf')?.path, '/run/systemd/resolve/stub-resolv.conf');
  });

  it('does not believe in a systemd-resolved that does not answer', async () => {
    const machine = withResolved();
    machine.services.delete('resolved');
    assert.equal(stepOf(await plan(tunnel(), machine), 'resolved'), undefined);
  });

  it('tells resolvconf where there is one', async () => {
    const machine = lanMachine();
    machine.programs.add('resolvconf');
    assert.deepEqual(stepOf(await plan(tunnel(), machine), 'resolvconf'), {
      kind: 'resolvconf',
      record: 'tun0.sallyport',
      content: 'nameserver 10.99.0.1\nsearch corp.example\n',
    });
  });

  it('tells NetworkManager where the file is its own, even if there is a resolvconf', async () => {
    const machine = lanMachine();
    machine.programs.add('resolvconf');
    machine.files.set('/etc/resolv.conf', '# Generated by NetworkManager\nnameserver 192.0.2.53\n');
    const step = stepOf(await plan(tunnel(), machine), 'network-manager');
    assert.equal(step?.path, '/run/NetworkManager/conf.d/90-sallyport-tun0.conf');
    assert.match(step?.content ?? '', /\n\[global-dns\]\nsearches=corp\.example\n\[global-dns-domain-\*\]\nservers=10\.99\.0\.1\n$/);
  });

  it('says that split domains need systemd-resolved', async () => {
    const { notes } = await plan(tunnel({ splitDns: ['int.example'], include: [cidr('10.0.0.0/8'), cidr('2001:db8:9::/48')] }));
    assert.deepEqual(notes, [
      'Only systemd-resolved can ask different servers for different names: all names are asked through the tunnel.',
    ]);
  });

  it('leaves DNS alone when the gateway names no server', async () => {
    const { steps } = await plan(tunnel({ dns: [] }));
    assert.ok(steps.every(({ kind }) => ['route', 'link', 'address'].includes(kind)));
  });

  it('lets no domain become anything but a domain', async () => {
    const searchDomains = ['good.example.', '-evil', 'a b', 'x\nnameserver 6.6.6.6', '--help', '', '~.', 'a'.repeat(300)];
    const { steps, notes } = await plan(tunnel({ searchDomains }), withResolved());
    assert.deepEqual(stepOf({ steps, notes }, 'resolved')?.domains, ['good.example', '~.']);
    assert.deepEqual(notes, ["7 of the gateway's DNS domains are not usable and were left out."]);
  });
});

function withResolved(): FakeMachine {
  const machine = lanMachine();
  machine.programs.add('resolvectl');
  machine.services.set('resolved', 'running');
  machine.files.set('link /etc/resolv.conf', '/run/systemd/resolve/stub-resolv.conf');
  return machine;
}
