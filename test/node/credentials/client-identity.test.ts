import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { inspect } from 'node:util';
import { UnsupportedError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { type ClientIdentity, loadClientIdentity } from '../../../src/node/credentials/client-identity.ts';
import {
  CredentialError,
  PasswordNeededError,
  type ProtectedFile,
  WrongPasswordError,
} from '../../../src/node/credentials/credential-error.ts';
import { type KeyVariant, writeKeyVariants } from '../../support/key-variants.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';

const PASSWORD = 'correct horse';

describe('client identity', { skip: missing('openssl') }, () => {
  let pki: Pki;
  let intermediate: Issued;
  let rsa: Issued;
  let ec: Issued;
  /** Every format of each identity. */
  let variants: { readonly identity: Issued; readonly variant: KeyVariant }[];

  before(() => {
    pki = new Pki();
    intermediate = pki.issueAuthority();
    rsa = pki.issueClient({ keyType: 'rsa', issuer: intermediate, uid: 'test' });
    ec = pki.issueClient({ keyType: 'ec', issuer: intermediate, uid: 'test' });
    variants = [rsa, ec].flatMap((identity) => {
      const directory = mkdtempSync(pki.file('variants-'));
      const chain = [pki.root, intermediate]; // not in issuing order
      return writeKeyVariants(identity, directory, Buffer.from(PASSWORD), chain).map((variant) => ({ identity, variant }));
    });
  });
  after(() => pki[Symbol.dispose]());

  const write = (name: string, ...texts: readonly string[]): string => {
    const file = pki.file(name);
    writeFileSync(file, texts.join(''));
    return file;
  };

  /** What a variant's password is asked for. */
  const protectedFile = ({ name, certificate, key = certificate }: KeyVariant): ProtectedFile => ({
    file: key,
    format: name.startsWith('PKCS#12') ? 'PKCS#12' : name.startsWith('PKCS#8') ? 'PKCS#8' : 'PEM',
  });

  /** The first variant whose name begins so. */
  const rsaVariant = (name: string): KeyVariant => {
    const found = variants.find(({ identity, variant }) => identity === rsa && variant.name.startsWith(name));
    assert.ok(found, name);
    return found.variant;
  };

  it('comes out of every format with the right password', async () => {
    assert.ok(variants.length > 80);
    for (const { identity, variant } of variants) {
      const password = variant.isEncrypted ? new Secret(PASSWORD) : undefined;
      const loaded = await loadClientIdentity({ ...variant, password });
      assert.ok(loaded.key.equals(identity.key), variant.name);
      assert.deepEqual(loaded.chain[0], identity.certificate.raw, variant.name);
      assert.equal(loaded.notAfter.getTime(), identity.certificate.validToDate.getTime());
    }
  });

  it('needs no password where nothing is encrypted, and asks once where something is', async () => {
    for (const { variant } of variants) {
      const asked: ProtectedFile[] = [];
      const askPassword = async (what: ProtectedFile) => {
        asked.push(what);
        return new Secret(PASSWORD);
      };
      await loadClientIdentity({ ...variant, askPassword });
      assert.deepEqual(asked, variant.isEncrypted ? [protectedFile(variant)] : [], variant.name);
    }
  });

  it('says that a wrong password is wrong, in every format, and does not say the password', async () => {
    for (const { variant } of variants.filter(({ variant }) => variant.isEncrypted)) {
      for (const wrong of ['Correct horse', '']) {
        const loading = loadClientIdentity({ ...variant, password: new Secret(wrong) });
        await assert.rejects(loading, new WrongPasswordError(protectedFile(variant)), variant.name);
      }
      const asking = loadClientIdentity({ ...variant, askPassword: async () => new Secret('Correct horse') });
      await assert.rejects(asking, WrongPasswordError, variant.name);
    }
  });

  it('says that a password is needed if there is none and nobody answers', async () => {
    for (const { variant } of variants.filter(({ variant }) => variant.isEncrypted)) {
      const expected = new PasswordNeededError(protectedFile(variant));
      await assert.rejects(loadClientIdentity(variant), expected, variant.name);
      await assert.rejects(loadClientIdentity({ ...variant, askPassword: async () => undefined }), expected, variant.name);
    }
  });

  it('has the issuers of its file behind the leaf, in issuing order, whatever the order of the file', async () => {
    const expected = [rsa, intermediate, pki.root].map((each) => each.certificate.raw);
    const parts = [pki.root, rsa, intermediate, ec].map((each) => each.certificatePem);
    const file = write('shuffled.pem', ...parts, rsa.keyPem);
    assert.deepEqual((await loadClientIdentity({ certificate: file })).chain, expected);
    const pkcs12 = await loadClientIdentity({ ...rsaVariant('PKCS#12, key AES-256-CBC'), password: new Secret(PASSWORD) });
    assert.deepEqual(pkcs12.chain, expected);
  });

  it('signs what a gateway sent: PKCS #1 v1.5 with RSA, DER with EC', async () => {
    const data = Buffer.from('<config-auth/>');
    for (const identity of [rsa, ec]) {
      const loaded = await loadClientIdentity({ certificate: identity.certificatePath, key: identity.keyPath });
      for (const hash of ['sha256', 'sha384', 'sha512'] as const) {
        assert.ok(verify(hash, data, identity.certificate.publicKey, await loaded.sign(hash, data)));
      }
    }
  });

  it('logs in to a TLS server that wants a certificate', async () => {
    const server = pki.issueServer({ names: ['localhost'] });
    const listener = tls.createServer({
      key: server.keyPem,
      cert: server.certificatePem,
      ca: pki.root.certificatePem,
      requestCert: true,
      rejectUnauthorized: true,
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    try {
      for (const identity of [rsa, ec, pki.issueClient({ keyType: 'ed25519', issuer: intermediate })]) {
        const certificate = write('with-chain.pem', identity.certificatePem, intermediate.certificatePem);
        const loaded = await loadClientIdentity({ certificate, key: identity.keyPath });
        const arrived = once(listener, 'secureConnection');
        const client = tls.connect({
          port,
          host: '127.0.0.1',
          servername: 'localhost',
          ca: pki.root.certificatePem,
          ...loaded.tlsOptions(),
        });
        const [peer] = (await arrived) as [tls.TLSSocket];
        assert.deepEqual(peer.getPeerX509Certificate()?.raw, identity.certificate.raw);
        client.destroy();
        peer.destroy();
      }
    } finally {
      listener.close();
    }
  });

  it('takes a key from a file of its own, the certificate being in another format', async () => {
    const key = rsaVariant('PKCS#12, key PBE-SHA1-3DES').certificate;
    const asked: string[] = [];
    const askPassword = async ({ file }: ProtectedFile) => {
      asked.push(file);
      return new Secret(PASSWORD);
    };
    const fromPem = await loadClientIdentity({ certificate: rsa.certificatePath, key, askPassword });
    assert.ok(fromPem.key.equals(rsa.key));
    assert.deepEqual(asked, [key]);
  });

  it('ignores a password that nothing needs', async () => {
    const options = { certificate: rsa.certificatePath, key: rsa.keyPath, password: new Secret('whatever') };
    assert.ok(await loadClientIdentity(options));
  });

  it('leaves an encrypted key alone that is beside the certificate, if another is named', async () => {
    const encrypted = rsa.key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: PASSWORD }).toString();
    const certificate = write('beside.pem', encrypted, rsa.certificatePem);
    assert.ok(await loadClientIdentity({ certificate, key: rsa.keyPath }));
  });

  it('takes the key that fits, of several', async () => {
    const certificate = write('several.pem', ec.keyPem, rsa.keyPem, rsa.certificatePem);
    assert.ok((await loadClientIdentity({ certificate })).key.equals(rsa.key));
  });

  it('goes by contents, not by names, and skips the text around PEM blocks', async () => {
    const noise = 'Bag Attributes\r\n    friendlyName: x\r\nsubject=/CN=x\r\n';
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
    const pem = `\ufeff${noise}${parameters}${ec.keyPem}${noise}${ec.certificatePem}`.replace(/\r?\n/g, '\r\n');
    assert.ok(await loadClientIdentity({ certificate: write('misleading.p12', pem) }));
  });

  it('tells of files that are missing, empty, too long or something else', async () => {
    const load = (certificate: string) => loadClientIdentity({ certificate, key: rsa.keyPath });
    await assert.rejects(load(pki.file('none.pem')), /none\.pem: it cannot be read: No such file or directory$/);
    await assert.rejects(load(pki.directory), /it cannot be read: Is a directory$/);
    await assert.rejects(load(write('empty.pem', '')), /it is no certificate and no key/);
    await assert.rejects(load(write('letter.txt', 'Dear Sir or Madam')), /it is no certificate and no key/);
    await assert.rejects(load(write('long.pem', '0'.repeat(0x10_0001))), /it is too long for certificates and keys: over 1048576 bytes/);
    await assert.rejects(
      load(write('request.pem', '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n')),
      /none of its PEM/,
    );
  });

  it('tells of a missing certificate, a missing key and a key of another certificate, naming the files', async () => {
    await assert.rejects(
      loadClientIdentity({ certificate: rsa.keyPath }),
      new CredentialError(`${rsa.keyPath}: there is no certificate in it`),
    );
    await assert.rejects(
      loadClientIdentity({ certificate: rsa.certificatePath }),
      new CredentialError(`${rsa.certificatePath}: there is no private key in it; if a file of its own has it, name that too`),
    );
    await assert.rejects(
      loadClientIdentity({ certificate: rsa.certificatePath, key: ec.keyPath }),
      new CredentialError(`the private key in ${ec.keyPath} is not that of a certificate in ${rsa.certificatePath}`),
    );
  });

  it('reads a pipe', { skip: process.platform === 'win32' && 'no such paths there' }, () => {
    const module = path.resolve(import.meta.dirname, '../../../src/node/credentials/client-identity.ts');
    const program = `import { loadClientIdentity } from ${JSON.stringify(module)};
      console.log((await loadClientIdentity({ certificate: '/dev/stdin' })).chain.length);`;
    const file = write('piped.pem', rsa.keyPem, rsa.certificatePem);
    const command = ['-c', 'cat "$1" | "$0" --no-warnings --input-type=module -e "$2"', process.execPath, file, program];
    assert.equal(execFileSync('/bin/sh', command, { encoding: 'utf8' }), '1\n');
  });

  it('is not found in tokens and key stores, and says just that', async () => {
    const uris = ['pkcs11:token=x;object=y', 'PKCS11:x', 'system:win:id=x', 'tpmkey:file=x'];
    for (const uri of uris) {
      await assert.rejects(loadClientIdentity({ certificate: uri }), UnsupportedError);
      await assert.rejects(
        loadClientIdentity({ certificate: rsa.certificatePath, key: uri }),
        /^\w*Error.*: not supported|are not supported$/,
      );
    }
  });

  it('shows no key when it is printed', async () => {
    const loaded: ClientIdentity = await loadClientIdentity({ certificate: rsa.certificatePath, key: rsa.keyPath });
    const shown = inspect(loaded, { depth: 9, showHidden: true }) + JSON.stringify(loaded);
    assert.doesNotMatch(shown, /PRIVATE/);
  });
});
