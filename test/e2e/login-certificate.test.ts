/** Certificates in every format that people have them in, at the real ocserv (spec "Client command-line contract", section 3.2 and 13). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { shellQuoted } from '../../src/cli/openconnect/authenticate-output.ts';
import { encodeExactly } from '../../src/node/locale-text.ts';
import { DROP_IN } from '../support/drop-in.ts';
import { type KeyVariant, writeKeyVariants } from '../support/key-variants.ts';
import { ALICE, type OcservOptions } from '../support/ocserv.ts';
import { type Issued, Pki } from '../support/pki.ts';
import type { Finished } from '../support/program.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { makeClientCertificate } from '../support/throwaway-certificates.ts';
import { ALICES_LINE, LoginLab } from './login-lab.ts';

const skip = missing('root', 'netns', 'ocserv', 'openssl');

const KEY_PASSWORD = 'battery staple';
const CZECH_PASSWORD = 'žluťoučký kůň';

/** Log-ins at a time: the formats are many. */
const AT_A_TIME = 2;

let pki: Pki;
before(() => {
  pki = new Pki();
});
after(() => pki[Symbol.dispose]());

const byCertificate = (options: OcservOptions = {}): Promise<LoginLab> =>
  LoginLab.open({ login: 'certificate', clientAuthority: pki.root.certificatePath, ...options });

const variantsOf = (identity: Issued, password: Uint8Array): KeyVariant[] =>
  writeKeyVariants(identity, mkdtempSync(pki.file('variants-')), password);

const filesOf = ({ certificate, key }: KeyVariant): string[] => [
  '--certificate',
  certificate,
  ...(key === undefined ? [] : ['--sslkey', key]),
];

