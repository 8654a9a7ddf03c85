import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, it } from 'node:test';
import { CancelledError, MisuseError, SallyportError } from '../../../src/core/errors.ts';
import { NetworkConfigurator } from '../../../src/node/network/configurator.ts';
import { recover } from '../../../src/node/network/recover.ts';
import { abandonJournals, configurator, directory, freshDirectory, journals } from './configurator-scene.ts';
import type { FakeMachine } from './fake-machine.ts';
import { cidr, GATEWAY, ip, lanMachine, RESOLV_CONF_BEFORE, tunnel } from './samples.ts';

beforeEach(freshDirectory);

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
