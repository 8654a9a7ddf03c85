import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gnutlsName } from '../../../src/cli/occtl/gnutls-names.ts';

describe('a cipher suite in GnuTLS’s words', () => {
  for (const [suite, name] of [
    ['DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384', '(DTLS1.2)-(PSK)-(AES-256-GCM)'],
    ['DTLSv1.2-PSK_WITH_CHACHA20_POLY1305_SHA256', '(DTLS1.2)-(PSK)-(CHACHA20-POLY1305)'],
    ['DTLSv0.9-RSA_WITH_AES_256_CBC_SHA', '(DTLS0.9)-(RSA)-(AES-256-CBC)-(SHA1)'],
    ['TLSv1.3-TLS_AES_256_GCM_SHA384', '(TLS1.3)-(AES-256-GCM)'],
    ['TLSv1.2-TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384', '(TLS1.2)-(ECDHE-RSA)-(AES-256-CBC)-(SHA384)'],
  ] as const) {
    it(`${suite} is ${name}`, () => assert.equal(gnutlsName(suite), name));
  }

  it('stays as it is where it is none', () => assert.equal(gnutlsName('something else'), 'something else'));
});