/** Logs in with each; the names of those that could not, with the end of what was said. */
async function refused(variants: readonly KeyVariant[], logIn: (variant: KeyVariant) => Promise<Finished>): Promise<string[]> {
  const waiting = [...variants];
  const failures: string[] = [];
  const worker = async () => {
    for (let variant = waiting.shift(); variant !== undefined; variant = waiting.shift()) {
      const { code, output } = await logIn(variant);
      if (code !== 0) failures.push(`${variant.name}: ${output.slice(-300)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
  return failures;
}

describe('log-in with a certificate', { skip, timeout: HANG_LIMIT }, () => {
  for (const keyType of ['rsa', 'ec'] as const) {
    it(`takes every format of a certificate and its ${keyType.toUpperCase()} key, encrypted or not`, async () => {
      await using login = await byCertificate();
      login.secrets.add(KEY_PASSWORD);
      const variants = variantsOf(pki.issueClient({ keyType, uid: 'carol' }), Buffer.from(KEY_PASSWORD));
      assert.ok(variants.length > 40);
      const failures = await refused(variants, (variant) => {
        const password = variant.isEncrypted ? ['--key-password', KEY_PASSWORD] : [];
        return login.run(['--cookieonly', ...filesOf(variant), ...password, ...login.pinned]);
      });
      assert.deepEqual(failures, []);
    });
  }

  /** In everyday runs one format of each key derivation. */
  const sample = sized(/traditional aes256|PEM, PBE-|PEM, PBES2 aes256 under hmacWithSHA1|PKCS#12, key (?!PBES2|AES-1)/, /./);
  const inLatin2 = encodeExactly(CZECH_PASSWORD, 'iso-8859-2') ?? new Uint8Array(0);
  for (const [encoding, bytes] of [
    ['UTF-8', Buffer.from(CZECH_PASSWORD)],
    ['ISO 8859-2', inLatin2],
  ] as const) {
    it(`takes a password that is given in ISO 8859-2, of files that were encrypted in ${encoding}`, async () => {
      await using login = await byCertificate();
      login.secrets.add(CZECH_PASSWORD);
      const all = variantsOf(pki.issueClient({ keyType: 'ec', uid: 'carol' }), bytes);
      const variants = all.filter(({ name, isEncrypted }) => isEncrypted && sample.test(name));
      assert.ok(variants.length >= 10);
      // Node passes on arguments in UTF-8 only: a shell reads the bytes from a file.
      const file = pki.file('czech-password');
      writeFileSync(file, inLatin2);
      const shell = ['sh', '-c', `exec "$@" --key-password "$(cat ${shellQuoted(file)})"`, 'sh'] as const;
      const logIn = async (variant: KeyVariant, locale: string) => {
        const args = [...DROP_IN, '--cookieonly', ...filesOf(variant), ...login.pinned];
        return await (await login.startAs([...shell], args, { env: { LC_ALL: locale } })).finish();
      };
      assert.deepEqual(await refused(variants, (variant) => logIn(variant, 'cs_CZ.ISO8859-2')), []);
      const [first] = variants;
      assert.ok(first !== undefined);
      // Elsewhere these bytes are other letters: a file that has the bytes themselves does not mind.
      assert.equal((await logIn(first, 'ru_RU.KOI8-R')).code, encoding === 'UTF-8' ? 1 : 0);
    });
  }

  it('sends the issuers that are in the file along', async () => {
    await using login = await byCertificate();
    login.secrets.add(KEY_PASSWORD);
    const intermediate = pki.issueAuthority();
    const identity = pki.issueClient({ issuer: intermediate, uid: 'carol' });
    const together = pki.file('with-issuer.pem');
    writeFileSync(together, identity.certificatePem + intermediate.certificatePem);
    const pem = ['--certificate', together, '--sslkey', identity.keyPath];
    const directory = mkdtempSync(pki.file('variants-'));
    const pkcs12 = writeKeyVariants(identity, directory, Buffer.from(KEY_PASSWORD), [intermediate]).find(({ name }) =>
      name.startsWith('PKCS#12, key AES-256'),
    );
    assert.ok(pkcs12 !== undefined);
    for (const files of [pem, [...filesOf(pkcs12), '--key-password', KEY_PASSWORD]]) {
      const run = await login.run(['--cookieonly', ...files, ...login.pinned]);
      assert.equal(run.code, 0, run.output);
    }
    const alone = await login.run([
      '--cookieonly',
      '--certificate',
      identity.certificatePath,
      '--sslkey',
      identity.keyPath,
      ...login.pinned,
    ]);
    assert.equal(alone.code, 1, 'the gateway does not know the intermediate authority');
  });

  it('asks for the password of a file, and again after a wrong one', async () => {
    await using login = await byCertificate();
    for (const secret of [KEY_PASSWORD, 'a guess']) login.secrets.add(secret);
    const variants = variantsOf(pki.issueClient({ uid: 'carol' }), Buffer.from(KEY_PASSWORD));
    for (const [name, prompt, complaint] of [
      ['PKCS#12, key AES-256', 'Enter PKCS#12 pass phrase:', 'Failed to decrypt PKCS#12 certificate file'],
      ['PKCS#8 PEM, PBES2 aes256', 'Enter PEM pass phrase:', 'Failed to decrypt PKCS#8 certificate file'],
      ['SEC1 PEM, traditional aes256', 'Enter PEM pass phrase:', 'Decrypting PEM key failed'],
    ] as const) {
      const variant = variants.find((each) => each.name.startsWith(name));
      assert.ok(variant !== undefined, name);
      const args = ['--cookieonly', ...filesOf(variant), ...login.pinned];
      const run = await login.run(args, { input: `a guess\n${KEY_PASSWORD}\n` });
      assert.equal(run.code, 0, run.output);
      assert.ok(run.stderr.startsWith(`${prompt}\n${complaint}\n${prompt}\n`), run.stderr);
      const nobody = await login.run([...args, '--non-inter']);
      assert.equal(nobody.code, 1);
      assert.ok(nobody.stderr.startsWith(`${prompt}***\nUser input required in non-interactive mode\n`), nobody.stderr);
      const wrong = await login.run([...args, '--key-password', 'a guess'], { input: `${KEY_PASSWORD}\n` });
      assert.equal(wrong.code, 1, 'a password that was given is the only one that is tried');
    }
  });

  it('takes the id of the key’s file system for its password', async () => {
    await using login = await byCertificate();
    const id = execFileSync('stat', ['-f', '-c', '%i', pki.directory], { encoding: 'utf8' }).trim();
    const { certificatePath, keyPath } = pki.issueClient({ uid: 'carol' });
    const key = pki.file('by-fsid.pem');
    pki.openssl(['pkcs8', '-topk8', '-v2', 'aes256', '-in', keyPath, '-passout', `pass:${id}`, '-out', key]);
    const run = await login.run([
      '--cookieonly',
      '--certificate',
      certificatePath,
      '--sslkey',
      key,
      '--key-password-from-fsid',
      ...login.pinned,
    ]);
    assert.equal(run.code, 0, run.output);
  });

  it('takes the group that the certificate names, and lets the user choose of several', async () => {
    await using login = await byCertificate({ settings: { 'select-group': ['staff[Staff people]', 'admins[Admin people]'] } });
    // Our own authority's names have one group at most.
    const authority = { certificate: pki.root.certificatePath, key: pki.root.keyPath };
    const { certificate, key } = await makeClientCertificate(login.lab.folder, authority, [
      ['UID', 'carol'],
      ['OU', 'staff'],
      ['OU', 'admins'],
    ]);
    const args = ['--cookieonly', '--certificate', certificate, '--sslkey', key];
    const asked = await login.run([...args, ...login.pinned], { input: 'Admin people\n' });
    assert.equal(asked.code, 0, asked.output);
    assert.match(asked.stderr, /^Please select your group\.\nGroup: \[Staff people\|Admin people\]:POST /m);
    const named = await login.run([...args, '--authgroup', 'staff', '--no-passwd', ...login.pinned]);
    assert.equal(named.code, 0, named.output);
  });

  it('is refused without one, with that of somebody else’s authority, and with an expired one', async () => {
    await using login = await byCertificate();
    const none = await login.run(['--cookieonly', ...login.pinned]);
    assert.equal(none.code, 1);
    const { certificate = '', key = '' } = { certificate: login.ocserv.settings['server-cert'], key: login.ocserv.settings['server-key'] };
    const foreign = await login.run(['--cookieonly', '--certificate', certificate, '--sslkey', key, ...login.pinned]);
    assert.equal(foreign.code, 1);
    const expired = pki.issueClient({ uid: 'carol', notBefore: new Date('2020-01-01'), notAfter: new Date('2021-01-01') });
    const run = await login.run(['--cookieonly', '--certificate', expired.certificatePath, '--sslkey', expired.keyPath, ...login.pinned]);
    assert.equal(run.code, 1);
    assert.match(run.stderr, /^Client certificate has expired at: Fri, 01 Jan 2021 00:00:00 GMT$/m);
    for (const { stderr } of [none, foreign, run]) assert.match(stderr, /\nFailed to complete authentication\n$/);
  });

  it('warns of a certificate that soon expires, as soon as --cert-expire-warning says', async () => {
    await using login = await byCertificate();
    const notAfter = new Date(Date.now() + 10 * 86_400_000);
    const { certificatePath, keyPath } = pki.issueClient({ uid: 'carol', notAfter });
    const args = ['--cookieonly', '--certificate', certificatePath, '--sslkey', keyPath, ...login.pinned];
    const warning = `Client certificate expires soon at: ${notAfter.toUTCString()}`;
    assert.ok((await login.run(args)).stderr.includes(warning));
    assert.ok((await login.run(['-q', ...args])).stderr.includes(warning));
    assert.ok(!(await login.run(['--cert-expire-warning', '9', ...args])).stderr.includes('expires'));
  });

  it('says which file cannot be used, and why, before it connects', async () => {
    await using login = await byCertificate();
    const [one, other] = [pki.issueClient({ uid: 'carol' }), pki.issueClient({ uid: 'dave' })];
    for (const [certificate, key, message] of [
      ['/nonexistent.pem', one.keyPath, '/nonexistent.pem: it cannot be read: No such file or directory'],
      [one.certificatePath, '/nonexistent.pem', '/nonexistent.pem: it cannot be read: No such file or directory'],
      [one.certificatePath, other.keyPath, `the private key in ${other.keyPath} is not that of a certificate in ${one.certificatePath}`],
      [one.certificatePath, one.certificatePath, `${one.certificatePath}: there is no private key in it`],
    ] as const) {
      const run = await login.run(['--cookieonly', '--certificate', certificate, '--sslkey', key, ...login.pinned]);
      assert.equal(run.code, 1);
      assert.ok(run.stderr.includes(message), run.stderr);
      assert.doesNotMatch(run.output, /Connected/);
    }
  });
});

describe('log-in with a certificate and a password', { skip, timeout: HANG_LIMIT }, () => {
  it('needs both', async () => {
    // Observed: ocserv 1.1.6 wants the certificate's group in the password file too.
    await using login = await byCertificate({ login: 'certificate-and-password', users: [{ ...ALICE, groups: ['staff'] }] });
    const { certificatePath, keyPath } = pki.issueClient({ uid: ALICE.name, organizationalUnit: 'staff' });
    const both = ['--cookieonly', '--user', ALICE.name, '--certificate', certificatePath, '--sslkey', keyPath, ...login.pinned];
    const run = await login.run(both, { input: ALICES_LINE });
    assert.equal(run.code, 0, run.output);
    login.secrets.add('a guess');
    assert.equal((await login.run(both, { input: 'a guess\n' })).code, 1);
    assert.equal((await login.run(['--cookieonly', '--user', ALICE.name, ...login.pinned], { input: ALICES_LINE })).code, 1);
  });

  it('takes either where the gateway takes either', async () => {
    await using login = await byCertificate({ login: 'certificate-or-password' });
    const { certificatePath, keyPath } = pki.issueClient({ uid: ALICE.name });
    const certificate = await login.run(['--cookieonly', '--certificate', certificatePath, '--sslkey', keyPath, ...login.pinned]);
    assert.equal(certificate.code, 0, certificate.output);
    const password = await login.run(['--cookieonly', '--user', ALICE.name, ...login.pinned], { input: ALICES_LINE });
    assert.equal(password.code, 0, password.output);
  });
});
