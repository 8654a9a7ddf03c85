import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { CancelledError, MisuseError, SallyportError } from '../../../src/core/errors.ts';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import { formatCidr } from '../../../src/core/wire/ip-address.ts';
import { NetworkConfigurator } from '../../../src/node/network/configurator.ts';
import { recover } from '../../../src/node/network/recover.ts';
import { sized } from '../../support/size.ts';
import { bitsOf, type FakeMachine, type FakeRoute, networkBits } from './fake-machine.ts';
import { cidr, GATEWAY, ip, LAN_ROUTES, lanMachine, RESOLV_CONF_BEFORE, tunnel } from './samples.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sallyport-configurator-'));
after(() => rmSync(root, { recursive: true }));

/** Where the journals are: a folder for each test and for each run of a property. */
let directory = path.join(root, '0');
let folders = 0;
function freshDirectory(): void {
  directory = path.join(root, String(++folders));
}
beforeEach(freshDirectory);

function configurator(machine: FakeMachine): NetworkConfigurator {
  return new NetworkConfigurator({ device: 'tun0', gateway: GATEWAY, directory, machine });
}

function journals(): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Makes the journals look like those of a process that is gone, which ours is not. */
function abandonJournals(): void {
  for (const file of journals())
    renameSync(path.join(directory, file), path.join(directory, file.replace(/\.\d+-\d+\.jsonl$/, '.999999999-1.jsonl')));
}

