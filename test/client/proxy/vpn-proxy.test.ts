/** The proxy follows its connection: ports inside open when that is up. The inside is a stack of ours with another at the far end. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { type ProxiedVpn, VpnProxy } from '../../../src/client/proxy/vpn-proxy.ts';
import { UserspaceNetwork } from '../../../src/client/userspace-network.ts';
import type { VpnEvents } from '../../../src/client/vpn.ts';
import type { Logger } from '../../../src/core/log.ts';
import { StackDevice } from '../../../src/node/devices/stack-device.ts';
import type { IpServer } from '../../../src/node/ip/ip-network.ts';
import { status } from '../../cli/sallyport/statuses.ts';
import { ipOf } from '../../core/ip/stack-pair.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { collected } from './proxy-scene.ts';

const HERE = '10.9.0.2';
const FAR = '10.9.0.1';

/** A connection that is up when it says so. */
class FakeVpn extends EventEmitter<VpnEvents> {
  readonly far: UserspaceNetwork;
  readonly inside: UserspaceNetwork;
  readonly vpn: ProxiedVpn;

  constructor() {
    super();
    const [device, peer] = [HERE, FAR].map((address) => new StackDevice({ addresses: [ipOf(address)], mtu: 1400 }));
    if (device === undefined || peer === undefined) throw new Error('unreachable: there are two');
    device.start((packets) => peer.write(packets));
    peer.start((packets) => device.write(packets));
    this.far = new UserspaceNetwork(peer, () => undefined);
    this.inside = new UserspaceNetwork(device, () => undefined);
    this.vpn = Object.assign(this, {
      state: 'up' as const,
      config: undefined,
      device,
      status: () => status({}),
      addresses: this.inside.addresses,
      createConnection: this.inside.createConnection.bind(this.inside),
      createServer: this.inside.createServer.bind(this.inside),
      createDatagram: this.inside.createDatagram.bind(this.inside),
      lookup: this.inside.lookup.bind(this.inside),
      ping: this.inside.ping.bind(this.inside),
    });
  }
}

async function holdPort(vpn: FakeVpn, port: number): Promise<IpServer> {
  const server = vpn.inside.createServer().listen({ port });
  await once(server, 'listening');
  return server;
}

describe('ports inside that lead here', { timeout: HANG_LIMIT }, () => {
  it('open at the next time the connection is up where one was refused before, and stay open where none was', async () => {
    const vpn = new FakeVpn();
    const here = createServer((socket) => socket.on('error', () => undefined).end('from here')).listen(0, '127.0.0.1');
    await once(here, 'listening');
    const to = { host: '127.0.0.1', port: (here.address() as AddressInfo).port };
    const refused: unknown[] = [];
    let tell: () => void = () => undefined;
    const log: Logger = {
      log: (_level, event, fields) => {
        if (event === 'remote forward refused') refused.push(fields?.port);
        tell();
      },
    };
    const forwards = [8_001, 8_002].map((port) => ({ bind: undefined, port, to }));
    const heard = async (port: number): Promise<string> => {
      const socket = vpn.far.createConnection({ host: HERE, port });
      return await collected(socket);
    };
    const holder = await holdPort(vpn, 8_002);
    await using _ = await VpnProxy.open(vpn.vpn, { port: 0, remoteForwards: forwards, log });

    const wasRefused = new Promise<void>((resolve) => {
      tell = resolve;
    });
    // Twice at once, as a connection does that is lost as soon as it is up: neither takes the other's ports.
    vpn.emit('state', 'up');
    vpn.emit('state', 'up');
    await wasRefused;
    assert.equal(await heard(8_001), 'from here');
    const kept = vpn.far.createConnection({ host: HERE, port: 8_001 });
    await once(kept, 'connect');
    assert.ok(refused.every((port) => port === 8_002));

    await holder[Symbol.asyncDispose]();
    vpn.emit('state', 'reconnecting');
    vpn.emit('state', 'up');
    let answer = '';
    while (answer === '') answer = await heard(8_002).catch(() => '');
    assert.equal(answer, 'from here');
    assert.equal(await heard(8_001), 'from here');
    assert.ok(refused.every((port) => port === 8_002));
    kept.destroy();
    here.close();
  });
});
