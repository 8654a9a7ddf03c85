import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { UnsupportedError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { loadClientIdentity } from '../../../src/node/credentials/client-identity.ts';
import { MAX_ITERATIONS } from '../../../src/node/credentials/password-based-encryption.ts';
import { integer, octetString, oid, sequence } from '../../support/der.ts';
import { explicit0, pkcs12Around, pkcs12OfSafes } from '../../support/key-variants.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';

const PASSWORD = 'secret';
const PBES2 = '1.2.840.113549.1.5.13';
const PBKDF2 = '1.2.840.113549.1.5.12';

describe('what is not supported', { skip: missing('openssl') }, () => {
  let pki: Pki;
  let identity: Issued;
  before(() => {
    pki = new Pki();
    identity = pki.issueClient({ keyType: 'rsa' });
  });
  after(() => pki[Symbol.dispose]());

  const write = (bytes: Uint8Array | string): string => {
    const file = pki.file('unsupported');
    writeFileSync(file, bytes);
    return file;
  };

  /** Runs `openssl` with its legacy provider; yields what it writes. */
  const openssl = (command: string, ...options: readonly string[]): Buffer =>
    execFileSync('openssl', [command, '-provider', 'legacy', '-provider', 'default', ...options], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });

  /** Loading must fail by this name, and before anybody is asked for a password. */
  async function assertNamed(key: Uint8Array | string, name: string): Promise<void> {
    const askPassword = async () => assert.fail(`asked for the password of a file that is encrypted with ${name}`);
    const expected = (error: unknown) => error instanceof UnsupportedError && error.message.includes(`${name} is not supported`);
    await assert.rejects(loadClientIdentity({ certificate: identity.certificatePath, key: write(key), askPassword }), expected, name);
  }

  it('is named: other ciphers of the traditional PEM encryption', async () => {
    const ciphers = { '-des': 'DES-CBC', '-camellia256': 'CAMELLIA-256-CBC', '-aria128': 'ARIA-128-CBC', '-seed': 'SEED-CBC' };
    for (const [option, name] of Object.entries(ciphers)) {
      await assertNamed(openssl('rsa', '-traditional', option, '-in', identity.keyPath, '-passout', `pass:${PASSWORD}`), name);
    }
  });

  it('is named: other schemes of PBES1 and PKCS #12', async () => {
    const schemes = {
      'PBE-SHA1-DES': 'pbeWithSHA1AndDES-CBC',
      'PBE-MD5-RC2-64': 'pbeWithMD5AndRC2-CBC',
      'PBE-SHA1-RC4-128': 'pbeWithSHA1And128BitRC4',
      'PBE-SHA1-RC4-40': 'pbeWithSHA1And40BitRC4',
      'PBE-SHA1-2DES': 'pbeWithSHA1And2-KeyTripleDES-CBC',
      'PBE-SHA1-RC2-128': 'pbeWithSHA1And128BitRC2-CBC',
    };
    for (const [scheme, name] of Object.entries(schemes)) {
      const key = openssl('pkcs8', '-topk8', '-v1', scheme, '-in', identity.keyPath, '-passout', `pass:${PASSWORD}`);
      await assertNamed(key, name);
    }
  });

  it('is named: other ciphers and derivations of PBES2', async () => {
    const ciphers = {
      des: 'DES-CBC',
      camellia128: 'Camellia-128-CBC',
      camellia256: 'Camellia-256-CBC',
      aria256: 'ARIA-256-CBC',
      rc2: 'RC2-CBC',
      sm4: 'SM4-CBC',
      seed: 'SEED-CBC',
      bf: 'Blowfish-CBC',
      'aes-256-cfb': 'AES-256-CFB',
    };
    for (const [cipher, name] of Object.entries(ciphers)) {
      const key = openssl('pkcs8', '-topk8', '-v2', cipher, '-in', identity.keyPath, '-passout', `pass:${PASSWORD}`);
      await assertNamed(key, `PBES2 and ${name}`);
    }
    const scrypt = openssl('pkcs8', '-topk8', '-scrypt', '-in', identity.keyPath, '-passout', `pass:${PASSWORD}`);
    await assertNamed(scrypt, 'PBES2 and scrypt');
  });

  it('is named: GOST, of which OpenSSL knows only the names', async () => {
    const parameters = sequence(octetString(Buffer.alloc(8)), sequence());
    await assertNamed(encryptedKey(pbkdf2(2000), sequence(oid('1.2.643.2.2.21'), parameters)), 'PBES2 and GOST 28147-89');
  });

  it('is given by its number where no name is known', async () => {
    await assertNamed(
      encryptedKey(pbkdf2(2000), sequence(oid('1.2.3.4.5'), octetString(Buffer.alloc(8)))),
      'PBES2 and algorithm 1.2.3.4.5',
    );
    await assertNamed(sequence(sequence(oid('1.2.3.4.6'), sequence()), octetString(Buffer.alloc(16))), 'algorithm 1.2.3.4.6');
  });

  it('is named: a pseudo-random function that PBKDF2 has elsewhere', async () => {
    const aes = sequence(oid('2.16.840.1.101.3.4.1.2'), octetString(Buffer.alloc(16)));
    await assertNamed(encryptedKey(pbkdf2(2000, '1.2.643.7.1.1.4.2'), aes), 'PBKDF2 and HMAC-GOST R 34.11-2012 (512 bits)');
  });

  it('is named in PKCS #12 too, be it for the key, for the certificates or for the MAC', async () => {
    const pair = ['-in', identity.certificatePath, '-inkey', identity.keyPath, '-passout', `pass:${PASSWORD}`];
    const withKey = openssl('pkcs12', '-export', ...pair, '-keypbe', 'PBE-SHA1-RC4-128', '-certpbe', 'NONE');
    await assertNamed(withKey, 'pbeWithSHA1And128BitRC4');
    const withCertificates = openssl('pkcs12', '-export', ...pair, '-certpbe', 'PBE-SHA1-RC2-128');
    await assertNamed(withCertificates, 'pbeWithSHA1And128BitRC2-CBC');
    const camellia = openssl('pkcs12', '-export', ...pair, '-certpbe', 'CAMELLIA-256-CBC');
    await assertNamed(camellia, 'PBES2 and Camellia-256-CBC');
    await assertNamed(openssl('pkcs12', '-export', ...pair, '-macalg', 'ripemd160'), 'a PKCS#12 MAC with RIPEMD-160');
  });

  it('is named: keys for keys, signed and foreign contents of PKCS #12', async () => {
    const envelope = sequence(oid('1.2.840.113549.1.7.3'), explicit0(sequence(integer(0))));
    await assertNamed(pkcs12OfSafes(envelope), 'PKCS#12 with data enveloped for a public key');
    const signed = sequence(integer(3), sequence(oid('1.2.840.113549.1.7.2'), explicit0(sequence(integer(1)))));
    await assertNamed(signed, 'PKCS#12 with signed data in place of a password');
  });

  it('is named: key derivations that would run for minutes', async () => {
    const aes = sequence(oid('2.16.840.1.101.3.4.1.2'), octetString(Buffer.alloc(16)));
    const slow = encryptedKey(pbkdf2(MAX_ITERATIONS + 1), aes);
    const expected = `a key derivation of ${MAX_ITERATIONS + 1} iterations`;
    await assertNamed(slow, expected);
    await assertNamed(pkcs12Around(slow, [identity.certificate.raw]), expected);
  });

  it('is named: DSA, in every format', async () => {
    const parameters = pki.file('dsa-parameters.pem');
    const key = pki.file('dsa.pem');
    execFileSync('openssl', ['dsaparam', '-out', parameters, '1024'], { stdio: 'ignore' });
    execFileSync('openssl', ['gendsa', '-out', key, parameters], { stdio: 'ignore' });
    for (const file of [
      openssl('dsa', '-in', key), // "DSA PRIVATE KEY"
      openssl('dsa', '-in', key, '-outform', 'DER'),
      openssl('pkcs8', '-topk8', '-nocrypt', '-in', key),
      openssl('pkcs8', '-topk8', '-nocrypt', '-in', key, '-outform', 'DER'),
    ]) {
      const loading = loadClientIdentity({ certificate: identity.certificatePath, key: write(file) });
      await assert.rejects(loading, /DSA keys are not supported; use an RSA or EC key$/);
    }
  });

  it('is named: keys of TPMs and of OpenSSH', async () => {
    const load = (key: Uint8Array | string) => loadClientIdentity({ certificate: identity.certificatePath, key: write(key) });
    for (const label of ['TSS KEY BLOB', 'TSS2 PRIVATE KEY']) {
      await assert.rejects(load(`-----BEGIN ${label}-----\nAAAA\n-----END ${label}-----\n`), /keys in a TPM are not supported$/);
    }
    await assert.rejects(load(sequence(oid('2.23.133.10.1.3'), integer(0x4000_0001))), /keys in a TPM are not supported$/);
    await assert.rejects(load('-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n'), /OpenSSH format/);
  });

  it('does no harm beside a certificate whose key is elsewhere', async () => {
    const scrypt = openssl('pkcs8', '-topk8', '-scrypt', '-in', identity.keyPath, '-passout', `pass:${PASSWORD}`);
    const certificate = write(scrypt + identity.certificatePem);
    assert.ok(await loadClientIdentity({ certificate, key: identity.keyPath, password: new Secret(PASSWORD) }));
  });
});

function pbkdf2(iterations: number, prf?: string): Buffer {
  const salt = octetString(Buffer.alloc(8));
  return sequence(oid(PBKDF2), sequence(salt, integer(iterations), ...(prf === undefined ? [] : [sequence(oid(prf))])));
}

/** An encrypted PKCS #8 key, as far as anybody can see who does not know how to decrypt it. */
function encryptedKey(derivation: Uint8Array, cipher: Uint8Array): Buffer {
  return sequence(sequence(oid(PBES2), sequence(derivation, cipher)), octetString(Buffer.alloc(32)));
}
