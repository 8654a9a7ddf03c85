/** Whose client a first request is of, on a port that serves several vendors. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { ProtocolId } from '../../../src/core/auth/protocol-id.ts';
import type { HttpHeaders } from '../../../src/core/http/message.ts';
import type { HostProtocols } from '../../../src/gateway/config/host-protocols.ts';
import { parseProtocols } from '../../../src/gateway/config/host-protocols.ts';
import { VendorTable } from '../../../src/gateway/worker/vendor-table.ts';

describe('the vendors of a port', () => {
  const table = new VendorTable();
  const hostOf = (...protocols: HostProtocols) => ({ login: { protocols } });
  before(() => table.load([hostOf('anyconnect'), hostOf('fortinet'), hostOf('array'), hostOf('nc'), hostOf('f5')]));

  function vendorOf(protocols: HostProtocols, method: string, target: string, headers: HttpHeaders = []): ProtocolId {
    return table.vendorOf({ method, target, version: '1.1', headers, body: new Uint8Array(0) }, hostOf(...protocols)).id;
  }

  it('are told apart by what only they say, whatever the default is', () => {
    for (const protocols of [
      ['anyconnect', 'fortinet'],
      ['fortinet', 'anyconnect'],
    ] as const) {
      assert.equal(vendorOf(protocols, 'CONNECT', '/CSCOSSLC/tunnel'), 'anyconnect');
      assert.equal(vendorOf(protocols, 'POST', '/', [['X-Aggregate-Auth', '1']]), 'anyconnect');
      assert.equal(vendorOf(protocols, 'GET', '/', [['User-Agent', 'Open AnyConnect VPN Agent v9.01']]), 'anyconnect');
      assert.equal(vendorOf(protocols, 'GET', '/', [['User-Agent', 'Mozilla/5.0 SV1']]), 'fortinet');
      assert.equal(vendorOf(protocols, 'GET', '/remote/info'), 'fortinet');
      assert.equal(vendorOf(protocols, 'GET', '/remote/sslvpn-tunnel', [['Host', 'sslvpn']]), 'fortinet');
      assert.equal(vendorOf(protocols, 'GET', '/x', [['Cookie', 'SVPNCOOKIE=abc']]), 'fortinet');
    }
  });

  it('are told apart by pages, headers and cookies before the name that several clients have', () => {
    const agent = ['User-Agent', 'Open AnyConnect VPN Agent v9.01'] as const;
    for (const hosts of [
      ['array', 'nc', 'f5', 'anyconnect'],
      ['anyconnect', 'nc', 'f5', 'array'],
    ] as const) {
      assert.equal(vendorOf(hosts, 'POST', '/prx/000/http/localhost/login', [agent]), 'array');
      assert.equal(vendorOf(hosts, 'GET', '/vpntunnel', [agent]), 'array');
      assert.equal(vendorOf(hosts, 'GET', '/x', [agent, ['Cookie', 'ANsession0123456789=abc']]), 'array');
      assert.equal(vendorOf(hosts, 'GET', '/', [agent, ['NCP-Version', '3']]), 'nc');
      assert.equal(vendorOf(hosts, 'GET', '/dana-na/auth/url_default/welcome.cgi', [agent]), 'nc');
      assert.equal(vendorOf(hosts, 'GET', '/my.policy', [agent]), 'f5');
      assert.equal(vendorOf(hosts, 'POST', '/', [agent]), 'anyconnect');
      assert.equal(vendorOf(hosts, 'CONNECT', '/CSCOSSLC/tunnel', [agent]), 'anyconnect');
    }
  });

  it('are told apart by the list’s order where one name is all that there is', () => {
    const agent = ['User-Agent', 'Open AnyConnect VPN Agent v9.01'] as const;
    assert.equal(vendorOf(['f5', 'anyconnect'], 'GET', '/', [agent]), 'f5');
    assert.equal(vendorOf(['anyconnect', 'f5'], 'GET', '/', [agent]), 'anyconnect');
  });

  it('are the default where nobody can tell', () => {
    for (const target of ['/', '/favicon.ico']) {
      assert.equal(vendorOf(['fortinet', 'anyconnect'], 'GET', target, [['User-Agent', 'curl/8']]), 'fortinet');
    }
    assert.equal(vendorOf(['anyconnect', 'fortinet'], 'GET', '/', [['User-Agent', 'curl/8']]), 'anyconnect');
    assert.equal(vendorOf(['anyconnect'], 'GET', '/remote/login'), 'anyconnect', 'a vendor that is off is not there');
  });

  it('are named by words, each once', () => {
    assert.deepEqual(parseProtocols(['Fortinet', 'anyconnect', 'fortinet']), ['fortinet', 'anyconnect']);
    assert.match(String(parseProtocols(['nullppp'])), /'nullppp' is not one of anyconnect, /);
    assert.match(String(parseProtocols([])), /is needed/);
  });
});
