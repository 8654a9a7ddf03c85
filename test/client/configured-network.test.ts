import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, beforeEach, describe, it, type TestContext } from 'node:test';
import { ConfiguredNetwork, type UnderlayChange } from '../../src/client/configured-network.ts';
import type { NetworkFacts } from '../../src/client/network-setup.ts';
import { CancelledError } from '../../src/core/errors.ts';
import type { NetworkMonitor } from '../../src/node/network/underlay-watch.ts';
import type { FakeMachine } from '../node/network/fake-machine.ts';
import { cidr, GATEWAY, ip, LAN_ROUTES, lanMachine, RESOLV_CONF_BEFORE, tunnel } from '../node/network/samples.ts';
import { RecordedLog } from '../support/forms.ts';

const root = mkdtempSync(path.join(tmpdir(), 'sallyport-configured-'));
after(() => rmSync(root, { recursive: true }));

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(path.join(root, 'state-'));
});

const FACTS: NetworkFacts = { gateway: GATEWAY, local: ip('192.0.2.10'), deviceName: 'tun0' };

interface Scene {
  readonly network: ConfiguredNetwork;
  readonly log: RecordedLog;
  readonly changes: readonly UnderlayChange[];
  /** Watches that are running. */
  readonly watching: ReadonlySet<unknown>;
  /** Tells the watch that something has changed, and waits for what it makes of it. */
  change(): Promise<UnderlayChange>;
}

function scene(t: TestContext, machine: FakeMachine, signal?: AbortSignal): Scene {
  const log = new RecordedLog();
  const changes: UnderlayChange[] = [];
  const watching = new Set<unknown>();
  let tell = () => {};
  let heard = Promise.withResolvers<UnderlayChange>();
  const monitor: NetworkMonitor = (onEvent) => {
    tell = onEvent;
    watching.add(onEvent);
    return { stop: () => watching.delete(onEvent) };
  };
  const network = new ConfiguredNetwork({
    log,
    onUnderlay: (change) => {
      changes.push(change);
      heard.resolve(change);
    },
    ...(signal !== undefined && { signal }),
    machine: { machine, directory, monitor },
  });
  t.after(() => network.disconnect());
  const change = (): Promise<UnderlayChange> => {
    heard = Promise.withResolvers();
    tell();
    return heard.promise;
  };
  return { network, log, changes, watching, change };
}

const wlan = [
  { dst: 'default', gateway: '198.18.0.1', dev: 'wlan0' },
  { dst: '198.18.0.0/24', dev: 'wlan0', protocol: 'kernel', prefsrc: '198.18.0.10' },
];

