import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSecureContext } from 'node:tls';
import { keyExchangeGroups } from '../../src/node/tls-groups.ts';

describe('key exchange groups', () => {
  it('are named only where OpenSSL can say for which to send keys', () => {
    assert.equal(keyExchangeGroups('3.0.19'), undefined);
    assert.equal(keyExchangeGroups(undefined) === undefined, keyExchangeGroups(process.versions.openssl) === undefined);
    assert.notEqual(keyExchangeGroups('3.5.0'), undefined);
    assert.notEqual(keyExchangeGroups('3.12.1+quic'), undefined);
    assert.notEqual(keyExchangeGroups('4.0.0'), undefined);
  });

  it('are taken by this OpenSSL', () => {
    const ecdhCurve = keyExchangeGroups();
    createSecureContext(ecdhCurve === undefined ? {} : { ecdhCurve });
  });
});
