import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderOcservConfig } from './ocserv-config.ts';

describe("ocserv's configuration", () => {
  it('writes each setting on a line, and a list once an entry', () => {
    const text = renderOcservConfig({ 'tcp-port': 443, 'dtls-psk': false, banner: 'Hello there', route: ['10.0.0.0/8', 'fd00::/8'] });
    assert.equal(text, 'tcp-port = 443\ndtls-psk = false\nbanner = "Hello there"\nroute = "10.0.0.0/8"\nroute = "fd00::/8"\n');
  });

  it('leaves out what is undefined, so that a default can be taken away', () => {
    assert.equal(renderOcservConfig({ 'ipv6-network': undefined, dpd: 90 }), 'dpd = 90\n');
  });

  it('refuses a value that would end its line or its quotes', () => {
    assert.throws(() => renderOcservConfig({ banner: 'one\ntwo' }), /banner cannot hold/);
    assert.throws(() => renderOcservConfig({ route: ['10.0.0.0/8', '"'] }), /route cannot hold/);
  });
});
