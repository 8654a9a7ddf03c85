import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cipherSuite, keySizes, PSK_SUITE_IDS } from '../../../src/core/tls-messages/cipher-suites.ts';
import { extendedMasterSecret, masterSecret, pskPremaster, trafficKeys } from '../../../src/core/tls-messages/key-schedule.ts';
import { toHex, utf8 } from '../../../src/core/wire/text.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { PSK_CAPTURE } from '../dtls/captures.ts';

const crypto = new NodeCrypto();
const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i);
const RANDOMS = { client: new Uint8Array(32).fill(0xc1), server: new Uint8Array(32).fill(0x51) };

describe('key schedule', () => {
  it('makes premaster and master secret of a PSK (spec "AnyConnect", section 13.5)', () => {
    const premaster = pskPremaster(counting(32));
    assert.equal(toHex(premaster), `0020${'00'.repeat(32)}0020${toHex(counting(32))}`);
    assert.equal(
      toHex(masterSecret(crypto, 'sha384', premaster, RANDOMS)),
      'ec7cf6d85c5f981edadfb900ae109555459f99ddaa523a5d4b404519a877aef9b3cabdbde530077d583a7dc5cb13760d',
    );
  });

  it('makes the master secret of the captured PSK handshake', () => {
    const randoms = { client: PSK_CAPTURE.clientHello.slice(27, 59), server: PSK_CAPTURE.serverHello.slice(27, 59) };
    assert.deepEqual(masterSecret(crypto, 'sha384', pskPremaster(PSK_CAPTURE.psk), randoms), PSK_CAPTURE.master);
  });

  it('binds the extended master secret to the transcript', () => {
    const premaster = pskPremaster(counting(32));
    const one = extendedMasterSecret(crypto, 'sha256', premaster, utf8('transcript'));
    assert.equal(one.length, 48);
    assert.deepEqual(extendedMasterSecret(crypto, 'sha256', premaster, utf8('transcript')), one);
    assert.notDeepEqual(extendedMasterSecret(crypto, 'sha256', premaster, utf8('another')), one);
    // RFC 7627 §4: PRF(premaster, label, hash of the transcript), spelled out for its first block.
    const seed = Buffer.concat([utf8('extended master secret'), crypto.hash('sha256', utf8('transcript'))]);
    const a1 = crypto.hmac('sha256', premaster, seed);
    assert.equal(toHex(one.subarray(0, 32)), toHex(crypto.hmac('sha256', premaster, Buffer.concat([a1, seed]))));
  });

  it('cuts the key block into pieces of the lengths that the suite wants, none twice', () => {
    for (const id of [...PSK_SUITE_IDS, 0x002f, 0x009d, 0xc030]) {
      const suite = cipherSuite(id) ?? assert.fail();
      const sizes = keySizes(suite.protection);
      const { client, server } = trafficKeys(crypto, suite.prf, counting(48), RANDOMS, suite.protection);
      const pieces: string[] = [];
      for (const keys of [client, server]) {
        assert.deepEqual({ mac: keys.mac.length, key: keys.key.length, iv: keys.iv.length }, sizes, suite.name);
        pieces.push(...[keys.mac, keys.key, keys.iv].filter((piece) => piece.length > 0).map(toHex));
      }
      assert.equal(new Set(pieces).size, pieces.length);
    }
  });
});

describe('cipher suites', () => {
  it('offer the PSK suites that every client of ours must have, strongest first', () => {
    assert.deepEqual(PSK_SUITE_IDS, [0x00a9, 0xccab, 0x00a8, 0x008d, 0x008c, 0x00ae]);
  });

  it('are unknown unless we speak them', () => {
    assert.equal(cipherSuite(0x000a), undefined);
    assert.equal(cipherSuite(0xc0a5), undefined);
  });
});
