import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type NetworkMonitor, type UnderlayState, type UnderlayWatch, watchUnderlay } from '../../../src/node/network/underlay-watch.ts';
import type { FakeMachine } from './fake-machine.ts';
import { GATEWAY, ip, lanMachine } from './samples.ts';

interface Scene {
  readonly machine: FakeMachine;
  readonly watch: UnderlayWatch;
  readonly seen: UnderlayState[];
  /** Something about the network changes; resolves when the watch has looked. */
  change(event?: 'event' | 'end' | 'silence'): Promise<void>;
}

/** A watch on a clock of ours: it never waits for real. */
async function scene(t: TestContext, machine = lanMachine()): Promise<Scene> {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let tell: Parameters<NetworkMonitor> | undefined;
  const seen: UnderlayState[] = [];
  const monitor: NetworkMonitor = (...told) => {
    tell = told;
    return { stop: () => (tell = undefined) };
  };
  let looks = 0;
  const run = machine.run;
  const counting = Object.assign(Object.create(machine) as FakeMachine, {
    run: async (...call: Parameters<typeof run>) => {
      const result = await run(...call);
      looks++;
      return result;
    },
  });
  const watch = await watchUnderlay(
    { gateway: GATEWAY, device: 'tun0', localAddress: ip('192.0.2.10'), machine: counting, monitor },
    (state) => seen.push(state),
  );
  const settle = async () => {
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  };
  const change: Scene['change'] = async (event = 'event') => {
    const before = looks;
    if (event === 'event') tell?.[0]();
    if (event === 'end') tell?.[1]('gone');
    await settle();
    t.mock.timers.tick(event === 'silence' ? 30_000 : 200);
    await settle();
    assert.ok(looks > before, 'it has looked');
  };
  await change(); // it looks a second time by itself
  t.after(() => watch.close());
  return { machine, watch, seen, change };
}

const withoutDefault = (machine: FakeMachine) => machine.routes.filter(({ gateway }) => gateway !== '192.0.2.1');

describe('the watch on the network underneath', () => {
  it('knows the way at the start', async (t) => {
    const { watch, seen } = await scene(t);
    assert.deepEqual(watch.state, { way: { device: 'eth0', via: '192.0.2.1' }, isLost: false, isAddressGone: false });
    assert.deepEqual(seen, []);
  });

  it('says when the way changes, goes, and comes back', async (t) => {
    const { machine, seen, change } = await scene(t);
    const start = machine.routes;
    machine.routes = [...withoutDefault(machine), { dst: 'default', gateway: '198.51.100.1', dev: 'wlan0' }];
    await change();
    machine.routes = withoutDefault(machine).filter(({ dev }) => dev !== 'wlan0');
    await change();
    machine.routes = start;
    await change();
    assert.deepEqual(seen, [
      { way: { device: 'wlan0', via: '198.51.100.1' }, isLost: false, isAddressGone: false },
      { isLost: true, isAddressGone: false },
      { way: { device: 'eth0', via: '192.0.2.1' }, isLost: false, isAddressGone: false },
    ]);
  });

  it('says nothing of the routes of the tunnel and of the repair of its own', async (t) => {
    const { machine, seen, change } = await scene(t);
    machine.routes = [
      ...machine.routes,
      { dst: '203.0.113.9/32', gateway: '192.0.2.1', dev: 'eth0' },
      { dst: '0.0.0.0/1', dev: 'tun0' },
      { dst: '128.0.0.0/1', dev: 'tun0' },
    ];
    await change();
    assert.deepEqual(seen, []);
    machine.routes = machine.routes.filter(({ dst }) => dst !== '203.0.113.9/32');
    await change();
    assert.deepEqual(
      seen,
      [{ way: { device: 'eth0', via: '192.0.2.1' }, isLost: true, isAddressGone: false }],
      'packets to the gateway would enter the tunnel',
    );
    machine.routes = [...machine.routes, { dst: '203.0.113.9/32', gateway: '192.0.2.1', dev: 'eth0' }];
    await change();
    assert.equal(seen.length, 1);
  });

  it('says when the address of our sockets is gone', async (t) => {
    const { machine, seen, change } = await scene(t);
    const eth0 = machine.links.get('eth0');
    assert.ok(eth0 !== undefined);
    machine.links.set('eth0', { ...eth0, addresses: ['192.0.2.11/24'] });
    await change();
    assert.deepEqual(seen, [{ way: { device: 'eth0', via: '192.0.2.1' }, isLost: false, isAddressGone: true }]);
  });

  it('looks once for a burst of events', async (t) => {
    const { machine, seen, change } = await scene(t);
    machine.routes = withoutDefault(machine);
    await Promise.all([change(), change(), change()]);
    assert.equal(seen.length, 1);
  });

  it('looks now and then without being told, and more often when nobody can tell', async (t) => {
    const { machine, seen, change } = await scene(t);
    machine.routes = withoutDefault(machine);
    await change('silence');
    assert.equal(seen.length, 1);
    await change('end');
    const looks = seen.length;
    machine.routes = [...machine.routes, { dst: 'default', gateway: '192.0.2.1', dev: 'eth0' }];
    t.mock.timers.tick(5_000);
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
    assert.equal(seen.length, looks + 1);
  });

  it('says nothing after it was closed, twice if need be', async (t) => {
    const { machine, watch, seen } = await scene(t);
    machine.routes = withoutDefault(machine);
    await watch.close();
    await watch.close();
    t.mock.timers.tick(60_000);
    assert.deepEqual(seen, []);
  });

  it('goes on when the machine does not answer for once', async (t) => {
    const { machine, seen, change } = await scene(t);
    const { routes } = machine;
    machine.routes = [{ dst: 'nonsense', dev: 'x' }];
    await change();
    machine.routes = routes.filter(({ gateway }) => gateway !== '192.0.2.1');
    await change();
    assert.equal(seen.length, 1);
  });
});
