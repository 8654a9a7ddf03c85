import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Secret } from '../../../src/core/secret.ts';
import { loadClientIdentity } from '../../../src/node/credentials/client-identity.ts';
import { WrongPasswordError } from '../../../src/node/credentials/credential-error.ts';
import { encodeExactly } from '../../../src/node/locale-text.ts';
import { type KeyVariant, writeKeyVariants } from '../../support/key-variants.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { sized } from '../../support/size.ts';

const SOURCE = path.resolve(import.meta.dirname, '../../../src');
/** In everyday runs one variant of each key derivation. */
const SAMPLE = sized(/traditional aes256|PEM, PBE-|PEM, PBES2 aes256 under hmacWithSHA1|PKCS#12, key (?!PBES2|AES-1)/, /./);
const LATIN1_TEXT = 'Überraschung';
const CZECH_TEXT = 'žluťoučký kůň';

describe('non-ASCII password', { skip: missing('openssl') }, () => {
  let pki: Pki;
  let identity: Issued;
  before(() => {
    pki = new Pki();
    identity = pki.issueClient({ keyType: 'ec' });
  });
  after(() => pki[Symbol.dispose]());

  /** Every format, encrypted by someone whose password had these bytes. */
  const variantsFor = (bytes: Uint8Array): KeyVariant[] =>
    writeKeyVariants(identity, mkdtempSync(pki.file('variants-')), bytes).filter(
      (variant) => variant.isEncrypted && SAMPLE.test(variant.name),
    );

  async function assertOpens(variants: readonly KeyVariant[], password: string, charset: string): Promise<void> {
    for (const variant of variants) {
      assert.ok(await loadClientIdentity({ ...variant, password: new Secret(password), charset }), variant.name);
      const wrong = loadClientIdentity({ ...variant, password: new Secret(`${password}x`), charset });
      await assert.rejects(wrong, WrongPasswordError, variant.name);
    }
  }

  it('opens every format that was encrypted in UTF-8, whatever the locale is now', async () => {
    const variants = variantsFor(Buffer.from(CZECH_TEXT));
    for (const charset of ['utf-8', 'iso-8859-2', 'us-ascii']) await assertOpens(variants, CZECH_TEXT, charset);
  });

  it('opens every format that was encrypted in the locale’s character set', async () => {
    const bytes = encodeExactly(CZECH_TEXT, 'iso-8859-2');
    assert.ok(bytes !== undefined);
    await assertOpens(variantsFor(bytes), CZECH_TEXT, 'iso-8859-2');
  });

  it('opens every format that was encrypted in Latin-1, whatever the locale is now', async () => {
    const variants = variantsFor(Buffer.from(LATIN1_TEXT, 'latin1'));
    for (const charset of ['utf-8', 'iso-8859-2']) await assertOpens(variants, LATIN1_TEXT, charset);
  });

  it('may be typed decomposed, as macOS does', async () => {
    await assertOpens(variantsFor(Buffer.from(CZECH_TEXT)), CZECH_TEXT.normalize('NFD'), 'utf-8');
  });

  it('may have characters that UTF-16 writes as pairs', async () => {
    await assertOpens(variantsFor(Buffer.from('🔑 key')), '🔑 key', 'utf-8');
  });

  it('opens PKCS #12 when it is given as an argument in ISO 8859-2', {
    skip: process.platform !== 'linux' && 'only Linux tells the bytes',
  }, () => {
    const [certificate, key] = [identity.certificatePath, pki.file('argument.p12')];
    const passwordFile = pki.file('password-utf8');
    writeFileSync(passwordFile, CZECH_TEXT);
    const files = ['-in', certificate, '-inkey', identity.keyPath, '-out', key, '-passout', `file:${passwordFile}`];
    execFileSync('openssl', ['pkcs12', '-export', ...files]);

    const program = `import { localeArguments } from ${JSON.stringify(`${SOURCE}/node/locale-text.ts`)};
      import { loadClientIdentity } from ${JSON.stringify(`${SOURCE}/node/credentials/client-identity.ts`)};
      import { Secret } from ${JSON.stringify(`${SOURCE}/core/secret.ts`)};
      const [certificate, password] = localeArguments();
      console.log((await loadClientIdentity({ certificate, password: new Secret(password) })).chain.length);`;
    const command = 'exec "$0" --no-warnings --input-type=module -e "$1" -- script "$2" "$(cat "$3")"';
    const argument = pki.file('password-iso');
    writeFileSync(argument, encodeExactly(CZECH_TEXT, 'iso-8859-2') ?? '');
    const run = (locale: string) =>
      execFileSync('/bin/sh', ['-c', command, process.execPath, program, key, argument], {
        env: { ...process.env, LC_ALL: locale },
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    assert.equal(run('cs_CZ.ISO8859-2'), '1\n');
    assert.throws(() => run('ru_RU.KOI8-R'), 'the same bytes are another password there');
  });
});
