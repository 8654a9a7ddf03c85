import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { UnsupportedError } from '../../../src/core/errors.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';

const crypto = new NodeCrypto();

const isSignedBy = (publicKey: Uint8Array, data: Uint8Array, signature: Uint8Array) =>
  verify('sha256', data, createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' }), signature);

describe('P-256 keys', () => {
  it('sign with ECDSA and SHA-256 what their public key verifies', async () => {
    const pair = crypto.generateP256();
    const data = utf8('verify_data and key');
    assert.equal(isSignedBy(pair.publicKey, data, pair.sign(data)), true);
    assert.equal(isSignedBy(pair.publicKey, utf8('other data'), pair.sign(data)), false);
    assert.equal(pair.publicKey.length, 91, 'SubjectPublicKeyInfo of an uncompressed point');
  });

  it('verify what their private key has signed, and nothing else', async () => {
    const [pair, other] = [crypto.generateP256(), crypto.generateP256()];
    const data = utf8('verify_data and key');
    assert.equal(crypto.verifyP256(pair.publicKey, data, pair.sign(data)), true);
    assert.equal(crypto.verifyP256(other.publicKey, data, pair.sign(data)), false);
    assert.equal(crypto.verifyP256(pair.publicKey, utf8('other data'), pair.sign(data)), false);
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
    const signature = sign('sha256', data, p384.privateKey);
    assert.equal(crypto.verifyP256(p384.publicKey.export({ format: 'der', type: 'spki' }), data, signature), false, 'another curve');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.uint8Array({ maxLength: 80 }), (key, bytes) => {
        assert.equal(crypto.verifyP256(key, data, bytes), false);
        assert.equal(crypto.verifyP256(pair.publicKey, data, bytes), false);
      }),
    );
  });

  it('are the same key after export as SEC1 and import', async () => {
    const pair = crypto.generateP256();
    const again = crypto.importP256(pair.exportSec1());
    assert.deepEqual(again.publicKey, pair.publicKey);
    assert.deepEqual(again.exportSec1(), pair.exportSec1());
    assert.equal(isSignedBy(pair.publicKey, utf8('x'), again.sign(utf8('x'))), true);
  });

  it('are read from PKCS#8 as well', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pair = crypto.importP256(privateKey.export({ format: 'der', type: 'pkcs8' }));
    assert.deepEqual(Buffer.from(pair.publicKey), publicKey.export({ format: 'der', type: 'spki' }));
  });

  it('are refused on another curve, of another kind, and if they are no keys', () => {
    const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
    const ed25519 = generateKeyPairSync('ed25519').privateKey;
    assert.throws(() => crypto.importP256(p384.export({ format: 'der', type: 'sec1' })), UnsupportedError);
    assert.throws(() => crypto.importP256(ed25519.export({ format: 'der', type: 'pkcs8' })), UnsupportedError);
    fc.assert(fc.property(fc.uint8Array({ maxLength: 150 }), (bytes) => assert.throws(() => crypto.importP256(bytes), UnsupportedError)));
  });
});
