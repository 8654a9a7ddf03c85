import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import type { NetworkChange } from '../../../src/node/network/configurator.ts';
import type { Recovery } from '../../../src/node/network/recover.ts';
import type { UnderlayState } from '../../../src/node/network/underlay-watch.ts';
import { missing } from '../../support/requirements.ts';
import { sized } from '../../support/size.ts';
import type { AgentConfig } from './agent.ts';
import { type Agent, Namespace } from './namespace.ts';
import { RESOLV_CONF_BEFORE } from './samples.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sallyport-netns-'));
after(() => rmSync(root, { recursive: true }));

const gateway = '203.0.113.9';
const SPLIT: AgentConfig = {
  include: ['10.10.0.0/16', '192.0.2.0/24', '10.20.30.40/32', '2001:db8:9::/48'],
  exclude: ['10.10.5.0/24', '2001:db8:9:1::/64'],
  dns: ['10.77.0.1', 'fd99::1'],
};

describe('the network of a namespace', { skip: missing('root', 'netns', 'tun') }, () => {
  let space: Namespace;
  let agent: Agent;
  let directory: string;
  beforeEach(() => {
    space = new Namespace();
    directory = path.join(root, space.name);
    agent = space.agent(directory);
  });
  afterEach(() => space.close());

  const journals = () => (existsSync(directory) ? readdirSync(directory) : []);
  const ask = async <T>(...command: Parameters<Agent['ask']>): Promise<T> => (await agent.ask(...command)) as T;

  it('goes through the tunnel, but for the gateway, and comes back as it was', async () => {
    const start = space.snapshot();
    assert.deepEqual(await agent.ask({ do: 'apply', gateway }), { changed: true, notes: [] });
    assert.equal(space.wayTo('198.51.100.1'), 'tun0');
    assert.equal(space.wayTo('2001:db8:ffff::1'), 'tun0');
    assert.equal(space.wayTo(gateway), 'eth0 via 192.0.2.1');
    assert.equal(space.wayTo('192.0.2.77'), 'eth0');
    assert.deepEqual(space.tunnel(), { mtu: 1400, isUp: true, addresses: ['10.99.0.50/32', 'fd99::50/64'] });
    assert.match(space.resolvConfText(), /^nameserver 10\.99\.0\.1\nsearch corp\.example lan\.example$/m);
    await agent.ask({ do: 'undo' });
    assert.deepEqual(space.snapshot(), start);
    assert.deepEqual(journals(), []);
  });

  it('is split as the gateway says, even where the LAN has the same network', async () => {
    const start = space.snapshot();
    space.ip('route add 10.20.30.40 via 192.0.2.99 proto static');
    const withStatic = space.snapshot();
    const { notes } = await ask<NetworkChange>({ do: 'apply', gateway, config: SPLIT });
    assert.deepEqual(notes, []);
    const ways = ['10.10.1.1', '10.10.5.1', '192.0.2.77', '10.20.30.40', '10.77.0.1', '10.78.0.1', '2001:db8:9::1', '2001:db8:9:1::1'].map(
      (address) => space.wayTo(address),
    );
    assert.deepEqual(ways, ['tun0', 'eth0 via 192.0.2.1', 'tun0', 'tun0', 'tun0', 'eth0 via 192.0.2.1', 'tun0', 'eth0 via 2001:db8:1::1']);
    await agent.ask({ do: 'update', gateway, config: { mtu: 1300 } });
    assert.equal(space.tunnel()?.mtu, 1300);
    assert.equal(space.wayTo('10.20.30.40'), 'eth0 via 192.0.2.99', 'the route that had to give way is back');
    await agent.ask({ do: 'undo' });
    assert.deepEqual(space.snapshot(), withStatic);
    space.ip('route delete 10.20.30.40');
    assert.deepEqual(space.snapshot(), start);
  });

  it('keeps IPv6 as it is where the gateway gives none, and works for one that is reached by it', async () => {
    const ipv6 = space.routes(6);
    await agent.ask({ do: 'apply', gateway, config: { only: 4 } });
    assert.deepEqual(space.routes(6), ipv6);
    await agent.ask({ do: 'undo' });
    await agent.ask({ do: 'apply', gateway: '2001:db8:ffff::9', config: { only: 6, dns: ['fd99::1'] } });
    assert.equal(space.wayTo('2001:db8:ffff::9'), 'eth0 via 2001:db8:1::1');
    assert.equal(space.wayTo('2001:db8:ffff::a'), 'tun0');
    assert.equal(space.wayTo('198.51.100.1'), 'eth0 via 192.0.2.1');
    await agent.ask({ do: 'undo' });
  });

  it('says what failed, in the words of the kernel, and is as it was', async () => {
    space.ip('link set dev tun0 up'); // or the kernel would forget the route that is in the way
    space.ip('route add 203.0.113.9 dev tun0');
    const start = space.snapshot();
    await assert.rejects(
      agent.ask({ do: 'apply', gateway }),
      /^Error: Could not set the route to the gateway, 203\.0\.113\.9\/32 by eth0 and 192\.0\.2\.1: RTNETLINK answers: File exists\.$/,
    );
    assert.deepEqual(space.snapshot(), start);
    assert.deepEqual(journals(), []);
  });

  it('hears of another way to the gateway at once, and repairs the route', async () => {
    await agent.ask({ do: 'apply', gateway });
    assert.deepEqual(await agent.ask({ do: 'watch', gateway }), {
      way: { device: 'eth0', via: '192.0.2.1' },
      isLost: false,
      isAddressGone: false,
    });
    space.ip('link add wlan0 type veth peer name lan1');
    for (const link of ['wlan0', 'lan1']) space.ip(`link set dev ${link} addrgenmode none up`);
    space.ip('address add 198.51.100.10/24 dev wlan0');
    space.ip('link set dev eth0 down');
    let state = (await agent.next()) as UnderlayState;
    assert.equal(state.isLost, true);
    space.ip('route add default via 198.51.100.1 dev wlan0');
    state = (await agent.next()) as UnderlayState;
    assert.deepEqual(state.way, { device: 'wlan0', via: '198.51.100.1' });
    assert.equal(space.wayTo(gateway), 'tun0', 'until it is repaired');
    assert.deepEqual(await agent.ask({ do: 'update', gateway }), { changed: true, notes: [] });
    assert.equal(space.wayTo(gateway), 'wlan0 via 198.51.100.1');
    await agent.ask({ do: 'unwatch' });
    await agent.ask({ do: 'undo' });
    assert.ok(!space.routes(4).some((route) => route.startsWith('203.')));
  });

  it('is as it was after its process was killed before, in or after any of its steps, and a recovery', async () => {
    const start = space.snapshot();
    for (const how of sized(['before', 'during'], ['before', 'during', 'after'])) {
      for (let at = 0; ; at++) {
        const victim = space.agent(directory, `${at}:${how}`);
        const survived = await survives(victim);
        await victim.close();
        if (survived) break;
        const reports = await ask<Recovery[]>({ do: 'recover' });
        assert.deepEqual(
          reports.map(({ outcome }) => outcome),
          ['undone'],
          `${at}:${how}`,
        );
        assert.deepEqual(space.snapshot(), start, `${at}:${how}`);
        assert.deepEqual(journals(), []);
        assert.deepEqual(await agent.ask({ do: 'recover' }), []);
      }
    }
    assert.deepEqual(space.snapshot(), start);
  });

  it('is as it was after its process was killed at any moment, and several recoveries at once', async () => {
    const start = space.snapshot();
    const others = [space.agent(directory), space.agent(directory)];
    const moments = Array.from({ length: sized(5, 100) }, (_, i) => (60 / sized(5, 100)) * i); // milliseconds into a life of some sixty
    for (const moment of moments) {
      const victim = space.agent(directory);
      await victim.ask({ do: 'recover' }); // it runs now
      const killed = new Promise<void>((resolve) => setTimeout(() => resolve(victim.kill()), moment));
      await survives(victim);
      await killed;
      const reports = await Promise.all([agent, ...others].map((one) => one.ask({ do: 'recover' })));
      assert.ok(reports.flat().length <= 1);
      assert.deepEqual(space.snapshot(), start);
      assert.deepEqual(journals(), []);
    }
  });

  it('is as it was after its process was killed and the device went with it', async () => {
    const victim = space.agent(directory);
    await victim.ask({ do: 'apply', gateway, config: SPLIT });
    await victim.kill();
    space.ip('link delete tun0');
    assert.equal(space.wayTo('198.51.100.1'), 'eth0 via 192.0.2.1', 'even before the recovery');
    await agent.ask({ do: 'recover' });
    assert.ok(!space.routes(4).some((route) => route.startsWith('203.') || route.startsWith('10.')));
    assert.equal(space.resolvConfText(), RESOLV_CONF_BEFORE);
  });

  it("has its script's disconnect run in a recovery", async () => {
    const script = path.join(root, 'script');
    writeFileSync(
      script,
      'case $reason in connect) ip route add 10.0.0.0/8 dev eth0;; disconnect) ip route del $CISCO_SPLIT_INC_0_ADDR/8;; esac\n',
    );
    const start = space.snapshot();
    const victim = space.agent(directory);
    await victim.ask({
      do: 'script',
      command: `sh ${script}`,
      set: { reason: 'connect', TUNDEV: 'tun0', CISCO_SPLIT_INC_0_ADDR: '10.0.0.0' },
    });
    assert.notDeepEqual(space.snapshot(), start);
    await victim.kill();
    const [report] = await ask<Recovery[]>({ do: 'recover' });
    assert.equal(report?.outcome, 'undone');
    assert.deepEqual(space.snapshot(), start);
  });

  /** Sets up, changes and takes back; whether the process was still alive after that. */
  async function survives(victim: Agent): Promise<boolean> {
    const steps = [{ do: 'apply', gateway, config: SPLIT }, { do: 'update', gateway, config: {} }, { do: 'undo' }] as const;
    for (const step of steps) if ((await victim.ask(step)) === undefined) return false;
    return true;
  }
});
