import assert from 'node:assert/strict';
import { createPrivateKey, sign } from 'node:crypto';
import { describe, it } from 'node:test';
import type { UserCertificate } from '../../../../src/core/auth/login-io.ts';
import { PeerMisbehavedError } from '../../../../src/core/errors.ts';
import { certificateReply } from '../../../../src/core/protocols/anyconnect/certificate-reply.ts';
import { fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import { failToLogIn, logIn } from '../../../support/anyconnect-login.ts';
import { askUser, formOf, USERNAME } from '../../../support/login-flows/flow.ts';
import { documentOf, init, legacyStart, on, reply, success } from '../../../support/login-script.ts';
import { missing } from '../../../support/requirements.ts';
import { SECOND_CERTIFICATE, verifySecondCertificate } from '../../../support/second-certificate.ts';
import { throwawayCertificate } from '../../../support/throwaway-certificate.ts';

/** What is signed shows in what it gives. */
function recordingCertificate(): UserCertificate & { readonly signed: [string, string][] } {
  const signed: [string, string][] = [];
  return {
    signed,
    chain: [utf8('leaf')],
    sign: async (hash, data) => {
      signed.push([hash, fromUtf8(data)]);
      return utf8('signature');
    },
  };
}

describe('answer to the request for a second certificate', () => {
  it('signs the exact bytes that came, with the strongest hash that both sides know', async () => {
    const certificate = recordingCertificate();
    for (const [offered, hash] of [
      [['sha256', 'sha512', 'sha384'], 'sha512'],
      [['sha256', 'sha384', 'md5'], 'sha384'],
      [['sha256'], 'sha256'],
    ] as const) {
      const answer = await certificateReply(certificate, offered, utf8('<a>\r\n é </a>'));
      assert.equal(answer.hash, hash);
      assert.deepEqual(certificate.signed.at(-1), [hash, '<a>\r\n é </a>']);
      assert.equal(fromUtf8(answer.signature), 'signature');
    }
  });

  it('is none where no hash is known to both', async () => {
    await assert.rejects(certificateReply(recordingCertificate(), ['sha1', 'x\u001b[0m'], utf8('')), {
      name: 'PeerMisbehavedError',
      message: /with sha1, x\[0m; known are sha512, sha384, sha256/,
    });
    await assert.rejects(certificateReply(recordingCertificate(), [], utf8('')), PeerMisbehavedError);
  });
});

const REQUEST = documentOf(
  '<opaque is-for="sg">o</opaque><multiple-client-cert-request><hash-algorithm>sha256</hash-algorithm><hash-algorithm>sha512</hash-algorithm>' +
    '<random>0123456789</random></multiple-client-cert-request><cert-authenticated/>',
);

describe('AnyConnect log-in with two certificates', { skip: missing('openssl') }, () => {
  for (const keyType of ['rsa', 'ec'] as const) {
    it(`proves a certificate with an ${keyType.toUpperCase()} key over the body of the request, where that came from`, async () => {
      const user = throwawayCertificate(keyType);
      const issuer = throwawayCertificate('ec');
      const userCertificate: UserCertificate = {
        chain: [user.der, issuer.der],
        sign: async (hash, data) => new Uint8Array(sign(hash, data, createPrivateKey(user.keyPem))),
      };
      const { io } = await logIn(
        [
          on(init('/grp', { isFresh: true }), REQUEST),
          on(reply('/grp', SECOND_CERTIFICATE, { isFresh: true }), documentOf(formOf(USERNAME))),
          askUser,
          on(reply('/auth', '<opaque is-for="sg">o</opaque><auth><username>alice</username></auth>'), success()),
        ],
        { server: 'vpn.example/grp', io: { hasClientCertificate: true, userCertificate } },
      );
      const [first, second] = io.requests.map(({ body }) => body ?? utf8(''));
      assert.match(fromUtf8(first ?? utf8('')), /<auth-method>multiple-cert<\/auth-method>/);
      assert.match(fromUtf8(second ?? utf8('')), /<\/capabilities><session-token\/><session-id\/><opaque is-for="sg">o<\/opaque><auth>/);
      const { chain, hash } = verifySecondCertificate(second ?? utf8(''), REQUEST.body);
      assert.equal(hash, 'sha512');
      assert.deepEqual(chain, [Buffer.from(user.der), Buffer.from(issuer.der)]);
    });
  }
});

describe('AnyConnect log-in that is asked for a second certificate', () => {
  it('ends with the error that follows it', async () => {
    await failToLogIn(
      [
        on(init('/'), REQUEST),
        on(reply('/', SECOND_CERTIFICATE), documentOf(`<error param1="unknown user">No: %s</error>${formOf(USERNAME)}`)),
      ],
      { name: 'PeerRefusedError', message: /refused the second certificate: No: unknown user/ },
      { io: { userCertificate: recordingCertificate() } },
    );
  });

  it('ends where there is none', async () => {
    await failToLogIn([on(init('/'), REQUEST)], { name: 'PeerRefusedError', message: /--mca-certificate/ });
  });

  it('has four tries to get so far', async () => {
    const again = documentOf('<client-cert-request/>');
    const lacking = { rest: '<client-cert-fail/>' };
    await logIn(
      [on(init('/'), again), ...Array.from({ length: 3 }, () => on(init('/', lacking), again)), on(legacyStart('/'), success())],
      {
        io: { userCertificate: recordingCertificate() },
      },
    );
  });
});
