/** Chains of certificates, good ones and those with one fault each. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { chainFault } from '../../../src/node/ffi/openssl-chain.ts';
import { type Issued, Pki, type ServerOptions } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';

const DAY = 86_400_000;

describe('a chain of certificates', { skip: missing('openssl') }, () => {
  const pki = new Pki();
  after(() => pki[Symbol.dispose]());
  const der = ({ certificate }: Issued) => new Uint8Array(certificate.raw);
  const authorities = [der(pki.root)];
  const server = (options: ServerOptions = {}) => pki.issueServer({ names: ['vpn.example'], addresses: ['192.0.2.1'], ...options });

  it('is good where it leads to an authority, by itself or with those between, for its names and addresses', () => {
    const leaf = server();
    for (const host of ['vpn.example', '192.0.2.1']) assert.equal(chainFault([der(leaf)], { authorities, host }), undefined);
    const between = pki.issueAuthority();
    const deeper = server({ issuer: between });
    assert.equal(chainFault([der(deeper), der(between)], { authorities, host: 'vpn.example' }), undefined);
    assert.equal(chainFault([der(deeper)], { authorities, host: 'vpn.example' }), 'its authority is unknown');
    assert.equal(chainFault([der(deeper)], { authorities: [der(between)], host: 'vpn.example' }), undefined, 'which is believed');
  });

  it('has one fault at a time, which is said', () => {
    const other = new Pki();
    try {
      const faultOf = (issued: Issued, host = 'vpn.example') => chainFault([der(issued)], { authorities, host });
      assert.equal(faultOf(server(), 'other.example'), 'it has another name');
      assert.equal(faultOf(server(), '192.0.2.9'), 'it has another address');
      assert.equal(faultOf(other.issueServer({ names: ['vpn.example'] })), 'its authority is unknown');
      assert.equal(faultOf(server({ notBefore: new Date(Date.now() - 9 * DAY), notAfter: new Date(Date.now() - DAY) })), 'it has expired');
      assert.equal(faultOf(server({ purpose: 'clientAuth' })), 'it is not for servers');
    } finally {
      other[Symbol.dispose]();
    }
  });

  it('is none where nothing can be read', () => {
    assert.equal(chainFault([], { authorities, host: 'vpn.example' }), 'its certificate cannot be read');
    assert.equal(chainFault([Uint8Array.of(1, 2, 3)], { authorities, host: 'vpn.example' }), 'its certificate cannot be read');
    assert.equal(chainFault([der(server())], { authorities: [Uint8Array.of(1)], host: 'vpn.example' }), 'its authority is unknown');
  });
});