describe('the configurator', () => {
  it('sets up and takes back everything, leaving no journal', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const network = configurator(machine);
    assert.deepEqual(await network.apply(tunnel()), { changed: true, notes: [] });
    assert.equal(machine.lookup('198.51.100.1')?.dev, 'tun0');
    assert.equal(machine.lookup('203.0.113.9')?.dev, 'eth0');
    assert.match(machine.files.get('/etc/resolv.conf') ?? '', /^nameserver 10\.99\.0\.1$/m);
    await network.undo();
    assert.deepEqual(machine.snapshot(), start);
    await network.undo();
    assert.deepEqual(journals(), []);
  });

  it('keeps its journal to itself, with each step before it is taken', async () => {
    const machine = lanMachine();
    const seen: string[] = [];
    const run = machine.run;
    const journalText = () => journals().map((file) => readFileSync(path.join(directory, file), 'utf8'));
    const watched = Object.assign(Object.create(machine) as FakeMachine, {
      run: async (...call: Parameters<typeof run>) => {
        if (call[1].includes('-batch')) seen.push(...journalText());
        return await run(...call);
      },
    });
    await new NetworkConfigurator({ device: 'tun0', gateway: GATEWAY, directory, machine: watched }).apply(tunnel());
    assert.match(seen[0] ?? '', /"destination":"203\.0\.113\.9\/32"/);
    assert.match(seen[0] ?? '', /"kind":"resolv-conf"/);
    assert.equal(statSync(path.join(directory, journals()[0] ?? '')).mode & 0o777, 0o600);
    abandonJournals();
    await recover({ directory, machine });
  });

  it('says which step failed and why, after undoing the ones before', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    machine.trouble = { at: 3, how: 'refuse' };
    await assert.rejects(configurator(machine).apply(tunnel()), (error) => {
      assert.ok(error instanceof SallyportError);
      assert.equal(error.code, 'ERR_NETWORK_SETUP');
      assert.equal(
        error.message,
        'Could not set the address fd99::50/64 of tun0: RTNETLINK answers: Operation not permitted. Changing the network needs root, or the capability CAP_NET_ADMIN.',
      );
      return true;
    });
    assert.deepEqual(machine.snapshot(), start);
    assert.deepEqual(journals(), []);
  });

  it('says what it could not take back, and does so when it can', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const network = configurator(machine);
    await network.apply(tunnel());
    machine.trouble = { at: machine.changes.length, how: 'refuse' };
    await assert.rejects(network.undo(), { code: 'ERR_NETWORK_UNDO', message: /the DNS in \/etc\/resolv\.conf \(/ });
    assert.equal(journals().length, 1);
    await network.undo();
    assert.deepEqual(machine.snapshot(), start);
    assert.deepEqual(journals(), []);
  });

  it('changes only what differs on an update', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const network = configurator(machine);
    await network.apply(tunnel());
    const count = machine.changes.length;
    assert.deepEqual(await network.update(), { changed: false, notes: [] });
    assert.equal(machine.changes.length, count);
    assert.deepEqual(await network.update({ config: tunnel({ mtu: 1300 }) }), { changed: true, notes: [] });
    assert.deepEqual(machine.changes.slice(count), ['ip link set dev tun0 mtu 1300 up']);
    await network.undo();
    assert.deepEqual(machine.snapshot(), start);
  });

  it('repairs the way to the gateway when the network underneath has changed', async () => {
    const machine = lanMachine();
    const network = configurator(machine);
    await network.apply(tunnel({ only: 4 }));
    const count = machine.changes.length;
    machine.routes = machine.routes.filter(({ gateway }) => gateway !== '192.0.2.1'); // the link went down and took both routes along
    machine.routes = [...machine.routes, { dst: 'default', gateway: '198.51.100.1', dev: 'wlan0', metric: 600 }];
    assert.equal(machine.lookup('203.0.113.9')?.dev, 'tun0', 'it would loop');
    await network.update();
    assert.deepEqual(machine.changes.slice(count), ['ip route add 203.0.113.9/32 via 198.51.100.1 dev wlan0']);
    machine.routes = machine.routes.map((route) => (route.dst === 'default' ? { ...route, gateway: '198.51.100.2' } : route));
    await network.update();
    assert.deepEqual(
      machine.changes.slice(count + 1),
      ['ip route replace 203.0.113.9/32 via 198.51.100.2 dev wlan0'],
      'without a moment without one',
    );
    await network.undo();
    assert.ok(machine.routes.every(({ dst }) => dst !== '203.0.113.9/32'));
  });

  it('takes back the route to the gateway while there is no way to it', async () => {
    const machine = lanMachine();
    const network = configurator(machine);
    await network.apply(tunnel({ only: 4 }));
    machine.routes = machine.routes.filter(({ dst, gateway }) => dst !== 'default' || gateway !== '192.0.2.1');
    const { notes } = await network.update();
    assert.deepEqual(notes, ['There is no way to the gateway 203.0.113.9 outside of the tunnel at the moment.']);
    assert.ok(machine.routes.every(({ dst }) => dst !== '203.0.113.9/32'));
    await network.undo();
  });

  it('can fail to update again and again, keeps a short journal, and takes all back', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const network = configurator(machine);
    await network.apply(tunnel());
    const sizes = new Set<number>();
    for (let i = 0; i < 10; i++) {
      machine.trouble = { at: machine.changes.length, how: 'refuse' };
      await assert.rejects(network.update({ config: tunnel({ include: [cidr('10.0.0.0/8')] }) }), { code: 'ERR_NETWORK_SETUP' });
      sizes.add(statSync(path.join(directory, journals()[0] ?? '')).size);
    }
    assert.equal(sizes.size, 1);
    await network.update({ config: tunnel({ include: [cidr('10.0.0.0/8')] }) });
    assert.equal(machine.lookup('10.5.5.5')?.dev, 'tun0');
    await network.undo();
    assert.deepEqual(machine.snapshot(), start);
  });

  it('tells a DNS service again after an update that failed there, as it cannot see what it knows', async () => {
    const machine = lanMachine();
    for (const program of ['resolvectl', 'nmcli']) machine.programs.add(program);
    machine.files.set('/etc/nsswitch.conf', 'hosts: resolve\n');
    machine.services.set('resolved', 'running');
    const network = configurator(machine);
    await network.apply(tunnel());
    const config = tunnel({ searchDomains: ['other.example'] });
    machine.trouble = { at: machine.changes.length, how: 'refuse' };
    await assert.rejects(network.update({ config }), /Could not set the DNS of tun0 in systemd-resolved/);
    await network.update({ config });
    assert.match(machine.services.get('resolved tun0') ?? '', /domain other\.example ~\./);
    await network.undo();
  });

  it('follows a gateway that has moved to another address', async () => {
    const machine = lanMachine();
    const network = configurator(machine);
    await network.apply(tunnel());
    await network.update({ gateway: ip('203.0.113.10') });
    assert.deepEqual(
      machine.routes.filter(({ dst }) => dst.startsWith('203.')).map(({ dst }) => dst),
      ['203.0.113.10/32'],
    );
    await network.undo();
  });

  it('writes resolv.conf again when another program has, and then restores what that wrote', async () => {
    const machine = lanMachine();
    const network = configurator(machine);
    await network.apply(tunnel());
    machine.files.set('/etc/resolv.conf', 'nameserver 192.0.2.99\n');
    await network.update();
    assert.match(machine.files.get('/etc/resolv.conf') ?? '', /^nameserver 10\.99\.0\.1$/m);
    await network.undo();
    assert.equal(machine.files.get('/etc/resolv.conf'), 'nameserver 192.0.2.99\n');
  });

  it('leaves a resolv.conf alone that another program has written meanwhile', async () => {
    const machine = lanMachine();
    const network = configurator(machine);
    await network.apply(tunnel());
    machine.files.set('/etc/resolv.conf', 'nameserver 192.0.2.99\n');
    await network.undo();
    assert.equal(machine.files.get('/etc/resolv.conf'), 'nameserver 192.0.2.99\n');
  });

  it('restores the file that was there before two tunnels, in whichever order they end', async () => {
    for (const order of [
      [0, 1],
      [1, 0],
    ] as const) {
      const machine = lanMachine();
      machine.links.set('tun1', { index: 8, mtu: 1500, isUp: false, addresses: [] });
      const start = machine.snapshot();
      const networks = ['tun0', 'tun1'].map((device) => new NetworkConfigurator({ device, gateway: GATEWAY, directory, machine }));
      await networks[0]?.apply(tunnel({ only: 4 }));
      await networks[1]?.apply(tunnel({ only: 4, ipv4: { address: ip('10.98.0.2'), prefix: 32 }, dns: [ip('10.98.0.1')] }));
      for (const i of order) await networks[i]?.undo();
      assert.equal(machine.files.get('/etc/resolv.conf'), RESOLV_CONF_BEFORE);
      assert.deepEqual(machine.snapshot(), start);
    }
  });

  it('tells each DNS service what it needs, and nothing afterwards', async () => {
    const services: readonly [string, (machine: FakeMachine) => void][] = [
      ['resolved', (machine) => machine.services.set('resolved', 'running')],
      ['resolvconf', () => undefined],
      ['network-manager', (machine) => machine.files.set('/etc/resolv.conf', '# Generated by NetworkManager\n')],
    ];
    for (const [name, prepare] of services) {
      const machine = lanMachine();
      for (const program of ['resolvectl', 'resolvconf', 'nmcli']) machine.programs.add(program);
      machine.files.set('/etc/nsswitch.conf', 'hosts: files resolve dns\n');
      prepare(machine);
      const start = machine.snapshot();
      const network = configurator(machine);
      await network.apply(tunnel());
      assert.notDeepEqual(machine.snapshot(), start);
      await network.undo();
      assert.deepEqual(machine.snapshot(), start, name);
    }
  });

  it('stops between two steps when it is cancelled, and undoes', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    await assert.rejects(configurator(machine).apply(tunnel(), { signal: AbortSignal.abort() }), CancelledError);
    const stop = new AbortController();
    const run = machine.run;
    const cancelling = Object.assign(Object.create(machine) as FakeMachine, {
      run: async (...call: Parameters<typeof run>) => {
        if (call[1].includes('-batch')) stop.abort();
        return await run(...call);
      },
    });
    await assert.rejects(configurator(cancelling).apply(tunnel(), { signal: stop.signal }), CancelledError);
    assert.deepEqual(machine.snapshot(), start);
    assert.deepEqual(journals(), []);
  });

  it('does one thing after the other, whoever asks in between', async () => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const network = configurator(machine);
    await Promise.all([network.apply(tunnel()), network.update({ config: tunnel({ mtu: 1280 }) }), network.undo()]);
    assert.deepEqual(machine.snapshot(), start);
    await assert.rejects(network.update(), MisuseError);
    await network.apply(tunnel());
    await assert.rejects(network.apply(tunnel()), MisuseError);
    await network[Symbol.asyncDispose]();
    assert.deepEqual(machine.snapshot(), start);
  });

  it('refuses a device name that is not one', () => {
    for (const device of ['', '-batch', 'a b', 'tun0\nlink', 'x'.repeat(16)]) {
      assert.throws(() => new NetworkConfigurator({ device, gateway: GATEWAY, directory, machine: lanMachine() }), MisuseError);
    }
  });
});

