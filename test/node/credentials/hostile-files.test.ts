import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { loadClientIdentity } from '../../../src/node/credentials/client-identity.ts';
import { type KeyVariant, writeKeyVariants } from '../../support/key-variants.ts';
import { type Issued, Pki } from '../../support/pki.ts';
import { missing } from '../../support/requirements.ts';
import { sized } from '../../support/size.ts';

const PASSWORD = new Secret('secret');

describe('damaged credential file', { skip: missing('openssl') }, () => {
  let pki: Pki;
  let identity: Issued;
  let variants: KeyVariant[];
  before(() => {
    pki = new Pki();
    identity = pki.issueClient({ keyType: 'ec' });
    variants = writeKeyVariants(identity, pki.directory, Buffer.from('secret'), [pki.root]);
  });
  after(() => pki[Symbol.dispose]());

  /** Whatever the bytes: it loads, or it fails with an error of ours. */
  async function load(bytes: Uint8Array): Promise<void> {
    const file = pki.file('damaged');
    writeFileSync(file, bytes);
    for (const options of [{ certificate: file }, { certificate: identity.certificatePath, key: file }]) {
      await loadClientIdentity({ ...options, password: PASSWORD }).catch((error) => {
        assert.ok(error instanceof SallyportError, `${error}`);
        assert.ok(!error.message.includes('secret'));
      });
    }
  }

  it('throws nothing but its own errors wherever it is cut', async () => {
    for (const variant of variants) {
      const bytes = readFileSync(variant.key ?? variant.certificate);
      for (let cut = 0; cut < bytes.length; cut += sized(97, 7)) await load(bytes.subarray(0, cut));
    }
  });

  it('throws nothing but its own errors wherever bytes are changed', async () => {
    const change = fc.tuple(fc.nat(), fc.oneof(fc.constantFrom(0x00, 0x30, 0x80, 0xff), fc.nat({ max: 0xff })));
    const damage = fc.tuple(fc.nat({ max: variants.length - 1 }), fc.array(change, { minLength: 1, maxLength: 4 }));
    await fc.assert(
      fc.asyncProperty(damage, async ([which, changes]) => {
        const variant = variants[which];
        assert.ok(variant !== undefined);
        const bytes = readFileSync(variant.key ?? variant.certificate);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        await load(bytes);
      }),
      { numRuns: sized(400, 20_000) },
    );
  });

  it('throws nothing but its own errors when it is noise', async () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ maxLength: 200 }).map((text) => Buffer.from(`-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`)),
      fc
        .string({ maxLength: 200 })
        .map((text) => Buffer.from(`-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: ${text}\n\nAAAA\n-----END RSA PRIVATE KEY-----\n`)),
    );
    await fc.assert(fc.asyncProperty(noise, load), { numRuns: sized(300, 20_000) });
  });

  it('says what is wrong with PEM', async () => {
    const write = (text: string) => {
      writeFileSync(pki.file('bad.pem'), text);
      return loadClientIdentity({ certificate: identity.certificatePath, key: pki.file('bad.pem'), password: PASSWORD });
    };
    const block = (label: string, body: string) => `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`;
    await assert.rejects(write('-----BEGIN PRIVATE KEY-----\nAAAA\n'), /the PEM block "PRIVATE KEY" has no end/);
    await assert.rejects(write(`-----BEGIN PRIVATE KEY-----\n${identity.keyPem}`), /the PEM block "PRIVATE KEY" has no end/);
    await assert.rejects(write(block('PRIVATE KEY', 'A*A=')), /it is damaged: text is not base64/);
    await assert.rejects(write(block('PRIVATE KEY', 'AAAA')), /a private key in it is damaged/);
    await assert.rejects(write(block('CERTIFICATE', 'MAAA').repeat(1001)), /more than 1000 PEM blocks/);
    await assert.rejects(write(block('RSA PRIVATE KEY', 'Proc-Type: 4,ENCRYPTED\n\nAAAA')), /a private key in it is damaged/);
    await assert.rejects(write(block('constructor', 'AAAA')), /none of its PEM blocks is a certificate or a key/);
    await assert.rejects(write(block('RSA PRIVATE KEY', 'DEK-Info: AES-128-CBC,00\n\nAAAA')), /the DEK-Info header has no valid IV/);
  });
});
