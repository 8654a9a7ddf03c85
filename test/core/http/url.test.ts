import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError, SallyportError } from '../../../src/core/errors.ts';
import { isRequestTarget } from '../../../src/core/http/tokens.ts';
import { authority, formatUrl, hostHeader, isSameServer, parseServer, resolveLocation } from '../../../src/core/http/url.ts';

describe('a server as people type it', () => {
  const cases: readonly (readonly [text: string, host: string, port: number, path: string])[] = [
    ['vpn.example', 'vpn.example', 443, '/'],
    ['https://vpn.example', 'vpn.example', 443, '/'],
    ['HTTPS://VPN.example/', 'VPN.example', 443, '/'],
    [' vpn.example:8443/group ', 'vpn.example', 8443, '/group'],
    ['vpn.example:443/?realms=a,b', 'vpn.example', 443, '/?realms=a,b'],
    ['vpn.example?secret', 'vpn.example', 443, '/?secret'],
    ['https://192.0.2.1:4443/a/b?c=%20', '192.0.2.1', 4443, '/a/b?c=%20'],
    ['[fd99::1]:4443', 'fd99::1', 4443, '/'],
    ['https://[fd99::1]/x', 'fd99::1', 443, '/x'],
    ['fd99::1', 'fd99::1', 443, '/'],
    ['vpn_1.example', 'vpn_1.example', 443, '/'],
    ['münchen.example/größe', 'xn--mnchen-3ya.example', 443, '/gr%C3%B6%C3%9Fe'],
    ['vpn.example/a b\r\nX: y', 'vpn.example', 443, '/a%20b%0D%0AX:%20y'],
  ];
  for (const [text, host, port, path] of cases) {
    it(`reads ${JSON.stringify(text)}`, () => assert.deepEqual(parseServer(text), { host, port, path }));
  }

  it('is reached by https only', () => {
    for (const text of ['http://vpn.example', 'ftp://vpn.example/', 'javascript://x']) {
      assert.throws(() => parseServer(text), new MisuseError('Only https:// permitted for server URL'));
    }
  });

  it('is refused where it names none', () => {
    for (const text of [
      '',
      'https://',
      ':443',
      'vpn.example:',
      'vpn.example:0',
      'vpn.example:65536',
      'vpn.example:44x',
      'a b',
      'me@vpn.example',
      'ü@vpn.example',
      '[::1',
      '[1.2.3.4]',
      '[fe80::1%eth0]',
      'a:1:2',
    ]) {
      assert.throws(() => parseServer(text), MisuseError, text);
    }
  });
});

describe('a Location', () => {
  const current = { host: 'vpn.example', port: 8443, path: '/dana-na/auth/welcome.cgi?p=1' };
  const cases: readonly (readonly [location: string, host: string, port: number, path: string])[] = [
    ['https://other.example/x?y=z', 'other.example', 443, '/x?y=z'],
    ['HTTPS://other.example:4443', 'other.example', 4443, '/'],
    ['https://[2001:db8::1]:444?q', '2001:db8::1', 444, '/?q'],
    ['//other.example/x', 'other.example', 443, '/x'],
    ['/abs/path?q=https://a/#fragment', 'vpn.example', 8443, '/abs/path?q=https://a/'],
    ['login.cgi', 'vpn.example', 8443, '/dana-na/auth/login.cgi'],
    ['sub/login.cgi?a=/b/../c', 'vpn.example', 8443, '/dana-na/auth/sub/login.cgi?a=/b/../c'],
    ['../x', 'vpn.example', 8443, '/dana-na/x'],
    ['../../../x/.', 'vpn.example', 8443, '/x/'],
    ['..', 'vpn.example', 8443, '/dana-na/'],
    ['?p=2', 'vpn.example', 8443, '/dana-na/auth/welcome.cgi?p=2'],
    ['', 'vpn.example', 8443, '/dana-na/auth/welcome.cgi?p=1'],
    ['#top', 'vpn.example', 8443, '/dana-na/auth/welcome.cgi?p=1'],
    ['/a b/ü', 'vpn.example', 8443, '/a%20b/%C3%BC'],
  ];
  for (const [location, host, port, path] of cases) {
    it(`leads to ${host}:${port}${path} by ${JSON.stringify(location)}`, () =>
      assert.deepEqual(resolveLocation(current, location), { host, port, path }));
  }

  it('never leads to plain HTTP or anywhere else', () => {
    for (const location of ['http://vpn.example/', 'HTTP:/x', 'ftp://x', 'javascript:alert(1)', 'file:///etc/passwd', 'data:,x']) {
      assert.throws(() => resolveLocation(current, location), /only https: is followed/);
    }
  });

  it('is refused where its host or port is not one', () => {
    for (const location of [
      'https://',
      'https:///x',
      'https:x',
      'https://a:0/',
      'https://a:99999/',
      'https://a b/',
      'https://user@host/',
      'https://[::g]/',
      '//',
    ]) {
      assert.throws(() => resolveLocation(current, location), PeerMisbehavedError, location);
    }
  });

  it('gives a target that can be sent, or an error of its own, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.constantFrom('', '/', 'https://', '//', 'https://a/'), (text, prefix) => {
        try {
          const target = resolveLocation(current, prefix + text);
          assert.ok(isRequestTarget(target.path) && target.path.startsWith('/'));
          assert.deepEqual(parseServer(formatUrl(target)), target);
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
    );
  });
});

describe('a target', () => {
  it('is written without its port where that is 443, and an IPv6 address in brackets', () => {
    const written = (host: string, port: number) => [
      hostHeader({ host, port, path: '/' }),
      authority({ host, port }),
      formatUrl({ host, port, path: '/p' }),
    ];
    assert.deepEqual(written('vpn.example', 443), ['vpn.example', 'vpn.example:443', 'https://vpn.example/p']);
    assert.deepEqual(written('vpn.example', 8443), ['vpn.example:8443', 'vpn.example:8443', 'https://vpn.example:8443/p']);
    assert.deepEqual(written('fd99::1', 443), ['[fd99::1]', '[fd99::1]:443', 'https://[fd99::1]/p']);
    assert.deepEqual(written('fd99::1', 4443), ['[fd99::1]:4443', '[fd99::1]:4443', 'https://[fd99::1]:4443/p']);
  });

  it('is on the same server as another if host, without case, and port agree', () => {
    const target = { host: 'vpn.example', port: 443, path: '/a' };
    assert.ok(isSameServer(target, { host: 'VPN.Example', port: 443, path: '/b' }));
    assert.ok(!isSameServer(target, { ...target, port: 444 }));
    assert.ok(!isSameServer(target, { ...target, host: 'vpn.example.org' }));
  });
});
