/** A session of a whole client with a fake gateway: log-in, tunnel and device in memory, TLS over loopback. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { noNetworkSetup } from '../../src/client/network-setup.ts';
import { type SessionOptions, VpnClient } from '../../src/client/vpn-client.ts';
import type { VpnSession } from '../../src/client/vpn-session.ts';
import { MisuseError } from '../../src/core/errors.ts';
import type { HttpResponse } from '../../src/core/http/message.ts';
import { MemoryDevice } from '../../src/node/devices/memory-device.ts';
import { CLIENT } from '../support/anyconnect-login.ts';
import { type FakeGateway, type GatewayReply, type GatewayRequest, startFakeGateway } from '../support/fake-gateway.ts';
import { echoPackets } from '../support/fake-tunnel.ts';
import { RecordedLog } from '../support/forms.ts';
import { success } from '../support/login-script.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';

const TUNNEL: HttpResponse = {
  version: '1.1',
  status: 200,
  reason: 'CONNECTED',
  headers: [
    ['X-CSTP-Version', '1'],
    ['X-CSTP-Address', '10.1.1.2'],
    ['X-CSTP-Netmask', '255.255.255.0'],
    ['X-CSTP-MTU', '1400'],
  ],
  body: new Uint8Array(0),
};

/** Logs everybody in; `connect` answers each CONNECT. */
function gatewayWith(connect: (request: GatewayRequest) => GatewayReply): Promise<FakeGateway> {
  return startFakeGateway((request) => (request.method === 'CONNECT' ? connect(request) : { response: success() }));
}

type Surroundings = Pick<SessionOptions, 'openDevice' | 'network'>;

const NOTHING: Surroundings = { openDevice: () => Promise.resolve(new MemoryDevice()), network: noNetworkSetup };

async function sessionWith(gateway: FakeGateway, surroundings: Surroundings = NOTHING): Promise<VpnSession> {
  const log = new RecordedLog();
  const client = await VpnClient.create(
    {
      protocol: 'anyconnect',
      gateway: { host: '127.0.0.1', port: gateway.port, path: '/' },
      wishes: {
        client: CLIENT,
        usesXml: true,
        httpAuth: [],
        compression: 'none',
        wantsIpv6: true,
        usesDatagrams: false,
        datagramCiphers: { allowsLegacy: false },
      },
      tls: {},
      trust: { systemTrust: false, fingerprints: [gateway.certificate.pin] },
      resolve: new Map(),
      keepsConnections: true,
      udp: { copiesDscp: false },
      reconnectBudget: 0,
    },
    { log, answerer: () => () => assert.fail('no form was to be answered'), checkHost: () => assert.fail('no host check was asked for') },
  );
  return client.session(surroundings);
}

async function up(session: VpnSession): Promise<void> {
  const reached = new Promise<void>((resolve) => session.on('state', ({ name }) => name === 'up' && resolve()));
  const ended = session.closed.then(({ message }) => assert.fail(message));
  session.start();
  await Promise.race([reached, ended]);
}

describe('a session', { skip: missing('openssl'), timeout: HANG_LIMIT }, () => {
  it('opens its tunnel on the connection that the log-in kept', async () => {
    await using gateway = await gatewayWith(() => ({ response: TUNNEL, run: echoPackets }));
    const session = await sessionWith(gateway);
    await up(session);
    const { kind } = await session.stop();
    assert.equal(kind, 'logged-off');
    assert.equal(gateway.connections, 1);
  });

  it('asks once more on a new connection if the kept one ends without an answer', async () => {
    await using gateway = await gatewayWith(({ connection }) => (connection === 1 ? 'hang-up' : { response: TUNNEL, run: echoPackets }));
    const session = await sessionWith(gateway);
    await up(session);
    await session.stop();
    assert.equal(gateway.connections, 2);
  });

  it('does not ask a third time', async () => {
    await using gateway = await gatewayWith(() => 'hang-up');
    const session = await sessionWith(gateway);
    session.start();
    const { kind } = await session.closed;
    assert.equal(kind, 'failed');
    assert.equal(gateway.connections, 2);
  });

  it('opens the device when the network’s first stage is over, which runs once', async () => {
    await using gateway = await gatewayWith(() => ({ response: TUNNEL, run: echoPackets }));
    const stages: string[] = [];
    const session = await sessionWith(gateway, {
      openDevice: () => {
        stages.push('device');
        return Promise.resolve(new MemoryDevice());
      },
      network: {
        ...noNetworkSetup,
        preInit: async ({ mtu }) => {
          stages.push(`pre-init, ${mtu} bytes`);
          for (let turn = 0; turn < 10; turn++) await setImmediate();
          stages.push('pre-init is over');
        },
        connect: () => {
          stages.push('connect');
          return Promise.resolve();
        },
      },
    });
    await up(session);
    await session.stop();
    assert.deepEqual(stages, ['pre-init, 1400 bytes', 'pre-init is over', 'device', 'connect']);
  });

  it('ends where the network’s first stage cannot be', async () => {
    await using gateway = await gatewayWith(() => ({ response: TUNNEL, run: echoPackets }));
    const session = await sessionWith(gateway, {
      openDevice: () => assert.fail('a device was to be opened'),
      network: { ...noNetworkSetup, preInit: () => Promise.reject(new MisuseError('no such network')) },
    });
    session.start();
    const { kind, message } = await session.closed;
    assert.equal(kind, 'failed');
    assert.equal(message, 'no such network');
  });

  it('does not ask again where the gateway has said no', async () => {
    const refusal: HttpResponse = { version: '1.1', status: 503, reason: 'Service Unavailable', headers: [], body: new Uint8Array(0) };
    await using gateway = await gatewayWith(() => ({ response: refusal, closes: true }));
    const session = await sessionWith(gateway);
    session.start();
    const { kind, message } = await session.closed;
    assert.equal(kind, 'failed');
    assert.match(message, /503 Service Unavailable/);
    assert.equal(gateway.connections, 1);
  });
});
