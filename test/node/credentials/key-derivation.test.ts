import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import forge from 'node-forge';
import { fromHex, toHex } from '../../../src/core/wire/text.ts';
import { PKCS12_PURPOSE, pbkdf1, pemKey, pkcs12Key } from '../../../src/node/credentials/key-derivation.ts';

describe('key derivation of PKCS #12', () => {
  it('gives the known keys for "smeg" and "queeg"', () => {
    // Published with the first implementations of PKCS #12 and repeated in many test suites (Botan, Bouncy Castle).
    const smeg = fromHex('0073006d006500670000');
    const queeg = fromHex('007100750065006500670000');
    const { key, iv, mac } = PKCS12_PURPOSE;
    assert.equal(
      toHex(pkcs12Key('sha1', key, smeg, fromHex('0a58cf64530d823f'), 1, 24)),
      '8aaae6297b6cb04642ab5b077851284eb7128f1a2a7fbca3',
    );
    assert.equal(toHex(pkcs12Key('sha1', iv, smeg, fromHex('0a58cf64530d823f'), 1, 8)), '79993dfe048d3b76');
    assert.equal(
      toHex(pkcs12Key('sha1', key, queeg, fromHex('05dec959acff72f7'), 1000, 24)),
      'ed2034e36328830ff09df1e1a07dd357185dac0d4f9eb3d4',
    );
    assert.equal(toHex(pkcs12Key('sha1', mac, smeg, fromHex('3d83c0e4546ac140'), 1, 20)), '8d967d88f6caa9d714800ab3d48051d63f73a312');
  });

  it('agrees with another implementation', () => {
    const digests = { md5: forge.md.md5, sha1: forge.md.sha1, sha256: forge.md.sha256, sha384: forge.md.sha384, sha512: forge.md.sha512 };
    const digest = fc.constantFrom(...(Object.keys(digests) as (keyof typeof digests)[]));
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 140 });
    const run = fc.tuple(
      digest,
      fc.constantFrom(1, 2, 3),
      fc.string({ maxLength: 70 }),
      bytes,
      fc.integer({ min: 1, max: 5 }),
      fc.nat({ max: 80 }),
    );
    fc.assert(
      fc.property(run, ([name, purpose, text, salt, iterations, length]) => {
        const password = Buffer.concat([Buffer.from(text, 'utf16le').swap16(), Buffer.alloc(2)]);
        const ours = pkcs12Key(name, purpose as 1 | 2 | 3, password, salt, iterations, length);
        const buffer = forge.util.createBuffer(Buffer.from(salt).toString('latin1'));
        const md = digests[name].create();
        // The declared types lack the last argument.
        const generate = forge.pkcs12.generateKey as (...args: unknown[]) => forge.util.ByteBuffer;
        assert.equal(toHex(ours), generate(text, buffer, purpose, iterations, length, md).toHex());
      }),
    );
  });
});

describe('key derivations of PKCS #5 version 1.5 and of PEM', () => {
  it('give the known keys', () => {
    // The first made with Python's hashlib from the definition in RFC 8018, section 5.1; the second with
    // openssl enc -aes-256-cbc -P -k password -S 0001020304050607 -md md5
    const password = Buffer.from('password');
    assert.equal(toHex(pbkdf1('md5', password, fromHex('0001020304050607'), 1000)), '37393a7dccec61c97ff50e194cca8940');
    assert.equal(
      toHex(pemKey(password, fromHex('000102030405060708090a0b0c0d0e0f'), 32)),
      'b03096345e805d3aa4392d2e72791dfb13e12d3f61094a3fc347ace86b99ada6',
    );
  });
});
