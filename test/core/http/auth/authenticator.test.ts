import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../../src/core/errors.ts';
import { type AuthStep, HttpAuthenticator, type HttpAuthenticatorOptions } from '../../../../src/core/http/auth/authenticator.ts';
import { encodeNtlmChallenge, NTLM_FLAGS } from '../../../../src/core/http/auth/ntlm-messages.ts';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { toBase64 } from '../../../../src/core/wire/text.ts';
import { testHashes } from '../../../support/hashes.ts';

const ALICE = { username: 'alice', password: new Secret('open sesame') };
const REQUEST = { method: 'CONNECT', target: 'vpn.example:443' };
const NOW = 1_700_000_000_000;
const ALL = ['negotiate', 'ntlm', 'digest', 'bearer', 'basic'] as const;
const NTLM_ANSWER = `NTLM ${toBase64(encodeNtlmChallenge({ flags: NTLM_FLAGS.unicode, serverChallenge: new Uint8Array(8), targetInfo: new Uint8Array(0) }))}`;
const DIGEST = 'Digest realm="r", nonce="n", qop="auth"';

const responseOf = (status: number, headers: readonly (readonly [string, string])[] = []): HttpResponse => ({
  version: '1.1',
  status,
  reason: '',
  headers,
  body: new Uint8Array(0),
});

const challenge = (...values: readonly string[]) =>
  responseOf(
    401,
    values.map((value) => ['WWW-Authenticate', value]),
  );

function authenticator(options: Partial<HttpAuthenticatorOptions> = {}): HttpAuthenticator {
  return new HttpAuthenticator({ side: 'origin', crypto: testHashes(), credentials: ALICE, ...options });
}

/** The scheme that the next request is sent with. */
const schemeOf = (auth: HttpAuthenticator) => auth.authorization(REQUEST, NOW)?.[1].split(' ', 1)[0];
const messageOf = (step: AuthStep) => (step.type === 'refused' ? step.message : step.type);

