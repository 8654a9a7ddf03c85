import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, it } from 'node:test';
import { TunDevice } from '../../../src/node/devices/tun-device.ts';
import { oneDescriptor } from '../../../src/node/engine/device-descriptors.ts';
import { PacketEngine } from '../../../src/node/engine/packet-engine.ts';
import { ProgramNamespace } from '../../../src/node/network/program-namespace.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { cidr, ip, tunnel } from './samples.ts';

const HOLDER = [process.execPath, path.join(import.meta.dirname, 'hold-namespace-program.ts')];

describe('a network for one program', { skip: missing('netns', 'tun', 'unshare', 'nsenter'), timeout: HANG_LIMIT }, () => {
  it('has the interface, routes and names of the tunnel, and nothing else', async () => {
    using namespace = await ProgramNamespace.open(HOLDER);
    const { name, descriptor, offloads, setMtu } = namespace.interface;
    const engine = await PacketEngine.start();
    const device = await TunDevice.adopt(engine, oneDescriptor(descriptor), name, offloads, setMtu);
    const packets: Uint8Array[] = [];
    device.start((burst) => {
      for (const { buffer, start, end } of burst) packets.push(buffer.slice(start, end));
    });
    await namespace.configure(
      tunnel({ ipv4: { address: ip('10.1.2.3') }, dns: [ip('10.0.0.53')], include: [cidr('10.0.0.0/8')], exclude: [cidr('10.9.0.0/16')] }),
    );
    await device.setMtu(1300);
    const script = 'ls /sys/class/net 2>/dev/null; ip -o link show dev tun0; ip -4 route; head -1 /etc/resolv.conf; ping -c1 -W1 10.4.4.4';
    const [program = '', ...args] = namespace.words(['sh', '-c', script]);
    const { stdout } = spawnSync(program, args, { encoding: 'utf8' });
    assert.match(stdout, /tun0: .* mtu 1300 /);
    assert.match(stdout, /^10\.0\.0\.0\/8 dev tun0 /m);
    assert.match(stdout, /^unreachable 10\.9\.0\.0\/16/m);
    assert.doesNotMatch(stdout, /^default/m);
    assert.match(stdout, /^nameserver 10\.0\.0\.53$/m);
    const isEcho = (packet: Uint8Array) => packet[9] === 1 && Buffer.from(packet.subarray(16, 20)).equals(Buffer.from([10, 4, 4, 4]));
    while (!packets.some(isEcho)) await new Promise((resolve) => setImmediate(resolve));
    await device.close();
    await engine.close();
  });

  it('says why there is none', async () => {
    await assert.rejects(ProgramNamespace.open(['sh', '-c', 'echo not here >&2; exit 3']), {
      code: 'ERR_NAMESPACE',
      message: /\(not here\)\. It needs Linux with user namespaces/,
    });
  });
});
