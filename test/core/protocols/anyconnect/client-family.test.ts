import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { clientFamily, deviceFacts, wantsBareDocuments } from '../../../../src/core/protocols/anyconnect/client-family.ts';

describe('A client’s family', () => {
  it('is read from the beginning of its User-Agent, whatever the case', () => {
    assert.equal(clientFamily('Open AnyConnect VPN Agent v9.01-3'), 'openconnect');
    assert.equal(clientFamily('OpenConnect VPN Agent (NetworkManager) v9.01'), 'openconnect');
    assert.equal(clientFamily('AnyConnect Linux_64 4.10.07061'), 'anyconnect');
    assert.equal(clientFamily('Cisco AnyConnect VPN Agent for Windows 4.9'), 'anyconnect');
    assert.equal(clientFamily('cisco anyconnect vpn agent for apple iPad 4.9'), 'apple');
    assert.equal(clientFamily('Mozilla/5.0 (AnyConnect)'), 'unknown');
    assert.equal(clientFamily(''), 'unknown');
  });

  it('makes openconnect of before version 4 the only one that wants bare documents', () => {
    assert.ok(wantsBareDocuments('Open AnyConnect VPN Agent v3.20'));
    assert.ok(!wantsBareDocuments('Open AnyConnect VPN Agent v4.00'));
    assert.ok(!wantsBareDocuments('Open AnyConnect VPN Agent v30'));
    assert.ok(!wantsBareDocuments('AnyConnect v3'));
  });

  it('knows mobile clients by their platform or their name, and keeps a bounded part of what they say', () => {
    assert.deepEqual(deviceFacts([['X-AnyConnect-Identifier-Platform', 'Apple-iOS']]), { isMobile: true, devicePlatform: 'Apple-iOS' });
    assert.deepEqual(deviceFacts([['User-Agent', 'Cisco AnyConnect VPN Agent for Apple iPhone']]), { isMobile: true });
    const type = 'x'.repeat(100);
    const facts = deviceFacts([
      ['x-anyconnect-identifier-platform', 'win'],
      ['X-AnyConnect-Identifier-DeviceType', type],
    ]);
    assert.deepEqual(facts, { isMobile: false, deviceType: type.slice(0, 63), devicePlatform: 'win' });
  });
});
