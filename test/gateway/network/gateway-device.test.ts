import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { SallyportError } from '../../../src/core/errors.ts';
import { formatCidr } from '../../../src/core/wire/ip-address.ts';
import { ClientRoutes } from '../../../src/gateway/network/client-routes.ts';
import { GatewayDevice } from '../../../src/gateway/network/gateway-device.ts';
import { isAnswering } from '../../../src/gateway/network/ping-address.ts';
import { runProgram } from '../../../src/node/processes/run-program.ts';
import { inNamespace, ip } from '../../support/namespace.ts';
import { cidr, ip as parsedIp } from './lease-requests.ts';

const pools = [cidr('10.77.0.0/24'), cidr('fd77::/48')];
const open = (more: Partial<Parameters<typeof GatewayDevice.open>[0]> = {}) =>
  GatewayDevice.open({ device: 'vpns', queues: 2, mtu: 1400, pools, ...more });

/** The next IPv4 packet that the kernel has sent to any of the queues, its destination. */
function destination(fds: readonly number[]): string | undefined {
  const packet = Buffer.alloc(2048);
  for (const fd of fds) {
    try {
      for (;;) if (readSync(fd, packet) > 0 && packet.readUInt8(0) >> 4 === 4) return [...packet.subarray(16, 20)].join('.');
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
  }
  return undefined;
}

async function send(to: string): Promise<void> {
  await runProgram('ping', ['-n', '-c', '1', '-W', '0.05', to]);
}

inNamespace(
  'the device of the gateway',
  import.meta.filename,
  () => {
    const log = { log: (_level: string, event: string) => logged.push(event) };
    const logged: string[] = [];

    it('has the first free name, our end of each pool, the MTU and the queues', async () => {
      const [first, second] = [await open(), await open({ queues: 1, pools: [] })];
      assert.deepEqual([first.name, second.name], ['vpns0', 'vpns1']);
      assert.equal(first.descriptors.length, 2);
      assert.equal(readdirSync('/sys/class/net/vpns0/queues').filter((name) => name.startsWith('tx')).length, 2);
      assert.equal(readFileSync('/sys/class/net/vpns0/mtu', 'latin1'), '1400\n');
      assert.match(ip('address show dev vpns0'), /inet 10\.77\.0\.1\/24[\s\S]*inet6 fd77::1\/48/);
      assert.match(ip('-6 route show'), /fd77::\/48 dev vpns0/);
      await send('10.77.0.50');
      assert.equal(destination(first.descriptors), '10.77.0.50');
      for (const device of [first, second]) device.close();
      first.close();
      assert.ok(!existsSync('/sys/class/net/vpns0') && !existsSync('/sys/class/net/vpns1'));
    });

    it('takes further pools in, each once', async () => {
      const device = await open();
      await Promise.all([device.addPools([cidr('10.99.0.0/16'), cidr('10.77.0.7/24')]), device.addPools([cidr('10.99.0.0/16')])]);
      assert.deepEqual(
        ['10.99.3.4', '10.98.0.1', 'fd77::/64', 'fd77::/32'].map((text) => device.covers(cidr(text))),
        [true, false, true, false],
      );
      assert.match(ip('-4 address show dev vpns0'), /10\.77\.0\.1\/24[\s\S]*10\.99\.0\.1\/16/);
      device.close();
    });

    it('can tell whether a machine answers at an address, before it gives it to another', async () => {
      const device = await open();
      assert.equal(await isAnswering(parsedIp('10.77.0.1')), true);
      assert.equal(await isAnswering(parsedIp('fd77::1')), true);
      assert.equal(await isAnswering(parsedIp('10.77.0.50')), false);
      assert.equal(await isAnswering(parsedIp('192.0.2.1')), false); // there is no way to it
      device.close();
    });

    it('says that packets are not forwarded, and leaves that as it is', async () => {
      const device = await open();
      const forwarding = ['/proc/sys/net/ipv4/ip_forward', '/proc/sys/net/ipv6/conf/all/forwarding'] as const;
      for (const file of forwarding) writeFileSync(file, '0');
      const notices = await device.notices();
      assert.deepEqual(
        notices.map((notice) => /"sysctl -w (\S+)=1"/.exec(notice)?.[1]),
        ['net.ipv4.ip_forward', 'net.ipv6.conf.all.forwarding'],
      );
      for (const file of forwarding) assert.equal(readFileSync(file, 'latin1'), '0\n');
      for (const file of forwarding) writeFileSync(file, '1');
      assert.deepEqual(await device.notices(), []);
      device.close();
    });

    it('works without IPv6, and says so', async () => {
      writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1');
      const device = await open();
      assert.match((await device.notices()).join(), /no IPv6, or has it disabled/);
      assert.doesNotMatch(ip('address show dev vpns0'), /inet6/);
      device.close();
      writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '0');
    });

    it('refuses what no device can be, and leaves nothing behind', async () => {
      for (const bad of [
        { device: 'much-too-long-a-name' },
        { device: 'a b' },
        { device: '' },
        { queues: 0 },
        { queues: 300 },
        { mtu: 10 },
      ]) {
        await assert.rejects(open(bad), SallyportError);
      }
      assert.deepEqual(
        readdirSync('/sys/class/net').filter((name) => name.startsWith('vpns')),
        [],
      );
    });

    it('is gone after a crash', async () => {
      const child = spawn(process.execPath, [path.join(import.meta.dirname, 'open-device.ts')], { stdio: ['ignore', 'pipe', 'inherit'] });
      const [name] = (await once(child.stdout, 'data')) as [Buffer];
      const folder = `/sys/class/net/${String(name).trim()}`;
      assert.ok(existsSync(folder));
      child.kill('SIGKILL');
      await once(child, 'exit');
      assert.ok(!existsSync(folder));
    });

    it('has routes to networks behind clients, as long as a session claims them', async () => {
      const device = await open();
      const routes = new ClientRoutes({ device: device.name, log });
      await routes.add('one', [cidr('172.16.5.9/24'), cidr('fdaa::/48')]);
      await routes.add('two', [cidr('172.16.5.0/24')], [cidr('10.200.0.7/32')]);
      await routes.add('two', [cidr('172.16.5.0/24')]);
      assert.deepEqual(routes.othersThan('two').map(formatCidr), ['fdaa::/48']);
      assert.deepEqual(routes.othersThan('one').map(formatCidr), []);
      await send('10.200.0.7');
      assert.equal(destination(device.descriptors), '10.200.0.7');
      await send('172.16.5.77');
      assert.equal(destination(device.descriptors), '172.16.5.77');
      await routes.remove('one');
      assert.match(ip('route show'), /172\.16\.5\.0\/24 dev vpns0/);
      assert.doesNotMatch(ip('-6 route show'), /fdaa::/);
      await Promise.all([routes.remove('two'), routes.remove('two')]);
      assert.doesNotMatch(ip('route show'), /172\.16|10\.200/);
      assert.deepEqual(logged, []);
      device.close();
    });

    it('does not take a route that is somebody else’s, and gives up what it has set for that session', async () => {
      const device = await open();
      const routes = new ClientRoutes({ device: device.name, log });
      ip('link add other type veth peer name another');
      ip('link set other up');
      ip('route add 172.16.6.0/24 dev other');
      await assert.rejects(
        routes.add('one', [cidr('172.16.5.0/24'), cidr('172.16.6.0/24')]),
        /172\.16\.6\.0\/24 by vpns0 could not be added.*File exists/,
      );
      assert.match(ip('route show'), /172\.16\.6\.0\/24 dev other/);
      assert.doesNotMatch(ip('route show'), /172\.16\.5/);
      ip('link delete other');
      device.close();
    });

    it('runs the administrator’s commands instead, without a shell, and says when one fails', async () => {
      const device = await open();
      const addCommand = ['ip', 'route', 'add', '%{R}', 'dev', '%{D}', 'proto', '77'] as const;
      const routes = new ClientRoutes({ device: device.name, log, addCommand, deleteCommand: ['false'] });
      await routes.add('one', [cidr('172.16.5.0/24')], [cidr('10.200.0.7')]);
      assert.match(ip('route show'), /172\.16\.5\.0\/24 dev vpns0 proto 77/);
      assert.match(ip('route show'), /10\.200\.0\.7 dev vpns0 scope link/);
      await routes.remove('one');
      assert.deepEqual(logged.splice(0), ['route not deleted']);
      device.close();
    });
  },
  ['ping'],
);
