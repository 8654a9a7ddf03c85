import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXIT } from '../../../src/cli/sallyport/exit-codes.ts';
import { explainError, explainOutcome, NO_ANSWER, type Stage, sentence } from '../../../src/cli/sallyport/explanation.ts';
import { CertificateNotTrustedError } from '../../../src/client/server-trust.ts';
import { DEVICE_FAILED } from '../../../src/client/vpn-session.ts';
import {
  CancelledError,
  MisuseError,
  NetworkError,
  PeerMisbehavedError,
  PeerRefusedError,
  SallyportError,
  UnsupportedError,
} from '../../../src/core/errors.ts';
import type { Outcome } from '../../../src/core/session/session-machine.ts';
import { CredentialError } from '../../../src/node/credentials/credential-error.ts';

const UNTRUSTED = { host: 'vpn.example.com', pin: 'pin-sha256:AAAA', fault: 'signer not found' };
const codeOf = (error: unknown, stage: Stage = 'logging in') => explainError(error, stage).exitCode;
const failed = (error: SallyportError): Outcome => ({ kind: 'failed', message: error.message, error });

describe('why a command ended', () => {
  it('is success after a connection that was ended on purpose, and not before there was one', () => {
    for (const kind of ['logged-off', 'detached'] as const) {
      assert.equal(explainOutcome({ kind, message: 'bye' }, 'connected').exitCode, EXIT.ok);
      assert.equal(explainOutcome({ kind, message: 'bye' }, 'connecting').exitCode, EXIT.stopped);
    }
    assert.equal(codeOf(new CancelledError()), EXIT.stopped);
    assert.equal(explainOutcome(failed(new CancelledError()), 'logging in').message, 'Stopped before the tunnel was up.');
  });

  it('tells a session that is refused from one that the gateway ended', () => {
    const error = new PeerRefusedError('no', { code: 'ERR_COOKIE_REFUSED' });
    const refused = explainOutcome({ kind: 'refused', message: 'The cookie is old', error }, 'connecting');
    assert.deepEqual(refused, {
      exitCode: EXIT.sessionRefused,
      code: 'ERR_SESSION_REFUSED',
      message: 'The cookie is old.',
      next: 'Get another cookie with "sallyport login", or connect without --cookie-stdin.',
    });
    assert.equal(
      explainOutcome({ kind: 'ended-by-peer', message: 'The administrator ended it' }, 'connected').exitCode,
      EXIT.endedByGateway,
    );
    const full = new PeerRefusedError('The gateway is full', { code: 'ERR_CONNECT_REFUSED' });
    assert.equal(explainOutcome(failed(full), 'connecting').exitCode, EXIT.endedByGateway);
  });

  it('says who has to do something', () => {
    assert.equal(codeOf(new PeerRefusedError('wrong password')), EXIT.loginFailed);
    assert.equal(codeOf(new SallyportError(NO_ANSWER, 'who are you')), EXIT.loginFailed);
    assert.equal(codeOf(new CertificateNotTrustedError(UNTRUSTED)), EXIT.notTrusted);
    assert.equal(codeOf(new NetworkError('unreachable')), EXIT.noConnection);
    assert.equal(codeOf(new NetworkError('handshake', { code: 'ERR_TLS' })), EXIT.noConnection);
    assert.equal(explainOutcome({ kind: 'failed', message: 'gone' }, 'connected').exitCode, EXIT.noConnection);
    for (const code of ['ERR_PERMISSION', 'ERR_NETWORK_SETUP', 'ERR_NETWORK_UNDO', 'ERR_JOURNAL', 'ERR_STATE_DIRECTORY', DEVICE_FAILED]) {
      assert.equal(codeOf(new SallyportError(code, 'x'), 'connecting'), EXIT.localSetup, code);
    }
    assert.equal(codeOf(new PeerMisbehavedError('no form')), EXIT.loginFailed);
    assert.equal(codeOf(new UnsupportedError('a browser is needed')), EXIT.loginFailed);
    assert.equal(codeOf(new MisuseError('no such option')), EXIT.usage);
    assert.equal(codeOf(new CredentialError('no key in it')), EXIT.usage);
    for (const error of [
      new TypeError('bug'),
      new SallyportError('ERR_INTERNAL', 'bug'),
      new PeerMisbehavedError('x'),
      new UnsupportedError('x'),
    ]) {
      assert.equal(codeOf(error, 'connecting'), EXIT.unexpected);
    }
  });

  it('comes with a next step where we know one', () => {
    assert.match(explainError(new PeerRefusedError('no'), 'logging in').next ?? '', /--group/);
    assert.match(explainError(new CertificateNotTrustedError(UNTRUSTED), 'logging in').next ?? '', /--pin.*--ca-file/);
    assert.match(
      explainError(new SallyportError('ERR_PERMISSION', 'x'), 'logging in').next ?? '',
      /sudo sallyport connect HOST --cookie-stdin/,
    );
    assert.match(explainError(new NetworkError('x', { code: 'ERR_TLS' }), 'logging in').next ?? '', /--allow-legacy tls/);
    assert.match(explainError(new Error('x'), 'logging in').next ?? '', /report/);
  });

  it('asks whether it is a gateway at all, where a web server answers', () => {
    for (const error of [
      new PeerMisbehavedError('log-in document: expected config-auth or auth, got html'),
      new PeerRefusedError('The gateway refused the log-in: HTTP/1.1 404 Not Found.'),
    ]) {
      assert.match(explainError(error, 'logging in').next ?? '', /^Is that the address of a VPN gateway\?/);
    }
  });

  it('says in plain words why a certificate is not trusted, and which key to ask about', () => {
    assert.equal(
      explainError(new CertificateNotTrustedError(UNTRUSTED), 'logging in').message,
      'The certificate of vpn.example.com is not trusted: no authority that this machine trusts has signed it. Its key is pin-sha256:AAAA.',
    );
    const { host, pin } = UNTRUSTED;
    const otherKey = explainError(new CertificateNotTrustedError({ host, pin }), 'logging in');
    assert.match(otherKey.message, /its key is none of those that you named\. Its key is pin-sha256:AAAA\.$/);
    assert.doesNotMatch(otherKey.next ?? '', /--pin/, 'whoever named a key is not told to trust any other');
    const unknown = explainError(new CertificateNotTrustedError({ host, pin, fault: 'path length exceeded' }), 'logging in');
    assert.match(unknown.message, /: path length exceeded\. /);
  });

  it('is one sentence, fit for a terminal', () => {
    assert.equal(sentence('no way '), 'No way.');
    assert.equal(sentence('Really?'), 'Really?');
    assert.equal(explainError(new PeerRefusedError('bad\u001b[2J news'), 'logging in').message, 'Bad[2J news.');
  });
});
