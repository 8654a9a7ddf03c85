import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerMisbehavedError } from '../../../../src/core/errors.ts';
import { type Challenge, parseChallenges } from '../../../../src/core/http/auth/challenge.ts';
import { processorTime } from '../../../support/processor-time.ts';

/** As plain values: [scheme, token or parameters]. */
const plain = (...headers: readonly string[]) =>
  parseChallenges(headers).map(({ scheme, token, parameters }: Challenge) => [scheme, token ?? Object.fromEntries(parameters)]);

describe('challenges', () => {
  it('are read as RFC 7235 writes them, several in one header', () => {
    assert.deepEqual(plain('Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"'), [
      ['newauth', { realm: 'apps', type: '1', title: 'Login to "apps"' }],
      ['basic', { realm: 'simple' }],
    ]);
  });

  it('are read from several headers, in order', () => {
    assert.deepEqual(plain('Negotiate', 'NTLM', 'Basic realm="a, b"'), [
      ['negotiate', {}],
      ['ntlm', {}],
      ['basic', { realm: 'a, b' }],
    ]);
  });

  it('may carry a token', () => {
    assert.deepEqual(plain('NTLM TlRMTVNTUAAC==, Negotiate oRQ+/w-._~, Basic realm=x'), [
      ['ntlm', 'TlRMTVNTUAAC=='],
      ['negotiate', 'oRQ+/w-._~'],
      ['basic', { realm: 'x' }],
    ]);
  });

  it('keep commas, equals signs and escapes inside quotes apart from their own', () => {
    assert.deepEqual(plain('Digest realm="x\\\\y, Basic realm=z", qop="auth,auth-int", nonce = "a==" , stale=FALSE'), [
      ['digest', { realm: 'x\\y, Basic realm=z', qop: 'auth,auth-int', nonce: 'a==', stale: 'FALSE' }],
    ]);
  });

  it('may have empty members, blanks anywhere and names in any case', () => {
    assert.deepEqual(plain(', ,\tBASIC\t REALM="x" ,, ,DIGEST  Nonce=1,'), [
      ['basic', { realm: 'x' }],
      ['digest', { nonce: '1' }],
    ]);
  });

  it('are found behind what servers get wrong', () => {
    assert.deepEqual(plain('Basic realm=My Proxy Server, NTLM'), [
      ['basic', { realm: 'My Proxy Server' }],
      ['ntlm', {}],
    ]);
    assert.deepEqual(plain('Digest realm="a" nonce="b"'), [['digest', { realm: 'a', nonce: 'b' }]]);
    assert.deepEqual(plain('Basic realm="never closed, NTLM'), [['basic', { realm: 'never closed, NTLM' }]]);
    assert.deepEqual(plain('Basic realm="escape\\'), [['basic', { realm: 'escape' }]]);
    assert.deepEqual(plain('"?", <x>, Basic realm="x"').at(-1), ['basic', { realm: 'x' }]);
    assert.deepEqual(plain(''), []);
  });

  it('give the first of two parameters with one name', () => {
    assert.deepEqual(plain('Digest nonce=1, Nonce=2'), [['digest', { nonce: '1' }]]);
  });

  it('have limits to their number and that of their parameters', () => {
    assert.equal(parseChallenges(['a, '.repeat(32)]).length, 32);
    assert.throws(() => parseChallenges(['a, '.repeat(33)]), PeerMisbehavedError);
    const parameters = Array.from({ length: 33 }, (_, i) => `p${i}=x`);
    assert.throws(() => parseChallenges([`Basic ${parameters.join(', ')}`]), PeerMisbehavedError);
  });

  it('are read in linear time from hostile headers', () => {
    const size = 60_000;
    for (const header of [
      `x ${'a'.repeat(size)}!`,
      `x a${' '.repeat(size)}b`,
      `x a="${'\\a'.repeat(size / 2)}`,
      `x a${'='.repeat(size)}b`,
      ' '.repeat(size),
    ]) {
      const started = processorTime();
      parseChallenges([header]);
      assert.ok(processorTime() - started < 500, `${header.slice(0, 5)}… took too long`);
    }
  });

  it('throw nothing but their own errors, whatever the text', () => {
    const part = fc.oneof(
      fc.constantFrom('Basic', 'Digest ', 'realm=', '"', ',', ' ', '\\', '=', 'abc=='),
      fc.string({ unit: 'binary', maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
        try {
          for (const { scheme } of parseChallenges([parts.join('')])) assert.match(scheme, /^[^\s",=]+$/);
        } catch (error) {
          assert.ok(error instanceof PeerMisbehavedError, String(error));
        }
      }),
      { numRuns: 1000 },
    );
  });
});
