/** The configurator, whatever is there, and whatever is asked for. */
import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import fc from 'fast-check';
import type { TunnelConfig } from '../../../src/core/tunnel/config.ts';
import { formatCidr } from '../../../src/core/wire/ip-address.ts';
import { recover } from '../../../src/node/network/recover.ts';
import { sized } from '../../support/size.ts';
import { abandonJournals, configurator, directory, freshDirectory, journals } from './configurator-scene.ts';
import { bitsOf, type FakeMachine, type FakeRoute, networkBits } from './fake-machine.ts';
import { cidr, ip, LAN_ROUTES, lanMachine, tunnel } from './samples.ts';

beforeEach(freshDirectory);

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
