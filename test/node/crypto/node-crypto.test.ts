import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MisuseError } from '../../../src/core/errors.ts';
import type { AeadCipher, CbcCipher } from '../../../src/core/tunnel/traffic.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';

const crypto = new NodeCrypto();

const AEADS: readonly { readonly cipher: AeadCipher; readonly keyLength: number }[] = [
  { cipher: 'aes-128-gcm', keyLength: 16 },
  { cipher: 'aes-256-gcm', keyLength: 32 },
  { cipher: 'chacha20-poly1305', keyLength: 32 },
];

describe('NodeCrypto AEAD', () => {
  it('seals test case 2 of the GCM specification', () => {
    const out = new Uint8Array(32);
    crypto.aead('aes-128-gcm', new Uint8Array(16)).seal(new Uint8Array(12), new Uint8Array(0), new Uint8Array(16), out);
    assert.equal(toHex(out), '0388dace60b6a392f328c2b971b2fe78' + 'ab6e47d42cec13bdf53a67b21257bddf');
  });

  it('seals the example of RFC 8439 §2.8.2', () => {
    const key = fromHex('808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f');
    const text = utf8("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.");
    const out = new Uint8Array(text.length + 16);
    crypto.aead('chacha20-poly1305', key).seal(fromHex('070000004041424344454647'), fromHex('50515253c0c1c2c3c4c5c6c7'), text, out);
    assert.equal(toHex(out.subarray(0, 16)), 'd31a8d34648e60db7b86afbc53ef7ec2');
    assert.equal(toHex(out.subarray(text.length)), '1ae10b594f09e26a7e902ecbd0600691');
  });

  for (const { cipher, keyLength } of AEADS) {
    it(`opens what it sealed, in the same memory (${cipher})`, () => {
      const aead = crypto.aead(cipher, new Uint8Array(keyLength).fill(7));
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 20 }), (plaintext, aad) => {
          const nonce = new Uint8Array(12).fill(plaintext.length);
          const memory = new Uint8Array(plaintext.length + aead.tagLength);
          memory.set(plaintext);
          aead.seal(nonce, aad, memory.subarray(0, plaintext.length), memory);
          assert.equal(aead.open(nonce, aad, memory, memory), true);
          assert.deepEqual(memory.slice(0, plaintext.length), plaintext);
        }),
      );
    });

    it(`refuses a change in any byte of nonce, AAD, ciphertext and tag, and what is shorter than a tag (${cipher})`, () => {
      const aead = crypto.aead(cipher, new Uint8Array(keyLength));
      const inputs = { nonce: new Uint8Array(12), aad: new Uint8Array(13), sealed: new Uint8Array(9 + 16) };
      aead.seal(inputs.nonce, inputs.aad, new Uint8Array(9), inputs.sealed);
      const out = new Uint8Array(9);
      for (const input of Object.values(inputs)) {
        for (let i = 0; i < input.length; i++) {
          input[i] = (input[i] ?? 0) ^ 0x10;
          assert.equal(aead.open(inputs.nonce, inputs.aad, inputs.sealed, out), false);
          input[i] = (input[i] ?? 0) ^ 0x10;
        }
      }
      assert.equal(aead.open(inputs.nonce, inputs.aad, inputs.sealed.subarray(0, 15), out), false);
      assert.equal(aead.open(inputs.nonce, inputs.aad, inputs.sealed, out), true);
    });
  }

  it('refuses a key of the wrong length', () => {
    assert.throws(() => crypto.aead('aes-256-gcm', new Uint8Array(16)), MisuseError);
    assert.throws(() => crypto.cbc('aes-128-cbc', new Uint8Array(32)), MisuseError);
  });
});

describe('NodeCrypto CBC', () => {
  it('encrypts the first blocks of NIST SP 800-38A, F.2.1', () => {
    const cbc = crypto.cbc('aes-128-cbc', fromHex('2b7e151628aed2a6abf7158809cf4f3c'));
    const blocks = fromHex('6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51');
    const iv = fromHex('000102030405060708090a0b0c0d0e0f');
    cbc.encrypt(iv, blocks, blocks);
    assert.equal(toHex(blocks), '7649abac8119b246cee98e9b12e9197d' + '5086cb9b507219ee95db113a917678b2');
  });

  for (const [cipher, keyLength] of [
    ['aes-128-cbc', 16],
    ['aes-256-cbc', 32],
  ] satisfies [CbcCipher, number][]) {
    it(`decrypts what it encrypted, in the same memory (${cipher})`, () => {
      const cbc = crypto.cbc(cipher, new Uint8Array(keyLength).fill(3));
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 20 }), fc.uint8Array({ minLength: 16, maxLength: 16 }), (count, iv) => {
          const blocks = new Uint8Array(count * 16).fill(count);
          const memory = blocks.slice();
          cbc.encrypt(iv, memory, memory);
          assert.notDeepEqual(memory, blocks);
          cbc.decrypt(iv, memory, memory);
          assert.deepEqual(memory, blocks);
        }),
      );
    });
  }
});

describe('NodeCrypto hashes', () => {
  it('computes the HMAC of RFC 4231, test case 2, with a key given each time or kept', () => {
    const expected = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843';
    const text = utf8('what do ya want for nothing?');
    assert.equal(toHex(crypto.hmac('sha256', utf8('Jefe'), text)), expected);
    const mac = crypto.mac('sha256', utf8('Jefe'));
    assert.equal(mac.length, 32);
    assert.equal(toHex(mac.compute(text)), expected);
    assert.equal(toHex(mac.compute(text)), expected, 'a second time');
  });

  it('knows how long the MAC of each hash is', () => {
    for (const hash of ['md5', 'sha1', 'sha256', 'sha384', 'sha512'] as const) {
      const mac = crypto.mac(hash, utf8('key'));
      assert.equal(mac.length, mac.compute(utf8('text')).length);
      assert.equal(mac.length, crypto.hash(hash, utf8('text')).length);
    }
  });

  it('gives as much randomness as asked, not the same twice', () => {
    assert.equal(crypto.randomBytes(33).length, 33);
    assert.notDeepEqual(crypto.randomBytes(16), crypto.randomBytes(16));
  });
});