// --- properties: whatever is there, and whatever is asked for

const NETWORKS = [
  '10.0.0.0/8',
  '10.0.0.0/9',
  '10.1.0.0/16',
  '10.1.2.3/32',
  '10.1.2.4/32',
  '192.0.2.0/24',
  '172.16.0.0/12',
  '203.0.113.0/24',
  '0.0.0.0/0',
];
const NETWORKS6 = ['2001:db8:9::/48', '2001:db8:9:1::/64', '2001:db8:1::/64', '2001:db8:9::1/128', '::/0'];
const EXISTING: readonly FakeRoute[] = [
  { dst: '10.0.0.0/8', gateway: '192.0.2.254', dev: 'eth0' },
  { dst: '10.1.2.3/32', gateway: '192.0.2.253', dev: 'eth0', protocol: 'static' },
  { dst: '10.1.2.4/32', gateway: '192.0.2.252', dev: 'wlan0', metric: 50 },
  { dst: '172.16.0.0/12', dev: 'wlan0', metric: 100 },
  { dst: '203.0.113.9/32', gateway: '192.0.2.251', dev: 'eth0' },
  { dst: '0.0.0.0/1', dev: 'wlan0' },
  { dst: '2001:db8:9::/48', gateway: 'fe80::2', dev: 'eth0', metric: 1 },
  { dst: '2001:db8:9::1/128', gateway: 'fe80::3', dev: 'wlan0', metric: 1 },
];