describe('HTTP authentication', () => {
  it('sends nothing until it is challenged, and passes on what is no challenge', () => {
    const auth = authenticator();
    assert.equal(auth.authorization(REQUEST, NOW), undefined);
    for (const status of [200, 302, 403, 407, 500]) assert.deepEqual(auth.receive(responseOf(status), true), { type: 'passed' });
  });

  it('speaks to a proxy with the headers and the status of proxies', () => {
    const auth = authenticator({ side: 'proxy', allowed: ['basic'] });
    const asked = responseOf(407, [
      ['WWW-Authenticate', 'Digest realm="not mine"'],
      ['Proxy-Authenticate', 'Basic realm="corp"'],
    ]);
    assert.deepEqual(auth.receive(responseOf(401), true), { type: 'passed' });
    assert.deepEqual(auth.receive(asked, true), { type: 'again' });
    assert.deepEqual(auth.authorization(REQUEST, NOW), ['Proxy-Authorization', `Basic ${toBase64(Buffer.from('alice:open sesame'))}`]);
    assert.deepEqual(auth.receive(responseOf(200), true), { type: 'passed' });
    assert.equal(schemeOf(auth), 'Basic', 'the next request carries it without being asked');
  });

  it('takes the strongest scheme that is offered and allowed, in whatever order they come', () => {
    const offers = ['Basic realm="x"', `${DIGEST}, NTLM`, 'Bearer', 'Negotiate'];
    const chosen = (allowed: HttpAuthenticatorOptions['allowed']) => {
      const auth = authenticator({ bearerToken: new Secret('abc'), ...(allowed && { allowed }) });
      auth.receive(challenge(...offers), true);
      return schemeOf(auth);
    };
    assert.equal(chosen(undefined), 'NTLM');
    assert.equal(chosen(['basic', 'digest']), 'Digest');
    assert.equal(chosen(['basic', 'bearer']), 'Bearer');
    assert.equal(chosen(['basic']), 'Basic');
    assert.equal(chosen([]), undefined);
  });

  it('never sends Basic unless it was allowed', () => {
    const auth = authenticator();
    assert.match(messageOf(auth.receive(challenge('Basic realm="x"'), true)), /gateway wants.*\(Basic: it is switched off\)/);
    assert.equal(auth.authorization(REQUEST, NOW), undefined);
  });

  it('moves on to the next scheme when one is rejected, and says in the end why each did not do', () => {
    const auth = authenticator({ allowed: ALL, bearerToken: new Secret('abc') });
    const offers = ['Negotiate', 'NTLM', DIGEST, 'Bearer', 'Basic realm="x"', 'Hawk'];
    const used: string[] = [];
    let step = auth.receive(challenge(...offers), true);
    while (step.type === 'again') {
      const [, value] = auth.authorization(REQUEST, NOW) ?? ['', ''];
      used.push(value.split(' ', 1)[0] ?? '');
      const isFirstNtlmMessage = value.startsWith('NTLM TlRMTVNTUAAB');
      step = auth.receive(isFirstNtlmMessage ? challenge(NTLM_ANSWER) : challenge(...offers), true);
    }
    assert.deepEqual(used, ['NTLM', 'NTLM', 'Digest', 'Bearer', 'Basic']);
    const message = messageOf(step);
    const reasons = [
      'Negotiate: it needs Kerberos',
      'NTLM: the name or password',
      'Digest: the name',
      'Bearer: the token',
      'Basic: the name',
      'hawk: it',
    ];
    for (const reason of reasons) assert.ok(message.includes(reason), `"${message}" has "${reason}"`);
    assert.ok(!message.includes('sesame') && !message.includes('abc'));
  });

  it('says so where only Negotiate is offered', () => {
    assert.match(
      messageOf(authenticator({ side: 'proxy' }).receive(responseOf(407, [['Proxy-Authenticate', 'Negotiate']]), true)),
      /^The proxy wants.*Kerberos \(GSSAPI\), which is not built in/,
    );
  });

  it('says so where nothing is offered', () => {
    assert.match(messageOf(authenticator().receive(challenge(), true)), /does not say which/);
  });

  it('moves on when the scheme in use is no longer offered', () => {
    const auth = authenticator({ allowed: ALL });
    auth.receive(challenge(DIGEST), true);
    schemeOf(auth);
    assert.equal(auth.receive(challenge('Basic realm="x"'), true).type, 'again');
    assert.equal(schemeOf(auth), 'Basic');
  });

  it('logs one connection in with NTLM, and the next one anew', () => {
    const auth = authenticator();
    assert.equal(auth.receive(challenge('NTLM'), false).type, 'again', 'the first challenge may close the connection');
    auth.connectionOpened();
    assert.equal(schemeOf(auth), 'NTLM');
    assert.equal(auth.receive(challenge(NTLM_ANSWER), true).type, 'again');
    assert.equal(schemeOf(auth), 'NTLM');
    assert.equal(auth.receive(responseOf(200), true).type, 'passed');
    assert.equal(schemeOf(auth), undefined, 'the connection is logged in');
    auth.connectionOpened();
    assert.equal(schemeOf(auth), 'NTLM');
  });

  it('gives NTLM up when its connection does not stay open', () => {
    const auth = authenticator();
    auth.receive(challenge('NTLM', DIGEST), true);
    schemeOf(auth);
    assert.equal(auth.receive(challenge(NTLM_ANSWER, DIGEST), false).type, 'again');
    assert.equal(schemeOf(auth), 'Digest');
  });

  it('asks for a name and a password when the first scheme needs them, and takes them for all', () => {
    const { credentials: _, ...noCredentials } = { side: 'origin', crypto: testHashes(), credentials: ALICE, allowed: ALL } as const;
    const auth = new HttpAuthenticator(noCredentials);
    assert.deepEqual(auth.receive(challenge('Digest realm="corp", nonce=n'), true), { type: 'ask', scheme: 'digest', realm: 'corp' });
    assert.equal(auth.authorization(REQUEST, NOW), undefined);
    assert.deepEqual(auth.answer(ALICE), { type: 'again' });
    assert.equal(schemeOf(auth), 'Digest');
    assert.equal(auth.receive(challenge('Basic realm=x'), true).type, 'again');
  });

  it('asks for nothing where a token will do, or nothing will', () => {
    const { credentials: _, ...noCredentials } = { side: 'origin', crypto: testHashes(), credentials: ALICE } as const;
    const withToken = new HttpAuthenticator({ ...noCredentials, allowed: ['bearer'], bearerToken: new Secret('a.b-c=') });
    assert.equal(withToken.receive(challenge('Bearer realm="x", error="invalid_request"'), true).type, 'again');
    assert.deepEqual(withToken.authorization(REQUEST, NOW), ['Authorization', 'Bearer a.b-c=']);
    assert.match(messageOf(withToken.receive(challenge('Bearer error="invalid_token"'), true)), /Bearer: the token was not accepted/);
    assert.equal(new HttpAuthenticator(noCredentials).receive(challenge('Basic realm=x, Negotiate'), true).type, 'refused');
  });

  it('keeps a token from a proxy, and says when there is none', () => {
    const proxy = authenticator({ side: 'proxy', allowed: ['bearer'], bearerToken: new Secret('abc') });
    assert.match(messageOf(proxy.receive(responseOf(407, [['Proxy-Authenticate', 'Bearer']]), true)), /not for proxies/);
    assert.match(messageOf(authenticator({ allowed: ['bearer'] }).receive(challenge('Bearer'), true)), /there is no token/);
  });

  it('does not send what a header cannot hold', () => {
    const wrong = [
      { allowed: ['basic'], credentials: { username: 'a:b', password: new Secret('x') } },
      { allowed: ['basic'], credentials: { username: 'a', password: new Secret('x\r\ny') } },
      { allowed: ['digest'], credentials: { username: 'a\r\nb', password: new Secret('x') } },
      { allowed: ['bearer'], bearerToken: new Secret('a b') },
    ] as const;
    for (const options of wrong) {
      const step = authenticator(options).receive(challenge('Basic realm=x', DIGEST, 'Bearer'), true);
      assert.match(messageOf(step), /characters/);
    }
  });

  it('writes name and password for Basic as UTF-8', () => {
    const auth = authenticator({ allowed: ['basic'], credentials: { username: 'test', password: new Secret('123£') } });
    auth.receive(challenge('Basic realm="foo", charset="UTF-8"'), true);
    assert.equal(auth.authorization(REQUEST, NOW)?.[1], 'Basic dGVzdDoxMjPCow=='); // RFC 7617, section 2.1
  });

  it('never goes on for ever, even if every nonce is stale', () => {
    const auth = authenticator();
    let rounds = 0;
    let step: AuthStep = { type: 'again' };
    while (step.type === 'again') {
      auth.authorization(REQUEST, NOW);
      step = auth.receive(challenge(`Digest realm=r, nonce=${++rounds}, stale=true`), true);
      assert.ok(rounds < 100, 'it ends');
    }
    assert.match(messageOf(step), /did not end after 12 rounds/);
  });

  it('counts rounds anew after a success', () => {
    const auth = authenticator();
    for (let i = 0; i < 50; i++) {
      assert.equal(auth.receive(challenge(`Digest realm=r, nonce=${i}, stale=true`), true).type, 'again');
      auth.authorization(REQUEST, NOW);
      auth.receive(responseOf(200), true);
    }
  });

  it('ends, and throws nothing but its own errors, whatever a server sends', () => {
    const header = fc.oneof(
      fc.constantFrom(
        'NTLM',
        NTLM_ANSWER,
        'NTLM AAAA',
        DIGEST,
        'Digest nonce=2, stale=true',
        'Basic realm=x',
        'Bearer',
        'Negotiate',
        'Negotiate abc=',
        'Other',
        '',
      ),
      fc.string({ maxLength: 12 }),
    );
    const answer = fc.tuple(fc.constantFrom(401, 401, 401, 200), fc.array(header, { maxLength: 3 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 30 }), fc.subarray([...ALL]), (answers, allowed) => {
        const auth = authenticator({ allowed, bearerToken: new Secret('abc') });
        try {
          for (const [status, values, isKept] of answers) {
            const sent = auth.authorization(REQUEST, NOW);
            if (sent !== undefined)
              assert.ok(
                allowed.some((name) => sent[1].toLowerCase().startsWith(name)),
                'only allowed schemes are sent',
              );
            const step = auth.receive(
              responseOf(
                status,
                values.map((value) => ['WWW-Authenticate', value]),
              ),
              isKept,
            );
            if (step.type === 'again' && !isKept) auth.connectionOpened();
          }
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      }),
      { numRuns: 500 },
    );
  });
});
