import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseStrapKey, Strap, verifyStrap } from '../../../../src/core/protocols/anyconnect/strap.ts';
import type { StrapProof } from '../../../../src/core/protocols/anyconnect/tunnel-options.ts';
import { utf8 } from '../../../../src/core/wire/text.ts';
import { strapProofHolds } from '../../../support/strap-proof.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

const crypto = testCrypto();
const FINISHED = utf8('verify_data of the connection');

const holds = (proof: StrapProof, key: string, finished = FINISHED) => strapProofHolds(proof, key, finished);

describe('STRAP', () => {
  it('makes its key when it is first asked for, and one only', () => {
    let made = 0;
    const generateP256 = () => {
      made++;
      return crypto.generateP256();
    };
    const counting = Object.create(crypto, { generateP256: { value: generateP256 } }) as typeof crypto;
    const strap = Strap.generate(counting);
    assert.equal(made, 0);
    assert.equal(strap.publicKey, strap.publicKey);
    strap.exportKey();
    assert.equal(made, 1);
  });

  it('announces a P-256 key as base64 of its SubjectPublicKeyInfo', async () => {
    const { publicKey } = Strap.generate(crypto);
    assert.match(publicKey, /^MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE[A-Za-z0-9+/]{86}==$/);
  });

  it('signs the connection and the announced key with that key, as long as it does not rotate', async () => {
    const strap = Strap.generate(crypto);
    const [first, second] = [strap.prove(FINISHED), strap.prove(utf8('another'))];
    assert.equal(first.publicKey, strap.publicKey);
    assert.ok(holds(first, strap.publicKey));
    assert.ok(!holds(first, strap.publicKey, utf8('another')), 'another connection');
    assert.equal(second.publicKey, strap.publicKey);
    assert.ok(holds(second, strap.publicKey, utf8('another')));
  });

  it('announces a new key after each rotation, signed with the one that the gateway knows', async () => {
    const strap = Strap.generate(crypto);
    let known = strap.publicKey;
    for (let connects = 0; connects < 3; connects++) {
      strap.rotate();
      assert.equal(strap.publicKey, known, 'the gateway knows the old key until the CONNECT');
      const proof = strap.prove(FINISHED);
      assert.notEqual(proof.publicKey, known);
      assert.ok(holds(proof, known));
      assert.ok(!holds(proof, proof.publicKey), 'the new key does not vouch for itself');
      assert.equal(strap.publicKey, proof.publicKey);
      known = proof.publicKey;
    }
  });

  it('is believed by the gateway for the key that it knows and this connection only, and leaves it with the new key', async () => {
    const strap = Strap.generate(crypto);
    const known = parseStrapKey(strap.publicKey) ?? assert.fail('no key');
    strap.rotate();
    const proof = strap.prove(FINISHED);
    const announced = verifyStrap(crypto, known, FINISHED, proof);
    assert.deepEqual(announced, parseStrapKey(proof.publicKey));
    assert.equal(verifyStrap(crypto, known, utf8('another'), proof), undefined, 'another connection');
    assert.equal(verifyStrap(crypto, announced ?? assert.fail(), FINISHED, proof), undefined, 'another key');
    assert.equal(verifyStrap(crypto, known, FINISHED, { verify: undefined, publicKey: proof.publicKey }), undefined);
    assert.equal(verifyStrap(crypto, known, FINISHED, { ...proof, publicKey: strap.publicKey.slice(4) }), undefined);
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String({ maxLength: 120 })), (text) => {
        assert.equal(parseStrapKey(text), undefined);
        assert.equal(verifyStrap(crypto, known, FINISHED, { verify: text, publicKey: proof.publicKey }), undefined);
      }),
    );
  });

  it('goes on with a saved key, which its first CONNECT announces and signs', async () => {
    const before = Strap.generate(crypto);
    const restored = Strap.restore(crypto, before.exportKey());
    assert.equal(restored.publicKey, before.publicKey);
    assert.deepEqual(restored.exportKey(), before.exportKey());
    const proof = restored.prove(FINISHED);
    assert.equal(proof.publicKey, before.publicKey);
    assert.ok(holds(proof, before.publicKey));
  });

  it('saves the key that the gateway knows', async () => {
    const strap = Strap.generate(crypto);
    strap.rotate();
    const { publicKey } = strap.prove(FINISHED);
    assert.equal(Strap.restore(crypto, strap.exportKey()).publicKey, publicKey);
  });
});
