import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError } from '../../../../src/core/errors.ts';
import { parseSessionCookie, renderSessionCookie, type SessionCookie } from '../../../../src/core/protocols/anyconnect/session-cookie.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { toBase64, utf8 } from '../../../../src/core/wire/text.ts';

function parsed(text: string): { session: string; strapKey?: Uint8Array } {
  const { session, ...others } = parseSessionCookie(new Secret(text));
  return { session: session.reveal(), ...others };
}

const KEY = utf8('key');

describe('session cookie', () => {
  it('is written as openconnect prints it', () => {
    assert.equal(renderSessionCookie({ session: new Secret('S=') }).reveal(), 'webvpn=S=');
    assert.equal(renderSessionCookie({ session: new Secret('S='), strapKey: KEY }).reveal(), 'openconnect_strapkey=a2V5; webvpn=S=');
    assert.equal(String(renderSessionCookie({ session: new Secret('S') })), '[secret]');
  });

  it('is read from a list in any order, among others', () => {
    assert.deepEqual(parsed('openconnect_strapkey=a2V5; webvpn=S='), { session: 'S=', strapKey: KEY });
    assert.deepEqual(parsed(' webvpn=S ;openconnect_strapkey=a2V5'), { session: 'S', strapKey: KEY });
    assert.deepEqual(parsed('a=b; webvpn=S; webvpnc=x\n'), { session: 'S' });
  });

  it('is read from a bare value, with or without base64’s padding', () => {
    for (const value of ['ACFOqFnKeTFwEN61f+HLbwkSWkdU+c2kjJdw76WDDAI=', 'abc==', 'plain', 'a@b'])
      assert.deepEqual(parsed(value), { session: value });
    assert.deepEqual(parsed('  plain\n'), { session: 'plain' });
  });

  it('is refused, unseen, without a session or with a key that is no base64', () => {
    for (const text of [
      '',
      '   ',
      'webvpn=',
      'a=b',
      'a=b; c=d',
      'openconnect_strapkey=a2V5',
      ';',
      '=',
      'openconnect_strapkey=!!SECRET; webvpn=S',
    ]) {
      assert.throws(
        () => parsed(text),
        (error) => {
          assert.ok(error instanceof MisuseError, text);
          assert.ok(!/SECRET|a=b/.test(`${error.message}${error.cause}`));
          return true;
        },
      );
    }
  });

  it('is read back as it was written', () => {
    const value = fc.stringMatching(/^[A-Za-z0-9+/@_-]{1,44}={0,2}$/);
    const cookie = fc.record({ session: value, strapKey: fc.option(fc.uint8Array({ minLength: 1, maxLength: 130 }), { nil: undefined }) });
    fc.assert(
      fc.property(cookie, ({ session, strapKey }) => {
        const written: SessionCookie = { session: new Secret(session), ...(strapKey !== undefined && { strapKey }) };
        const { session: read, strapKey: key } = parseSessionCookie(renderSessionCookie(written));
        assert.equal(read.reveal(), session);
        assert.equal(key && toBase64(key), strapKey && toBase64(strapKey));
      }),
    );
  });

  it('throws nothing but MisuseError, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (text) => {
        try {
          parseSessionCookie(new Secret(text));
        } catch (error) {
          assert.ok(error instanceof MisuseError);
        }
      }),
    );
  });
});
