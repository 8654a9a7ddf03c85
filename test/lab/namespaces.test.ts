/** The lab itself: machines that are apart from each other and from this one, and that leave nothing behind. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Millis } from '../../src/core/tunnel/packet.ts';
import { Faults } from '../support/faults.ts';
import { Lab, SERVER_NAME } from '../support/lab.ts';
import { processIdentity } from '../support/process-identity.ts';
import { missing } from '../support/requirements.ts';
import { assertUnchanged, differences, takeSnapshot } from '../support/snapshot.ts';
import { assertAnswers, ping } from '../support/traffic.ts';

describe('a lab', { skip: missing('root', 'netns', 'ping', 'nft') }, () => {
  it('joins client and server through a router, over IPv4 and IPv6', async () => {
    await using lab = await Lab.open();
    const { ipv4, ipv6 } = lab.addresses.server;
    await Promise.all([ipv4, ipv6, SERVER_NAME].map((host) => assertAnswers(lab.client, host)));
  });

  it('joins them directly where no router is wanted', async () => {
    await using lab = await Lab.open({ router: false });
    const { ipv4, ipv6 } = lab.addresses.server;
    await Promise.all([ipv4, ipv6].map((host) => assertAnswers(lab.client, host)));
    assert.throws(() => lab.router, /without a router/);
  });

  it('gives each machine a name, a /run and an /etc of its own, and leaves this machine alone', async () => {
    const own = readFileSync('/etc/resolv.conf', 'utf8');
    await using lab = await Lab.open();
    assert.equal(await lab.server.run('hostname', []), 'server\n');
    await lab.client.run('sh', ['-c', 'mkdir -p /run/vpn && echo nameserver 10.77.0.1 > /etc/new && mv /etc/new /etc/resolv.conf']);
    assert.equal(readFileSync(lab.client.file('/etc/resolv.conf'), 'utf8'), 'nameserver 10.77.0.1\n');
    assert.match(await lab.server.run('cat', ['/etc/resolv.conf']), /nameserver 127\.0\.0\.1/);
    assert.equal(existsSync(lab.server.file('/run/vpn')), false);
    assert.equal(existsSync('/run/vpn'), false);
    assert.equal(readFileSync('/etc/resolv.conf', 'utf8'), own);
  });

  it('shows in snapshots whatever a VPN may change, and that it was undone', async () => {
    await using lab = await Lab.open();
    const { client } = lab;
    const before = await takeSnapshot(client);
    await client.ip(
      'tuntap add tun0 mode tun',
      'address add 10.77.0.9/32 dev tun0',
      'link set tun0 up',
      'route add 10.0.0.0/8 via 192.0.2.1',
      'route add unreachable fd00::/8 table 77',
      'rule add fwmark 7 table 77',
    );
    await client.run('nft', ['add table inet killswitch']);
    const resolver = client.file('/etc/resolv.conf');
    renameSync(resolver, `${resolver}.saved`);
    writeFileSync(resolver, 'nameserver 10.77.0.1\n');
    const daemon = await client.start('sleep', ['600']);
    const changes = differences(before, await takeSnapshot(client));
    const expected = [
      /^\+ device: .*tun0/,
      /^\+ address: .*10\.77\.0\.9/,
      /^\+ IPv4 route: 10\.0\.0\.0\/8 via 192\.0\.2\.1 dev eth0/,
      /^\+ IPv6 route: unreachable fd00::\/8 .*table 77/,
      /^\+ IPv4 rule: .*fwmark 0x7 lookup 77/,
      /^\+ packet filter: table inet killswitch/,
      /^- \/etc\/resolv\.conf: nameserver 127\.0\.0\.1/,
      /^\+ \/etc\/resolv\.conf: nameserver 10\.77\.0\.1/,
      /^\+ process: \d+ sleep 600/,
    ];
    for (const pattern of expected)
      assert.ok(
        changes.some((change) => pattern.test(change)),
        `${pattern} in\n${changes.join('\n')}`,
      );

    await daemon.stop();
    renameSync(`${resolver}.saved`, resolver);
    await client.run('nft', ['delete table inet killswitch']);
    await client.ip('rule del fwmark 7 table 77', 'route flush table 77', 'route del 10.0.0.0/8', 'link del tun0');
    await client.run('ip', ['-6', 'route', 'flush', 'table', '77']);
    assertUnchanged(before, await takeSnapshot(client));
  });

  it('pulls a cable and plugs it in again, with addresses and routes as they were', async () => {
    await using lab = await Lab.open();
    const { ipv4, ipv6 } = lab.addresses.server;
    const before = await takeSnapshot(lab.client);
    await lab.clientLink.unplug(lab.client);
    assert.equal((await ping(lab.client, ipv4, { count: 1 })).received, 0);
    await lab.clientLink.plug(lab.client);
    await assertAnswers(lab.client, ipv4);
    await lab.clientLink.unplugFor(lab.client, 10);
    await assertAnswers(lab.client, ipv6);
    assertUnchanged(before, await takeSnapshot(lab.client));
  });

  it('ends every process with its namespaces, also daemons and those that moved to a namespace of their own', async () => {
    const lab = await Lab.open();
    const detached = await lab.client.start('sh', ['-c', 'setsid sleep 600 & echo $!']);
    const daemon = Number((await detached.finish()).stdout);
    const moved = await lab.server.start('unshare', ['--net', 'sh', '-c', 'echo moved; exec sleep 600']);
    await moved.waitFor(/moved/);
    const holders = lab.namespaces.map((namespace) => namespace.holderPid);
    await lab.close();
    await lab.close();
    for (const pid of [daemon, moved.pid, ...holders]) assert.equal(processIdentity(pid), undefined, `process ${pid} lives`);
    assert.equal(existsSync(lab.folder), false);
  });

  it('lives beside others', async () => {
    await using first = await Lab.open();
    await using second = await Lab.open();
    await first.client.ip('link add bridge0 type bridge');
    await assert.rejects(second.client.run('ip', ['link', 'show', 'bridge0']), /does not exist/);
    await first.close();
    await assertAnswers(second.client, second.addresses.server.ipv4);
  });
});

describe('faults', { skip: missing('root', 'netns', 'ping', 'nft') }, () => {
  it('drop or refuse what is blocked, until they are cleared', async () => {
    await using lab = await Lab.open();
    const faults = new Faults(lab.router);
    const before = await takeSnapshot(lab.router);
    const connect = async (port: number, patience: Millis = 10_000): Promise<string> => {
      const script = `require('net').connect(${port}, '${lab.addresses.server.ipv4}').setTimeout(${patience}, () => process.exit(3)).on('error', (error) => console.log(error.code))`;
      return (await lab.client.finish(process.execPath, ['-e', script])).stdout.trim();
    };
    assert.equal(await connect(81), 'ECONNREFUSED'); // nobody listens, and the server says so
    await faults.block({ protocol: 'tcp', port: 81 });
    assert.equal(await connect(81, 300), '');
    await faults.clear();
    await faults.block({ protocol: 'tcp', port: 82, how: 'reject' }, { protocol: 'udp' });
    assert.equal(await connect(82), 'ECONNREFUSED');
    await faults.clear();
    await faults.clear();
    assertUnchanged(before, await takeSnapshot(lab.router));
  });

  it('lose about as many packets as they are told', async () => {
    await using lab = await Lab.open();
    await new Faults(lab.router).lose({ protocol: 'icmp', probability: 0.2 });
    // There and back: 0.8 × 0.8 = 64 % of 400 come through; ± 8 % are three standard deviations and more.
    const { received } = await ping(lab.client, lab.addresses.server.ipv4, { count: 400, interval: 1 });
    assert.ok(received > 224 && received < 288, `${received} of 400`);
    await assertAnswers(lab.client, lab.addresses.server.ipv6, { count: 20 });
  });
});