describe('the configured network', () => {
  it('is set up with the device, and as before at the end, however often the end is asked for', async (t) => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const { network, watching } = scene(t, machine);
    await network.preInit();
    assert.deepEqual(machine.snapshot(), start);
    await network.connect(tunnel(), FACTS);
    assert.equal(machine.lookup('198.51.100.1')?.dev, 'tun0');
    assert.deepEqual(readdirSync(directory).length, 1, 'a journal says how to undo it');
    await Promise.all([network.disconnect(), network.disconnect()]);
    await network.disconnect();
    assert.deepEqual(machine.snapshot(), start);
    assert.deepEqual(readdirSync(directory), []);
    assert.equal(watching.size, 0);
  });

  it('needs a device that has a name', async (t) => {
    const { network } = scene(t, lanMachine());
    await assert.rejects(network.connect(tunnel(), { gateway: GATEWAY, local: ip('192.0.2.10') }), { code: 'ERR_NETWORK_SETUP' });
    await network.disconnect();
  });

  it('is undone when a step fails, and the failure is the connection’s', async (t) => {
    const machine = lanMachine();
    const start = machine.snapshot();
    machine.trouble = { at: 4, how: 'refuse' };
    const { network, watching } = scene(t, machine);
    await assert.rejects(network.connect(tunnel(), FACTS), { code: 'ERR_NETWORK_SETUP' });
    assert.deepEqual(machine.snapshot(), start);
    assert.equal(watching.size, 0);
    await network.disconnect();
  });

  it('is undone when the set-up is cut short', async (t) => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const cancel = new AbortController();
    const { network } = scene(t, machine, cancel.signal);
    cancel.abort();
    await assert.rejects(network.connect(tunnel(), FACTS), CancelledError);
    assert.deepEqual(machine.snapshot(), start);
    await network.disconnect();
  });

  it('follows the gateway to another way before it says so', async (t) => {
    const machine = lanMachine();
    const { network, change } = scene(t, machine);
    await network.connect(tunnel(), FACTS);
    machine.routes = [...machine.routes.filter(({ dev }) => dev !== 'eth0'), ...wlan];
    const heard = change();
    const { before, now } = await heard;
    assert.deepEqual(before.way, { device: 'eth0', via: '192.0.2.1' });
    assert.deepEqual(now.way, { device: 'wlan0', via: '198.18.0.1' });
    assert.equal(machine.lookup('203.0.113.9')?.dev, 'wlan0', 'the gateway’s route has moved already');
    await network.disconnect();
  });

  it('says that the network is gone, and that it is back', async (t) => {
    const machine = lanMachine();
    const { network, change, log } = scene(t, machine);
    await network.connect(tunnel({ only: 4 }), FACTS);
    const withNetwork = machine.routes;
    machine.routes = machine.routes.filter(({ dev }) => dev === 'tun0');
    assert.equal((await change()).now.way, undefined);
    assert.match(log.lines.join('\n'), /There is no way to the gateway/);
    machine.routes = withNetwork;
    const back = await change();
    assert.deepEqual([back.before.way, back.now.way], [undefined, { device: 'eth0', via: '192.0.2.1' }]);
    await network.disconnect();
  });

  it('notices that the address of the connection has gone, of whichever connection is the latest', async (t) => {
    const machine = lanMachine();
    const eth0 = machine.links.get('eth0');
    assert.ok(eth0 !== undefined);
    const { network, change, watching } = scene(t, machine);
    await network.connect(tunnel(), FACTS);
    machine.links.set('eth0', { ...eth0, addresses: ['192.0.2.77/24'] });
    assert.equal((await change()).now.isAddressGone, true);
    await network.reconnect(tunnel(), { ...FACTS, local: ip('192.0.2.77') });
    assert.equal(watching.size, 1);
    machine.links.set('eth0', { ...eth0, addresses: ['192.0.2.78/24'] });
    const { before, now } = await change();
    assert.deepEqual([before.isAddressGone, now.isAddressGone], [false, true]);
    await network.disconnect();
  });

  it('moves the gateway’s route before a try to reconnect, and follows the configuration after it', async (t) => {
    const machine = lanMachine();
    const { network } = scene(t, machine);
    const gateway = ip('203.0.113.10');
    await network.connect(tunnel({ include: [cidr('10.1.0.0/16')] }), FACTS);
    await network.attemptReconnect(tunnel(), { ...FACTS, gateway });
    assert.deepEqual([machine.lookup('203.0.113.10')?.prefix, machine.lookup('203.0.113.9')?.prefix], [32, 0]);
    await network.reconnect(tunnel({ include: [cidr('10.2.0.0/16')] }), { ...FACTS, gateway });
    assert.deepEqual([machine.lookup('10.1.0.1')?.dev, machine.lookup('10.2.0.1')?.dev], ['eth0', 'tun0']);
    await network.disconnect();
  });

  it('stays as it is, with a line in the log, where it cannot be brought up to date; all of it is undone all the same', async (t) => {
    const machine = lanMachine();
    const start = machine.snapshot();
    const { network, log } = scene(t, machine);
    await network.connect(tunnel(), FACTS);
    machine.trouble = { at: machine.changes.length, how: 'refuse' };
    await network.reconnect(tunnel({ mtu: 1300 }), FACTS);
    assert.match(log.lines.join('\n'), /error network not updated reason=.*not permitted/i);
    machine.trouble = undefined;
    await network.disconnect();
    assert.deepEqual(machine.snapshot(), start);
  });

  it('says nothing of the network, and changes nothing, once it is over', async (t) => {
    const machine = lanMachine();
    const { network, changes, watching } = scene(t, machine);
    await network.connect(tunnel(), FACTS);
    await network.disconnect();
    const after = machine.changes.length;
    await network.attemptReconnect(tunnel(), FACTS);
    await network.reconnect(tunnel(), FACTS);
    assert.deepEqual([machine.changes.length, changes.length, watching.size], [after, 0, 0]);
    assert.equal(machine.files.get('/etc/resolv.conf'), RESOLV_CONF_BEFORE);
    assert.deepEqual(machine.routes, LAN_ROUTES);
  });

  it('is no reason to end the connection where it cannot be watched', async (t) => {
    const machine = lanMachine();
    const run = machine.run;
    const blind = Object.assign(Object.create(machine) as FakeMachine, {
      run: async (...call: Parameters<typeof run>): ReturnType<typeof run> => {
        const isLook = watching.size > 0 && call[1].includes('route');
        return isLook ? { status: 1, signal: null, stdout: '', stderr: 'no such luck' } : run(...call);
      },
    });
    const { network, log, watching } = scene(t, blind);
    await network.connect(tunnel(), FACTS);
    assert.match(log.lines.join('\n'), /warn underlay unknown/);
    assert.equal(machine.lookup('198.51.100.1')?.dev, 'tun0');
  });
});
