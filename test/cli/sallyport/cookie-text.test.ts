import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseCookie, renderCookie } from '../../../src/cli/sallyport/cookie-text.ts';
import type { Credential } from '../../../src/core/auth/login-io.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { parseServer } from '../../../src/core/http/url.ts';
import { Secret } from '../../../src/core/secret.ts';
import { parseIp } from '../../../src/core/wire/ip-address.ts';

function credential(cookie: string): Credential {
  const address = parseIp('198.51.100.2');
  assert.ok(address);
  return { gateway: parseServer('https://vpn.example.com:4443/staff'), address, pin: 'pin-sha256:AAAA', cookie: new Secret(cookie) };
}

describe('a cookie that is handed over', () => {
  it('brings along which gateway it is of, at which address, with which key', () => {
    const given = credential('abc@def');
    const line = renderCookie(given, 'json');
    assert.equal(line.indexOf('\n'), line.length - 1);
    const { cookie, from } = parseCookie(line);
    assert.equal(cookie.reveal(), 'abc@def');
    const { cookie: _cookie, ...place } = given;
    assert.deepEqual(from, place);
  });

  it('may come by itself; then nothing is known of where it is from', () => {
    const { cookie, from } = parseCookie(renderCookie(credential('abc'), 'cookie'));
    assert.equal(cookie.reveal(), 'abc');
    assert.equal(from, undefined);
  });

  it('is printed for a shell as openconnect prints it', () => {
    const text = renderCookie(credential('abc'), 'shell');
    assert.match(text, /^COOKIE='abc'$/m);
    assert.match(text, /^FINGERPRINT='pin-sha256:AAAA'$/m);
  });

  it('that is none is refused without being repeated', () => {
    for (const line of [
      '',
      '  ',
      '{',
      '{"v":1}',
      '{"v":2,"gateway":"https://x/","pin":"p","cookie":"swordfish"}',
      '{"cookie":"swordfish"',
    ]) {
      assert.throws(
        () => parseCookie(line),
        (error: unknown) => error instanceof MisuseError && !error.message.includes('swordfish') && error.cause === undefined,
      );
    }
  });

  it('is read or refused, whatever the line', () => {
    const lines = fc.oneof(
      fc.string(),
      fc.json(),
      fc
        .record({ v: fc.constant(1), gateway: fc.string(), pin: fc.string(), cookie: fc.string(), address: fc.anything() })
        .map((object) => JSON.stringify(object)),
    );
    fc.assert(
      fc.property(lines, (line) => {
        try {
          parseCookie(line);
        } catch (error) {
          assert.ok(error instanceof MisuseError, String(error));
        }
      }),
    );
  });
});
