import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientSettings } from '../../src/client/client-settings.ts';
import type { ConnectOptions } from '../../src/client/connect-options.ts';
import { networkChoice } from '../../src/client/network-choice.ts';
import { isOwnDevice } from '../../src/client/own-device.ts';
import { MisuseError } from '../../src/core/errors.ts';
import { MemoryDevice } from '../../src/node/devices/memory-device.ts';

const GATEWAY = 'https://vpn.example.com/staff';
const PIN = `pin-sha256:${'A'.repeat(43)}=`;

describe('the settings of a client, from the library’s options', () => {
  it('are strict unless told otherwise', async () => {
    const { protocol, tls, wishes, trust, gateway } = await clientSettings(GATEWAY, {});
    assert.equal(protocol, 'auto');
    assert.equal(tls.minVersion, 'TLSv1.2');
    assert.match(String(tls.ciphers), /!aNULL/);
    assert.equal(wishes.datagramCiphers.allowsLegacy, false);
    assert.equal(wishes.compression, 'none');
    assert.deepEqual(trust, { systemTrust: true, fingerprints: [] });
    assert.deepEqual([gateway.host, gateway.port], ['vpn.example.com', 443]);
    const legacy = await clientSettings(GATEWAY, { allowLegacy: ['tls', 'dtls'] });
    assert.equal(legacy.tls.minVersion, 'TLSv1');
    assert.match(String(legacy.tls.ciphers), /!aNULL:!eNULL/, 'encryption and a certificate there must be all the same');
    assert.equal(legacy.wishes.datagramCiphers.allowsLegacy, true);
  });

  it('trust the system no more where keys are named, and only whole ones', async () => {
    assert.deepEqual((await clientSettings(GATEWAY, { pins: [PIN] })).trust, { systemTrust: false, fingerprints: [PIN] });
    for (const pin of ['pin-sha256:AAAA', 'sha1:0000', PIN.slice(0, -1)]) {
      await assert.rejects(clientSettings(GATEWAY, { pins: [pin] }), MisuseError);
    }
  });

  it('use no UDP through a proxy, whose password is not repeated', async () => {
    const { proxy, wishes } = await clientSettings(GATEWAY, { proxy: 'socks5://[2001:db8::1]:1080' });
    assert.deepEqual([proxy?.kind, proxy?.host, proxy?.port, wishes.usesDatagrams], ['socks5', '2001:db8::1', 1080, false]);
    const named = (await clientSettings(GATEWAY, { proxy: 'proxy.example' })).proxy;
    assert.deepEqual([named?.kind, named?.host, named?.port], ['http', 'proxy.example', 80]);
    for (const proxy of ['http://alice:swordfish@proxy', 'ftp://proxy', 'http://proxy:70000', 'http://proxy:0', '']) {
      await assert.rejects(
        clientSettings(GATEWAY, { proxy }),
        (error: unknown) => error instanceof MisuseError && !error.message.includes('swordfish'),
      );
    }
  });

  it('refuse sizes and addresses that cannot be', async () => {
    for (const options of [{ mtu: 100 }, { mtu: 1400.5 }, { mtu: 70_000 }, { addresses: { a: 'b' } }] satisfies ConnectOptions[]) {
      await assert.rejects(clientSettings(GATEWAY, options), MisuseError);
    }
  });
});

describe('who sets up the network', () => {
  it('is nobody for a device of the caller’s own, unless that has a name', () => {
    const device = new MemoryDevice();
    assert.ok(isOwnDevice(device) && !isOwnDevice('tun') && !isOwnDevice({ name: 'vpn9' }));
    assert.equal(networkChoice({ device }), 'none');
    assert.throws(() => networkChoice({ device, network: 'configure' }), MisuseError);
  });

  it('is whoever was named', () => {
    assert.equal(networkChoice({ network: 'none' }), 'none');
    assert.deepEqual(networkChoice({ network: { script: 'x' } }), { script: 'x' });
  });
});
