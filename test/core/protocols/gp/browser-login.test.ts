/** What a browser has at the end of a log-in, in each of the forms of the specification, and what is none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerRefusedError } from '../../../../src/core/errors.ts';
import { isExpectedUser, readBrowserAnswer, renderCallback, tagsOf } from '../../../../src/core/protocols/gp/browser-login.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { toBase64, utf8 } from '../../../../src/core/wire/text.ts';
import { toleratingOwnErrors } from '../../../support/own-errors.ts';

/** Spec 4.3. */
const VECTOR =
  'PGh0bWw+PCEtLSA8c2FtbC1hdXRoLXN0YXR1cz4xPC9zYW1sLWF1dGgtc3RhdHVzPjxwcmVsb2dpbi1jb29raWU+cHJlbG9naW4tY29va2llPC9wcmVsb2dpbi1jb29raWU+PHNhbWwtdXNlcm5hbWU+eHl6QGVtYWlsLmNvbTwvc2FtbC11c2VybmFtZT4gLS0+PC9odG1sPg==';

function read(copied: string) {
  const answer = readBrowserAnswer(copied);
  return answer && [answer.user, answer.field, answer.secret.reveal()];
}

describe('what a browser has brought', () => {
  const expected = ['xyz@email.com', 'prelogin-cookie', 'prelogin-cookie'];

  it('is read of the address that leads back, however it was copied', () => {
    for (const copied of [
      `globalprotectcallback:${VECTOR}`,
      `globalprotectcallback:/${VECTOR}`,
      `  GlobalProtectCallback:${VECTOR}\n`,
      `globalprotectcallback:${encodeURIComponent(VECTOR)}`,
      `<html><a href="globalprotectcallback:${VECTOR}">Go on</a></html>`,
      `<a href="globalprotectcallback:${VECTOR.replaceAll('+', '&#43;').replaceAll('=', '&#x3D;')}">Go on</a>`,
    ]) {
      assert.deepEqual(read(copied), expected, copied);
    }
  });

  it('is read of the source of the last page', () => {
    const tags =
      '<saml-auth-status>1</saml-auth-status><prelogin-cookie>ab+/cd==</prelogin-cookie><saml-username>alice</saml-username><saml-slo>no</saml-slo>';
    assert.deepEqual(read(`<html><body>Done</body><!-- ${tags} --></html>`), ['alice', 'prelogin-cookie', 'ab+/cd==']);
    const other = tags.replaceAll('prelogin-cookie', 'portal-userauthcookie');
    assert.deepEqual(read(other), ['alice', 'portal-userauthcookie', 'ab+/cd==']);
  });

  it('is a token of the authentication service', () => {
    const plain = 'cas-as=1&un=alice%40corp&token=abc.def';
    for (const payload of [plain, encodeURIComponent(plain), plain.replaceAll('&', '&amp;'), plain.replaceAll('=', '&#61;')]) {
      assert.deepEqual(read(`globalprotectcallback:${payload}`), ['alice@corp', 'token', 'abc.def'], payload);
    }
  });

  it('is a log-in of who was expected, whether or not both say a domain', () => {
    for (const [user, expected, isRight] of [
      ['alice', 'alice', true],
      ['Alice', 'aLICE', true],
      ['alice@corp.example', 'alice', true],
      ['alice', 'alice@corp.example', true],
      ['alice@corp', 'CORP\\alice', true],
      ['alice@corp.example', 'alice@other.example', false],
      ['OTHER\\alice', 'CORP\\alice', false],
      ['bob', 'alice', false],
      ['alice2@corp', 'alice', false],
      ['alice@bob', 'bob', false],
    ] as const) {
      assert.equal(isExpectedUser(user, expected), isRight, `${user} for ${expected}`);
    }
  });

  it('is a refusal, or nothing', () => {
    for (const copied of ['<saml-auth-status>-1</saml-auth-status>', 'globalprotectcallback:cas-as=0&un=a&token=abcdef']) {
      assert.throws(() => read(copied), PeerRefusedError, copied);
    }
    const tags = (user: string, cookie: string) => tagsOf(user, new Secret(cookie));
    for (const copied of [
      '',
      'globalprotectcallback:',
      'globalprotectcallback:%%%',
      'a page',
      tags('', 'abcdef'),
      tags('alice', 'short'),
      tags('alice', 'with blank'),
    ]) {
      assert.equal(read(copied), undefined, copied);
    }
  });

  it('is what our own last page says, whatever the name', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[!-~é]([ -~é]{0,18}[!-~é])?$/), fc.stringMatching(/^[!-~]{6,60}$/), (user, cookie) => {
        const secret = new Secret(cookie);
        assert.deepEqual(read(renderCallback(user, secret).reveal()), [user, 'prelogin-cookie', secret.reveal()]);
      }),
    );
  });

  it('throws nothing but its own errors', () => {
    const word = fc.constantFrom(
      'globalprotectcallback:',
      'cas-as=1&',
      'token=abcdef',
      '<saml-auth-status>',
      '1',
      '</saml-auth-status>',
      '%',
      toBase64(utf8('<prelogin-cookie>')),
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 12 }).map((words) => words.join('')),
    );
    fc.assert(fc.property(text, (copied) => toleratingOwnErrors(() => read(copied))));
  });
});
