import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../src/core/errors.ts';
import { matchFingerprint, pinOf } from '../../../src/node/trust/fingerprints.ts';

/** Self-signed P-256 certificate for "sallyport.test". Made with: openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 */
const PEM = `-----BEGIN CERTIFICATE-----
MIIBijCCAS+gAwIBAgIUUA//3Oa4nliomS6+okXyKQLs1xkwCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOc2FsbHlwb3J0LnRlc3QwIBcNMjYxMTIzMTUzMTQ5WhgPMjA1
MTA3MTUxNTMxNDlaMBkxFzAVBgNVBAMMDnNhbGx5cG9ydC50ZXN0MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEU4UbWNCfpBVzuS+d0m1FgFi6dokz6muWs/XWuhWW
4sGytJ06N0r64aEWnxFzPa1NkFxShadRllw1xiqoca1mUqNTMFEwHQYDVR0OBBYE
FB/0rzbzr8M8ybCQ0OSWH610NL8FMB8GA1UdIwQYMBaAFB/0rzbzr8M8ybCQ0OSW
H610NL8FMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSQAwRgIhAPeTgGMr
//CIAPMQep/UcNb1rB2UBGaOW57ncW310VYBAiEA7P+0MCpAKWdzYMSTx3zYJVhT
c+guTIZNDky16kqR20Q=
-----END CERTIFICATE-----`;
const CERTIFICATE = new X509Certificate(PEM).raw;

// What `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum` (and sha1sum) say, and `sha1sum` of the certificate in DER.
const PIN = 'ExoWWb1lyUSIORzXdkAqHnNvNZS4biQQpZSjYWHrL3E=';
const KEY_SHA256 = '131a1659bd65c94488391cd776402a1e736f3594b86e2410a594a36161eb2f71';
const KEY_SHA1 = 'b7d50df0fcb9354d6130eddc37552bc808bd2d74';
const CERTIFICATE_SHA1 = '3227652dae935b2afaf4418278971035b005d250';

const TOO_SHORT = 'The size of the provided fingerprint is less than the minimum required (4).';
const matches = (fingerprint: string) => matchFingerprint(fingerprint, CERTIFICATE).matches;

describe('pin', () => {
  it('is the SHA-256 of the public key', () => {
    assert.equal(pinOf(CERTIFICATE), `pin-sha256:${PIN}`);
  });

  it('is over the key as it stands in the certificate', () => {
    const exported = new X509Certificate(PEM).publicKey.export({ type: 'spki', format: 'der' });
    assert.equal(pinOf(CERTIFICATE), `pin-sha256:${createHash('sha256').update(exported).digest('base64')}`);
  });

  it('throws nothing but its own errors, whatever the bytes', () => {
    const bytes = fc.tuple(fc.nat({ max: CERTIFICATE.length }), fc.nat({ max: CERTIFICATE.length - 1 }), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(bytes, ([length, at, value]) => {
        const damaged = Buffer.from(CERTIFICATE);
        damaged[at] = value;
        try {
          pinOf(damaged.subarray(0, length));
        } catch (error) {
          assert.ok(error instanceof SallyportError);
        }
      }),
    );
  });
});

describe('fingerprint', () => {
  // Each line was tried with openconnect 9.01.
  const table: readonly (readonly [description: string, fingerprint: string, matches: boolean])[] = [
    ['pin', `pin-sha256:${PIN}`, true],
    ['pin without its padding', `pin-sha256:${PIN.replace('=', '')}`, true],
    ['beginning of a pin, four characters', `pin-sha256:${PIN.slice(0, 4)}`, true],
    ['pin in other case', `pin-sha256:${PIN.toUpperCase()}`, false],
    ['pin with too much at its end', `pin-sha256:${PIN}=`, false],
    ['SHA-256 of the key', `sha256:${KEY_SHA256}`, true],
    ['SHA-256 of the key in upper case', `sha256:${KEY_SHA256.toUpperCase()}`, true],
    ['beginning of the SHA-256 of the key', `sha256:${KEY_SHA256.slice(0, 4)}`, true],
    ['SHA-256 of the key with too much at its end', `sha256:${KEY_SHA256}0`, false],
    ['SHA-1 of the key', `sha1:${KEY_SHA1}`, true],
    ['SHA-1 of the key in upper case', `sha1:${KEY_SHA1.toUpperCase()}`, true],
    ['beginning of the SHA-1 of the key, odd length', `sha1:${KEY_SHA1.slice(0, 5)}`, true],
    ['SHA-1 of the certificate under the tag of the key’s', `sha1:${CERTIFICATE_SHA1}`, false],
    ['SHA-1 of the certificate', CERTIFICATE_SHA1, true],
    ['SHA-1 of the certificate in upper case', CERTIFICATE_SHA1.toUpperCase(), true],
    ['beginning of the SHA-1 of the certificate', CERTIFICATE_SHA1.slice(0, 4), true],
    ['SHA-1 of the certificate with too much at its end', `${CERTIFICATE_SHA1}0`, false],
    ['SHA-1 of the certificate written as a number', `0x${CERTIFICATE_SHA1}`, false],
    ['SHA-1 of the key without a tag', KEY_SHA1, false],
    ['something else', 'zzzz', false],
  ];
  for (const [description, fingerprint, expected] of table) {
    it(`${expected ? 'matches' : 'does not match'}: ${description}`, () => {
      assert.deepEqual(matchFingerprint(fingerprint, CERTIFICATE), { matches: expected });
    });
  }

  it('is refused with a complaint if it is shorter than four characters', () => {
    for (const fingerprint of [
      '',
      CERTIFICATE_SHA1.slice(0, 3),
      'sha1:',
      `sha1:${KEY_SHA1.slice(0, 3)}`,
      'sha256:',
      `pin-sha256:${PIN.slice(0, 3)}`,
    ]) {
      assert.deepEqual(matchFingerprint(fingerprint, CERTIFICATE), { matches: false, complaint: TOO_SHORT });
    }
  });

  it('is refused with a complaint if its tag is unknown; tags have one case', () => {
    const colons = CERTIFICATE_SHA1.replace(/(..)(?=.)/g, '$1:');
    for (const fingerprint of ['md5:abcd', `SHA256:${KEY_SHA256}`, `PIN-SHA256:${PIN}`, colons, ':abcd']) {
      assert.deepEqual(matchFingerprint(fingerprint, CERTIFICATE), {
        matches: false,
        complaint: `Unknown certificate hash: ${fingerprint}.`,
      });
    }
  });

  it('matches with every beginning that is long enough, and with none that has another character', () => {
    const forms = fc.constantFrom(`pin-sha256:${PIN}`, `sha256:${KEY_SHA256}`, `sha1:${KEY_SHA1}`, CERTIFICATE_SHA1);
    fc.assert(
      fc.property(forms, fc.nat(), fc.nat(), (form, length, at) => {
        const tag = form.indexOf(':') + 1;
        const cut = form.slice(0, tag + 4 + (length % (form.length - tag - 3)));
        assert.ok(matches(cut));
        const spoilt = tag + (at % (cut.length - tag));
        assert.ok(!matches(`${cut.slice(0, spoilt)}!${cut.slice(spoilt + 1)}`));
      }),
    );
  });
});