const machines = fc.subarray([...LAN_ROUTES, ...EXISTING]).map((routes) => () => lanMachine(routes));
const cidrs = (list: readonly string[]) => fc.subarray([...list]).map((texts) => texts.map(cidr));
const configs: fc.Arbitrary<TunnelConfig> = fc
  .record({
    mtu: fc.constantFrom(1200, 1280, 1400, 1500),
    only: fc.constantFrom(undefined, 4 as const, 6 as const),
    include: fc.tuple(cidrs(NETWORKS), cidrs(NETWORKS6)).map((lists) => lists.flat()),
    exclude: fc.tuple(cidrs(NETWORKS.slice(0, 6)), cidrs(NETWORKS6.slice(0, 3))).map((lists) => lists.flat()),
    dns: fc.subarray(['10.99.0.1', '10.200.0.1', 'fd77::1'].map((text) => ip(text))),
  })
  .map(({ only, ...rest }) => tunnel({ ...rest, ...(only === undefined ? {} : { only }) }));

const runs = sized(80, 3000);

describe('the configurator, whatever the machine and the gateway', () => {
  it('leaves the machine as it was after apply, updates and undo', async () => {
    await fc.assert(
      fc.asyncProperty(machines, fc.array(configs, { minLength: 1, maxLength: 4 }), async (makeMachine, [first, ...others]) => {
        freshDirectory();
        const machine = makeMachine();
        const start = machine.snapshot();
        const network = configurator(machine);
        await network.apply(first ?? tunnel());
        for (const config of others) await network.update({ config });
        await network.undo();
        assert.deepEqual(machine.snapshot(), start);
        assert.deepEqual(journals(), []);
      }),
      { numRuns: runs },
    );
  });

  it('is after an update where it would be had it begun with that configuration', async () => {
    await fc.assert(
      fc.asyncProperty(machines, configs, configs, async (makeMachine, first, second) => {
        freshDirectory();
        const [updated, fresh] = [makeMachine(), makeMachine()];
        const networks = [configurator(updated), configurator(fresh)];
        await networks[0]?.apply(first);
        await networks[0]?.update({ config: second });
        await networks[1]?.apply(second);
        const withoutNames = (machine: FakeMachine) => JSON.stringify(machine.snapshot()).replaceAll(/# sallyport \S+/g, '# sallyport');
        assert.equal(withoutNames(updated), withoutNames(fresh));
        for (const network of networks) await network.undo();
      }),
      { numRuns: runs },
    );
  });

  it('leaves the machine as it was when any step is refused', async () => {
    await fc.assert(
      fc.asyncProperty(machines, configs, fc.nat(30), async (makeMachine, config, at) => {
        freshDirectory();
        const machine = makeMachine();
        const start = machine.snapshot();
        machine.trouble = { at, how: 'refuse' };
        const network = configurator(machine);
        const failed = await network.apply(config).then(
          () => false,
          () => true,
        );
        assert.equal(failed, machine.changes.length > at);
        if (!failed) await network.undo().catch(() => network.undo()); // the undo itself may have been refused once
        assert.deepEqual(machine.snapshot(), start);
        assert.deepEqual(journals(), []);
      }),
      { numRuns: runs },
    );
  });

  it('leaves the machine as it was after a crash at any step, with the device gone or not, and a recovery', async () => {
    await fc.assert(
      fc.asyncProperty(
        machines,
        fc.array(configs, { minLength: 1, maxLength: 3 }),
        fc.nat(40),
        fc.constantFrom('crash-before' as const, 'crash-after' as const),
        fc.boolean(),
        async (makeMachine, [first, ...others], at, how, isDeviceGone) => {
          freshDirectory();
          const machine = makeMachine();
          const reference = makeMachine();
          if (isDeviceGone) reference.removeLink('tun0');
          machine.trouble = { at, how };
          const network = configurator(machine);
          const work = async () => {
            await network.apply(first ?? tunnel());
            for (const config of others) await network.update({ config });
            await network.undo();
          };
          await work().catch(() => undefined);
          machine.revive();
          if (isDeviceGone) machine.removeLink('tun0');
          abandonJournals();
          const reports = await recover({ directory, machine });
          assert.ok(reports.every(({ outcome }) => outcome === 'undone'));
          assert.deepEqual(machine.snapshot(), reference.snapshot());
          assert.deepEqual(journals(), []);
          assert.deepEqual(await recover({ directory, machine }), []);
        },
      ),
      { numRuns: runs },
    );
  });

  it('sends every packet where the gateway wants it, and the rest where it went before', async () => {
    const probes = [
      '10.0.0.1',
      '10.1.0.1',
      '10.1.2.3',
      '10.1.2.4',
      '10.200.200.1',
      '172.16.5.5',
      '192.0.2.77',
      '198.51.100.1',
      '203.0.113.9',
      '203.0.113.10',
      '2001:db8:9::1',
      '2001:db8:9::2',
      '2001:db8:9:1::1',
      '2001:db8:ffff::1',
      '2001:db8:1::77',
    ];
    await fc.assert(
      fc.asyncProperty(machines, configs, fc.constantFrom(...probes), async (makeMachine, config, probe) => {
        freshDirectory();
        const machine = makeMachine();
        const before = machine.lookup(probe);
        const network = configurator(machine);
        await network.apply(config);
        const now = machine.lookup(probe);
        const expected = expectedWay(config, probe, before);
        assert.deepEqual(now === undefined ? undefined : { dev: now.dev, gateway: now.gateway }, expected);
        await network.undo();
      }),
      { numRuns: runs * 4 },
    );
  });
});

/** Where a packet must go, by the words of the specification and not by routes. */
function expectedWay(
  config: TunnelConfig,
  probe: string,
  before: ReturnType<FakeMachine['lookup']>,
): { dev: string; gateway: string | undefined } | undefined {
  const asBefore = before === undefined ? undefined : { dev: before.dev, gateway: before.gateway };
  const isIpv6 = probe.includes(':');
  const own = isIpv6 ? config.ipv6 : config.ipv4;
  if (own === undefined || (isIpv6 && config.mtu < 1280)) return asBefore;
  const within = (network: string) => isIpv6 === network.includes(':') && bitsOf(probe).startsWith(networkBits(network));
  const ofFamily = config.include.filter(({ address }) => (address.family === 6) === isIpv6).map(formatCidr);
  const isEverything = ofFamily.length === 0 || ofFamily.some((network) => network.endsWith('/0'));
  const isGateway = probe === '203.0.113.9';
  const wanted = isEverything ? [isIpv6 ? '::/0' : '0.0.0.0/0'] : ofFamily.filter(within);
  const excluded = config.exclude.map(formatCidr).filter(within);
  const longest = Math.max(
    -1,
    ...wanted
      .filter((network) => !excluded.some((kept) => Number(kept.split('/')[1]) <= Number(network.split('/')[1])))
      .map((network) => Number(network.split('/')[1])),
  );
  const kept = Math.max(-1, ...excluded.map((network) => Number(network.split('/')[1])), isGateway ? 32 : -1);
  if (longest < 0) return asBefore;
  const tunnelled = { dev: 'tun0', gateway: undefined };
  if (kept >= 0) return before === undefined ? tunnelled : asBefore;
  // A route of the machine that is more specific than what the gateway asks for stays; halves of everything are still everything.
  return before !== undefined && before.prefix > Math.max(longest, 1) ? asBefore : tunnelled;
}
