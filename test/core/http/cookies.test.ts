import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { MisuseError, PeerMisbehavedError } from '../../../src/core/errors.ts';
import { CookieJar, MAX_COOKIE_CHARACTERS, MAX_COOKIES, parseCookies, parseSetCookie } from '../../../src/core/http/cookies.ts';
import type { HttpHeaders } from '../../../src/core/http/message.ts';
import { Secret } from '../../../src/core/secret.ts';

const setCookies = (...values: readonly string[]): HttpHeaders => values.map((value) => ['Set-Cookie', value]);

function jarOf(...values: readonly string[]): CookieJar {
  const jar = new CookieJar();
  jar.store(setCookies(...values));
  return jar;
}

describe('Set-Cookie', () => {
  it('gives a name and a value; attributes are dropped', () => {
    assert.deepEqual(parseSetCookie('webvpn=AC1r+K/x==; Secure; HttpOnly'), { name: 'webvpn', value: 'AC1r+K/x==' });
    assert.deepEqual(parseSetCookie(' a \t=  "b c" ;path=/'), { name: 'a', value: '"b c"' });
    assert.deepEqual(parseSetCookie('webvpncontext=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/'), { name: 'webvpncontext', value: '' });
  });

  it('gives nothing without a name', () => {
    for (const value of ['', ';', 'Secure', '=x', ' =x; path=/', 'flag; a=b']) assert.equal(parseSetCookie(value), undefined);
  });
});

describe('the cookie jar', () => {
  it('holds what ocserv sets at the end of a log-in', () => {
    const jar = jarOf(
      'webvpncontext=ACl6; Secure; HttpOnly',
      'webvpn=ACl6; Secure; HttpOnly',
      'webvpnc=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly',
      'webvpnc=bu:/&p:t&iu:1/&sh:DAF0; path=/; Secure; HttpOnly',
    );
    assert.equal(jar.header(), 'webvpncontext=ACl6; webvpn=ACl6; webvpnc=bu:/&p:t&iu:1/&sh:DAF0');
  });

  it('is flat: the last value of a name wins, whatever its path and domain', () => {
    const jar = jarOf('a=1; path=/x', 'b=2', 'a=3; path=/y; domain=elsewhere.example');
    assert.equal(jar.header(), 'a=3; b=2');
    assert.deepEqual(jar.names(), ['a', 'b']);
  });

  it('deletes a cookie that is set empty, and tells names apart by case', () => {
    const jar = jarOf('a=1', 'A=2', 'a=');
    assert.equal(jar.header(), 'A=2');
    assert.equal(jar.get('a'), undefined);
    assert.equal(jar.size, 1);
  });

  it('has no header when it is empty or was cleared', () => {
    const jar = jarOf('a=1');
    jar.clear();
    assert.equal(jar.header(), undefined);
  });

  it('takes cookies of our own, but none that would break out of the header', () => {
    const jar = new CookieJar();
    jar.set('sdesktop', new Secret('token=='));
    jar.set('flag', '1');
    jar.set('flag', '');
    assert.equal(jar.header(), 'sdesktop=token==');
    for (const [name, value] of [
      ['', 'x'],
      ['a=b', 'x'],
      ['a;b', 'x'],
      ['a b', 'x'],
      ['a', 'x;y'],
      ['a', 'x\r\ny'],
      ['a', '\u0000'],
    ] as const) {
      assert.throws(() => jar.set(name, value), MisuseError);
    }
  });

  it('shows no value where it is printed', () => {
    const jar = jarOf('webvpn=top-secret');
    assert.equal(jar.get('webvpn')?.reveal(), 'top-secret');
    assert.ok(!`${inspect(jar)}${JSON.stringify(jar)}${jar.get('webvpn')}`.includes('top-secret'));
  });

  it('has limits to number and size', () => {
    const many = Array.from({ length: MAX_COOKIES }, (_, i) => `c${i}=x`);
    assert.equal(jarOf(...many).size, MAX_COOKIES);
    assert.throws(() => jarOf(...many, 'one=more'), PeerMisbehavedError);
    assert.equal(jarOf(`a=${'x'.repeat(MAX_COOKIE_CHARACTERS - 1)}`).size, 1);
    assert.throws(() => jarOf(`a=${'x'.repeat(MAX_COOKIE_CHARACTERS)}`), PeerMisbehavedError);
  });

  it('sends what a gateway reads back', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/);
    const value = fc.stringMatching(/^[!#-+--:<-~]{1,12}$/);
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 10 }), (cookies) => {
        const jar = new CookieJar();
        for (const [key, text] of cookies) jar.set(key, text);
        assert.deepEqual(
          parseCookies(jar.header() ?? ''),
          cookies.map(([key, text]) => ({ name: key, value: text })),
        );
      }),
    );
  });
});
