import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Secret } from '../../../src/core/secret.ts';
import { loadClientIdentity } from '../../../src/node/credentials/client-identity.ts';
import { CredentialError, WrongPasswordError } from '../../../src/node/credentials/credential-error.ts';
import { passwordForms } from '../../../src/node/credentials/password-bytes.ts';
import { openPkcs12, type Pkcs12Contents, parsePkcs12 } from '../../../src/node/credentials/pkcs12.ts';
import { asLooseBer, der, integer, octetString, oid, sequence } from '../../support/der.ts';
import { data, explicit0, pkcs12OfSafes } from '../../support/key-variants.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { sized } from '../../support/size.ts';

const PASSWORD = 'secret';
const FORMS = passwordForms(new Secret(PASSWORD), 'utf-8');

describe('PKCS #12', { skip: missing('openssl') }, () => {
  let pki: Pki;
  let identity: Issued;
  before(() => {
    pki = new Pki();
    identity = pki.issueClient({ keyType: 'ec' });
  });
  after(() => pki[Symbol.dispose]());

  function exported(...options: readonly string[]): Buffer {
    const files = ['-in', identity.certificatePath, '-inkey', identity.keyPath, '-passout', `pass:${PASSWORD}`];
    return execFileSync('openssl', ['pkcs12', '-export', '-provider', 'legacy', '-provider', 'default', ...files, ...options]);
  }

  async function opened(bytes: Uint8Array, password = PASSWORD): Promise<Pkcs12Contents | undefined> {
    return openPkcs12(parsePkcs12(bytes), passwordForms(new Secret(password), 'utf-8'));
  }

  it('has its integrity checked with every digest', async () => {
    for (const digest of ['md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512']) {
      const contents = await opened(exported('-macalg', digest));
      assert.equal(contents?.keys.length, 1, digest);
      assert.equal(contents?.certificates.length, 1, digest);
    }
  });

  it('needs no MAC iterations: without them it is one', async () => {
    assert.ok(await opened(exported('-nomaciter', '-noiter')));
  });

  it('is damaged, and the password is not wrong, if it decrypts but the MAC does not match', async () => {
    const file = exported();
    const bytes = Buffer.from(file);
    const mac = parsePkcs12(file).mac;
    assert.ok(mac !== undefined);
    const at = bytes.indexOf(mac.value);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await assert.rejects(opened(bytes), /the password decrypts it, but its MAC does not match/);
    assert.equal(await opened(bytes, 'other'), undefined);
  });

  it('has a wrong password if nothing is encrypted and the MAC does not match', async () => {
    const file = exported('-keypbe', 'NONE', '-certpbe', 'NONE');
    assert.ok(await opened(file));
    assert.equal(await opened(file, 'other'), undefined);
  });

  it('opens without a password if the empty one opens it, in either of its two forms', async () => {
    const certificate = pki.file('empty.p12');
    for (const options of [['-keypbe', 'PBE-SHA1-3DES', '-certpbe', 'PBE-SHA1-RC2-40'], []]) {
      writeFileSync(certificate, exported(...options, '-passout', 'pass:'));
      assert.ok(await loadClientIdentity({ certificate }));
      await assert.rejects(loadClientIdentity({ certificate, password: new Secret('x') }), WrongPasswordError);
    }
    assert.deepEqual(
      passwordForms(new Secret(''), 'utf-8').utf16.map((form) => form.length),
      [2, 0],
    );
  });

  it('may be loose BER, as some programs write it', async () => {
    for (const options of [
      [],
      ['-keypbe', 'NONE', '-certpbe', 'NONE', '-nomac'],
      ['-certpbe', 'PBE-SHA1-RC2-40', '-keypbe', 'PBE-SHA1-3DES'],
    ]) {
      const contents = await opened(asLooseBer(exported(...options)));
      assert.ok(contents?.certificates[0] !== undefined && identity.certificate.raw.equals(contents.certificates[0].der));
    }
  });

  it('may be PEM', async () => {
    const body = exported().toString('base64').replace(/.{64}/g, '$&\n');
    const certificate = pki.file('as.pem');
    writeFileSync(certificate, `-----BEGIN PKCS12-----\n${body}\n-----END PKCS12-----\n`);
    assert.ok(await loadClientIdentity({ certificate, password: new Secret(PASSWORD) }));
  });

  it('may have bags in bags, and bags of no concern to us', async () => {
    const crl = sequence(oid('1.2.840.113549.1.12.10.1.4'), explicit0(sequence(oid('1.2.3'), integer(1))));
    const inner = sequence(certificateBag(identity.certificate.raw), keyBag(identity), crl);
    const nested = sequence(sequence(oid('1.2.840.113549.1.12.10.1.6'), explicit0(inner)));
    const contents = await opened(pkcs12OfSafes(data(nested)));
    assert.equal(contents?.certificates.length, 1);
    assert.equal(contents?.keys.length, 1);
  });

  it('prefers the certificate that is marked as the key’s, of two for one key', async () => {
    writeFileSync(pki.file('renew.csr'), '');
    pki.openssl(['req', '-config', 'openssl.cnf', '-new', '-key', identity.keyPath, '-subj', '/CN=renewed', '-out', 'renew.csr']);
    pki.openssl(
      ['ca', '-config', 'openssl.cnf', '-batch', '-notext', '-cert', pki.root.certificatePath, '-keyfile', pki.root.keyPath].concat([
        '-days',
        '9',
        '-md',
        'sha256',
        '-in',
        'renew.csr',
        '-out',
        pki.file('renewed.pem'),
      ]),
    );
    const renewed = Buffer.from(readFileSync(pki.file('renewed.pem'), 'utf8').replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const certificate = pki.file('two.p12');
    const bags = [certificateBag(identity.certificate.raw, 1), certificateBag(renewed, 2)];
    for (const [id, expected] of [
      [1, identity.certificate.raw],
      [2, renewed],
    ] as const) {
      writeFileSync(certificate, pkcs12OfSafes(data(sequence(...bags, keyBag(identity, id)))));
      assert.deepEqual((await loadClientIdentity({ certificate })).chain[0], expected);
    }
  });

  it('has limits: how many safes and bags, and how deep', async () => {
    const empty = data(sequence());
    assert.throws(() => parsePkcs12(pkcs12OfSafes(...new Array<Buffer>(1001).fill(empty))), /more than 1000 PKCS#12 safes/);
    const other = sequence(oid('1.2.3'), explicit0(integer(1)));
    await assert.rejects(opened(pkcs12OfSafes(data(sequence(...new Array<Buffer>(1001).fill(other))))), /more than 1000 PKCS#12 bags/);
    let bags = sequence(other);
    for (let i = 0; i < 5; i++) bags = sequence(sequence(oid('1.2.840.113549.1.12.10.1.6'), explicit0(bags)));
    await assert.rejects(opened(pkcs12OfSafes(data(bags))), /nest deeper than 4 levels/);
  });

  it('is damaged if the encrypted part is no whole number of blocks', async () => {
    const file = exported();
    const { encryption, bytes } = parsePkcs12(file).safes[0] ?? {};
    assert.ok(encryption !== undefined && bytes !== undefined);
    const cut = { safes: [{ encryption, bytes: bytes.subarray(1) }] };
    await assert.rejects(openPkcs12(cut, FORMS), CredentialError);
  });
});

/**
 * Made with GnuTLS's certtool 3.7.9, which asks for 600,000 iterations:
 * certtool --to-p12 --load-privkey KEY --load-certificate CERTIFICATE --p12-name x --password secret --outder --pkcs-cipher CIPHER
 */
describe('PKCS #12 of GnuTLS', () => {
  const vector = (name: string) => path.resolve(import.meta.dirname, '../../vectors/credentials', `certtool-${name}.p12`);

  it('opens: PBES2, and the 3DES that old clients want', async () => {
    for (const cipher of sized(['aes-256'], ['aes-256', '3des-pkcs12'])) {
      const loaded = await loadClientIdentity({ certificate: vector(cipher), password: new Secret(PASSWORD) });
      assert.equal(loaded.key.asymmetricKeyType, 'ec');
    }
  });

  it('opens unasked if it was made with --null-password', async () => {
    assert.ok(await loadClientIdentity({ certificate: vector('null-password') }));
  });
});

function certificateBag(certificate: Uint8Array, id?: number): Buffer {
  const value = sequence(oid('1.2.840.113549.1.9.22.1'), explicit0(octetString(certificate)));
  return sequence(oid('1.2.840.113549.1.12.10.1.3'), explicit0(value), ...attributes(id));
}

function keyBag(identity: Issued, id?: number): Buffer {
  const key = identity.key.export({ type: 'pkcs8', format: 'der' });
  return sequence(oid('1.2.840.113549.1.12.10.1.1'), explicit0(key), ...attributes(id));
}

function attributes(id: number | undefined): Buffer[] {
  if (id === undefined) return [];
  const friendlyName = sequence(oid('1.2.840.113549.1.9.20'), der(0x31, der(0x1e, Buffer.from('x', 'utf16le').swap16())));
  return [der(0x31, friendlyName, sequence(oid('1.2.840.113549.1.9.21'), der(0x31, octetString(Uint8Array.of(id)))))];
}
