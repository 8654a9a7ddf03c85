import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseProxy } from '../../../src/cli/openconnect/proxy-address.ts';
import { parseServer, withUsergroup } from '../../../src/cli/openconnect/server-address.ts';
import { formatUrl } from '../../../src/core/http/url.ts';

const server = (host: string, port = 443, path = '/') => ({ host, port, path });

describe('server', () => {
  it('is a host with or without scheme, port and path', () => {
    assert.deepEqual(parseServer('vpn.example'), server('vpn.example'));
    assert.deepEqual(parseServer('https://vpn.example:8443/'), server('vpn.example', 8443));
    assert.deepEqual(parseServer('vpn.example/group/x'), server('vpn.example', 443, '/group/x'));
  });

  it('keeps the path verbatim, query and colons included', () => {
    assert.deepEqual(parseServer('host:443/?realms=a,b:1'), server('host', 443, '/?realms=a,b:1'));
    assert.deepEqual(parseServer('host//y'), server('host', 443, '//y'));
  });

  it('has in its path no blanks that would end a request line', () => {
    assert.deepEqual(parseServer('host/a b\t%41?c d'), server('host', 443, '/a%20b%09%41?c%20d'));
    assert.deepEqual(withUsergroup(server('host'), 'my group'), server('host', 443, '/my%20group'));
    assert.deepEqual(parseServer('host/Gr\u00fcn'), server('host', 443, '/Gr\u00fcn'));
  });

  it('takes the last colon for a port only if digits follow', () => {
    assert.deepEqual(parseServer('[2001:db8::1]:8443'), server('2001:db8::1', 8443));
    assert.deepEqual(parseServer('[2001:db8::1]'), server('2001:db8::1'));
    assert.deepEqual(parseServer('host:1x'), server('host:1x'));
  });

  it('refuses ports that are none, other schemes, an empty host and half a pair of brackets', () => {
    for (const text of ['h:', 'h:0', 'h:65536', 'h:-1', 'zz://h', '', 'https://', 'https:///x', ':443', '[::1', '[::1:443', '::1]']) {
      assert.deepEqual(parseServer(text), { error: `Failed to parse server URL '${text}'` });
    }
    for (const text of ['http://h', 'HTTPS://h', 'socks://h']) {
      assert.deepEqual(parseServer(text), { error: 'Only https:// permitted for server URL' });
    }
  });

  it('gets the path of the user group where it has none', () => {
    assert.deepEqual(withUsergroup(server('h'), 'staff'), server('h', 443, '/staff'));
    assert.deepEqual(withUsergroup(server('h', 443, '/x'), 'staff'), server('h', 443, '/x'));
    assert.deepEqual(withUsergroup(server('h'), undefined), server('h'));
  });

  it('is read back from its URL', () => {
    const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6());
    const path = fc.webPath().map((text) => `/${text.replace(/^\/+/, '')}`);
    fc.assert(
      fc.property(host, fc.integer({ min: 1, max: 65535 }), path, (name, port, suffix) => {
        const written = formatUrl(server(name, port, suffix));
        assert.deepEqual(parseServer(written), server(name, port, suffix));
      }),
    );
  });

  it('never throws, whatever the text', () => {
    const text = fc.string({ unit: fc.constantFrom('a', ':', '/', '[', ']', '1', '?', '@', ' ', 'https://', '%') });
    fc.assert(fc.property(text, (url) => void [parseServer(url), parseProxy(url)]));
  });
});

describe('proxy', () => {
  const proxyOf = (text: string) => {
    const proxy = parseProxy(text);
    if ('error' in proxy) return proxy.error;
    const { kind, host, port, credentials } = proxy;
    return `${kind} ${credentials === undefined ? '' : `${credentials.user} ${credentials.password.reveal()} `}${host} ${port}`;
  };

  it('is HTTP unless it says SOCKS', () => {
    assert.equal(proxyOf('proxy'), 'http proxy 80');
    assert.equal(proxyOf('http://proxy:3128/ignored'), 'http proxy 3128');
    assert.equal(proxyOf('socks://proxy'), 'socks5 proxy 1080');
    assert.equal(proxyOf('socks5://[::1]:9050'), 'socks5 ::1 9050');
  });

  it('may have a user and a password, percent-encoded', () => {
    assert.equal(proxyOf('http://u%41%3a:p%40q@proxy:3128'), 'http uA: p@q proxy 3128');
    assert.equal(proxyOf('u:p:q@[::1]'), 'http u p:q ::1 80');
    assert.equal(proxyOf('http://a@b:c@proxy'), 'http a@b c proxy 80');
    assert.equal(proxyOf('http://:p@proxy'), 'http  p proxy 80');
  });

  it('keeps escapes that are none, and reads bytes that are not UTF-8 as Latin-1', () => {
    assert.equal(proxyOf('http://u%zz%4:p@proxy'), 'http u%zz%4 p proxy 80');
    assert.equal(proxyOf('http://%c3%a9:%e9@proxy'), 'http é é proxy 80');
  });

  it('ignores a user without a colon', () => {
    assert.equal(proxyOf('http://u@proxy'), 'http proxy 80');
  });

  it('refuses what openconnect refuses, in its words', () => {
    for (const text of ['socks4://p', 'https://p', 'HTTP://p']) assert.equal(proxyOf(text), 'Only http or socks(5) proxies supported');
    for (const text of ['zz://p', 'p:99999', 'http://']) assert.equal(proxyOf(text), `Failed to parse proxy '${text}'`);
  });

  it('does not repeat a password that it could not read', () => {
    assert.equal(proxyOf('zz://user:secret@p'), "Failed to parse proxy 'zz://...@p'");
  });
});
