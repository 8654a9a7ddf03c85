import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PSK_NEGOTIATE, resumptionSuite, suiteNames } from '../../../../src/core/protocols/anyconnect/dtls-suites.ts';

describe('names of DTLS suites', () => {
  // Spec "AnyConnect", section 7.3.
  it('mean these suites and dialects, strongest first', () => {
    const table = (header: 'X-DTLS-CipherSuite' | 'X-DTLS12-CipherSuite') =>
      suiteNames(header).map((name) => {
        const suite = resumptionSuite(header, name);
        return `${name} ${suite?.id.toString(16).padStart(4, '0')} ${suite?.version}`;
      });
    assert.deepEqual(table('X-DTLS-CipherSuite'), [
      'OC-DTLS1_2-AES256-GCM 009d 1.2',
      'OC-DTLS1_2-AES128-GCM 009c 1.2',
      'DHE-RSA-AES256-SHA 0039 0.9',
      'DHE-RSA-AES128-SHA 0033 0.9',
      'AES256-SHA 0035 0.9',
      'AES128-SHA 002f 0.9',
    ]);
    assert.deepEqual(table('X-DTLS12-CipherSuite'), [
      'ECDHE-RSA-AES256-GCM-SHA384 c030 1.2',
      'ECDHE-RSA-AES128-GCM-SHA256 c02f 1.2',
      'AES256-GCM-SHA384 009d 1.2',
      'AES128-GCM-SHA256 009c 1.2',
      'DHE-RSA-AES256-SHA 0039 1.2',
      'DHE-RSA-AES128-SHA 0033 1.2',
      'AES256-SHA 0035 1.2',
      'AES128-SHA 002f 1.2',
    ]);
  });

  it('have no DES among them, nor what is no suite', () => {
    for (const name of ['DES-CBC3-SHA', 'DES-CBC-SHA', 'OC2-DTLS1_2-CHACHA20-POLY1305', PSK_NEGOTIATE, '', 'aes256-sha', 'constructor']) {
      assert.equal(resumptionSuite('X-DTLS-CipherSuite', name), undefined, name);
      assert.equal(resumptionSuite('X-DTLS12-CipherSuite', name), undefined, name);
    }
    assert.equal(resumptionSuite('X-DTLS-CipherSuite', 'AES256-GCM-SHA384'), undefined, 'a name of the other header');
  });
});
