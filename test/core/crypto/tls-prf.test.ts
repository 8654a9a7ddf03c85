import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PrfName, tlsPrf, tlsTranscriptHash } from '../../../src/core/crypto/tls-prf.ts';
import { fromHex, toHex, utf8 } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';

const crypto = new NodeCrypto();

/** 0, 1, 2, … */
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i);

describe('tlsPrf', () => {
  const randoms = new Uint8Array(64).fill(0xc1, 0, 32).fill(0x51, 32);

  for (const [prf, psk] of [
    ['sha256', '05ce34ec5ee8b85a796b9ddaa3bf90227218974539eb2b66b1a16bf943d58cef'],
    ['sha384', '9ebdd075c3b03b0efa152ae0d21f014290152fa3357862c67ee63e9f1568bb06'],
  ] as const) {
    it(`exports the PSK of a TLS 1.2 session with ${prf} (spec "AnyConnect", section 13.5)`, () => {
      assert.equal(toHex(tlsPrf(crypto, prf, counting(48), 'EXPORTER-openconnect-psk', randoms, 32)), psk);
    });
  }

  it('splits the secret of TLS 1.0 into halves that share the middle byte', () => {
    // RFC 2246 §5, spelled out for output no longer than one hash: P_MD5(S1) XOR P_SHA1(S2).
    const secret = counting(5);
    const seed = utf8('labelseed');
    const block = (hash: 'md5' | 'sha1', half: Uint8Array) => {
      const a1 = crypto.hmac(hash, half, seed);
      return crypto.hmac(hash, half, Buffer.concat([a1, seed]));
    };
    const [md5, sha1] = [block('md5', counting(3)), block('sha1', Uint8Array.of(2, 3, 4))];
    const expected = md5.map((byte, i) => byte ^ (sha1[i] ?? 0));
    assert.equal(toHex(tlsPrf(crypto, 'md5-sha1', secret, 'label', utf8('seed'), 16)), toHex(expected));
  });

  it('gives the beginning of one stream, whatever the length', () => {
    for (const prf of ['md5-sha1', 'sha256', 'sha384'] satisfies PrfName[]) {
      const long = tlsPrf(crypto, prf, counting(48), 'label', randoms, 200);
      for (const length of [0, 1, 12, 20, 47, 48, 49, 100, 199]) {
        assert.equal(toHex(tlsPrf(crypto, prf, counting(48), 'label', randoms, length)), toHex(long.subarray(0, length)));
      }
    }
  });
});

describe('tlsTranscriptHash', () => {
  it('is MD5 and SHA-1 side by side before TLS 1.2, and the hash of the suite from then on', () => {
    const messages = utf8('abc');
    assert.equal(
      toHex(tlsTranscriptHash(crypto, 'md5-sha1', messages)),
      '900150983cd24fb0d6963f7d28e17f72' + 'a9993e364706816aba3e25717850c26c9cd0d89d',
    );
    assert.equal(toHex(tlsTranscriptHash(crypto, 'sha256', messages)), toHex(crypto.hash('sha256', messages)));
    assert.deepEqual(tlsTranscriptHash(crypto, 'sha384', fromHex('')).length, 48);
  });
});
