/** The limits of the proxy, hostile bytes, and where it may listen. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Outward } from '../../../src/client/proxy/outward.ts';
import { systemNetwork } from '../../../src/client/proxy/outward-network.ts';
import { ProxyServer } from '../../../src/client/proxy/proxy-server.ts';
import { RouteRules } from '../../../src/client/proxy/route-rules.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { encodeRequest } from '../../../src/core/socks/socks5.ts';
import { parseCidr } from '../../../src/core/wire/ip-address.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { bytes, HELLO5, LOGIN, latin1, NO_NETWORKS, OPEN, over, ProxyScene } from './proxy-scene.ts';

describe('the proxy', { timeout: HANG_LIMIT }, () => {
  it('does not listen where others reach it, unless there is a password or the user says so', async () => {
    const outward = systemOutward();
    await assert.rejects(ProxyServer.listen({ outward, address: '0.0.0.0', port: 0 }), MisuseError);
    await assert.rejects(ProxyServer.listen({ outward, address: '::', port: 0 }), MisuseError);
    for (const more of [{ login: LOGIN }, { isOpen: true }]) {
      await (await ProxyServer.listen({ outward, address: '0.0.0.0', port: 0, ...more })).close();
    }
  });

  it('says that its port is taken', async () => {
    await using scene = await ProxyScene.open();
    const outward = systemOutward();
    await assert.rejects(ProxyServer.listen({ outward, port: scene.port }), {
      code: 'ERR_LISTEN',
      message: /127\.0\.0\.1:\d+: Address already/,
    });
  });

  it('ends a client that does not say what it wants, however it begins', async () => {
    await using scene = await ProxyScene.open({ handshakeLimit: 50 });
    const starts = ['', '\u0005', '\u0004\u0001', 'CONNECT inside.test:80 HTTP/1.1\r\nHost:'];
    await Promise.all(
      starts.map(async (start) => {
        const socket = await scene.dial();
        socket.write(start);
        await over(socket);
      }),
    );
    assert.equal(scene.proxy.counters.failures.get('handshake-timeout'), starts.length);
  });

  it('takes no more clients than it may', async () => {
    await using scene = await ProxyScene.open({ maxConnections: 2 });
    const [one, two] = [await scene.dial(), await scene.dial()];
    const three = await scene.dial();
    await over(three);
    assert.equal(scene.proxy.counters.dropped, 1);
    one.destroy();
    two.destroy();
  });

  it('has settled when the last client has gone', async () => {
    await using scene = await ProxyScene.open();
    const { counters } = scene.proxy;
    await counters.settled();
    const port = await scene.echo();
    const clients = [await scene.dial(), await scene.dial()];
    for (const client of clients) {
      client.write(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port })));
      await once(client, 'data');
    }
    let hasSettled = false;
    const settled = counters.settled().then(() => {
      hasSettled = true;
    });
    const [one, two] = clients as [Socket, Socket];
    one.end();
    await over(one);
    assert.equal(hasSettled, false);
    two.end();
    await over(two);
    await settled;
    assert.equal(counters.active, 0);
  });

  it('reads no head without an end', async () => {
    await using scene = await ProxyScene.open();
    const long = 'a'.repeat(20_000);
    assert.match(
      await scene.exchange(`GET http://inside.test/ HTTP/1.1\r\nHost: x\r\nX-Long: ${long}\r\n\r\n`, OPEN),
      /^(HTTP\/1\.1 400 |reset)/,
    );
    assert.match(await scene.exchange(bytes(Uint8Array.of(4, 1, 0, 80, 10, 0, 0, 1), long)), /^(reset)?$/);
    assert.match(await scene.exchange('\u0016\u0003\u0001\u0002'), /^(reset)?$/);
    assert.equal(scene.proxy.counters.failures.get('unknown-protocol'), 1);
  });

  it('says its last words though the client has sent more than it reads', async () => {
    await using scene = await ProxyScene.open();
    const request = encodeRequest('bind', { host: '10.0.0.1', port: 1 });
    const answer = await scene.exchange(bytes(HELLO5, request, 'x'.repeat(1_000_000)), OPEN);
    assert.equal(answer, latin1(5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0));
  });

  it('survives any bytes, and serves the next client', async () => {
    await using scene = await ProxyScene.open({ handshakeLimit: 2_000 });
    const port = await scene.echo();
    const starts = fc.constantFrom(bytes(HELLO5), bytes(HELLO5, Uint8Array.of(5, 1, 0)), Buffer.of(4, 1), Buffer.from('GET '), Buffer.of());
    await fc.assert(
      fc.asyncProperty(starts, fc.uint8Array({ maxLength: 700 }), async (start, rest) => {
        await scene.exchange(bytes(start, rest)); // it ends: closed, or answered
      }),
      { numRuns: 200 },
    );
    assert.equal((await scene.exchange(bytes(HELLO5, encodeRequest('connect', { host: 'inside.test', port }), 'ok'))).slice(-2), 'ok');
    assert.equal(scene.proxy.counters.failures.get('internal'), undefined);
  });

  it('asks the machine for names outside the domains of the gateway, and goes direct outside its networks', async () => {
    const include = [parseCidr('10.0.0.0/30')].flatMap((network) => network ?? []);
    await using scene = await ProxyScene.open({ gateway: { include, splitDns: ['inside.test'] } });
    const port = await scene.echo();
    for (const host of ['inside.test', 'six.test']) {
      assert.equal((await scene.exchange(bytes(HELLO5, encodeRequest('connect', { host, port }), 'x'))).slice(-1), 'x');
    }
    assert.deepEqual(scene.vpn.asked, ['lookup inside.test', 'connect 10.0.0.1']);
    assert.deepEqual(scene.direct.asked, ['lookup six.test', 'connect fd00::1']);
  });
});

function systemOutward(): Outward {
  const rules = new RouteRules([], NO_NETWORKS);
  return new Outward({ networks: { vpn: systemNetwork, direct: systemNetwork }, rules: () => rules });
}
