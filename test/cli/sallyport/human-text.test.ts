import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytesText, clockText, dateText, durationText, listText, transportText } from '../../../src/cli/sallyport/human-text.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

describe('numbers for people', () => {
  it('say amounts of data with two or three digits', () => {
    for (const [bytes, text] of [
      [0, '0 B'],
      [999, '999 B'],
      [1000, '1.0 kB'],
      [1234, '1.2 kB'],
      [9949, '9.9 kB'],
      [9950, '10 kB'],
      [99_949, '100 kB'],
      [999_499, '999 kB'],
      [999_500, '1.0 MB'],
      [34_000_000, '34 MB'],
      [1.2e9, '1.2 GB'],
      [Number.MAX_SAFE_INTEGER, '9.0 PB'],
    ] as const)
      assert.equal(bytesText(bytes), text);
    fc.assert(fc.property(fc.maxSafeNat(), (bytes) => assert.match(bytesText(bytes), /^(\d{1,3}|\d\.\d) (B|[kMGTP]B)$/)));
  });

  it('say durations in their two largest units', () => {
    for (const [duration, text] of [
      [-5, '0 s'],
      [400, '0 s'],
      [8 * SECOND, '8 s'],
      [59_600, '1 min'],
      [125 * SECOND, '2 min 5 s'],
      [HOUR, '1 h'],
      [3 * HOUR + 10 * MINUTE + 59 * SECOND, '3 h 10 min'],
      [24 * HOUR, '1 day'],
      [52 * HOUR, '2 days 4 h'],
    ] as const)
      assert.equal(durationText(duration), text);
  });

  it('say dates so that day and month cannot be taken for each other, whatever the language', () => {
    assert.equal(dateText(new Date(2026, 11, 7, 9, 5)), '2026-12-07 09:05');
  });

  it('count up without jumping', () => {
    assert.equal(clockText(-1), '0:00:00');
    assert.equal(clockText(4 * MINUTE + 31 * SECOND + 999), '0:04:31');
    assert.equal(clockText(27 * HOUR), '27:00:00');
  });

  it('name transports by version and cipher, and by what they are called where that is not known', () => {
    assert.equal(transportText('dtls', 'DTLSv1.2-PSK_WITH_AES_256_GCM_SHA384'), 'DTLS 1.2, AES-256-GCM');
    assert.equal(transportText('tls', 'TLSv1.3-TLS_CHACHA20_POLY1305_SHA256'), 'TLS 1.3, ChaCha20-Poly1305');
    assert.equal(transportText('tls', 'TLSv1-TLS_RSA_WITH_AES_128_CBC_SHA'), 'TLS 1, AES-128-CBC');
    assert.equal(transportText('tls', 'TLSv1.2-NEW_CIPHER'), 'TLS 1.2, NEW_CIPHER');
    assert.equal(transportText('esp', 'ESP-AES-128-CBC-SHA1'), 'ESP, AES-128-CBC');
    assert.equal(transportText('dtls', 'strange'), 'DTLS, strange');
    assert.equal(transportText('tls', undefined), 'TLS');
  });

  it('list things as sentences do', () => {
    assert.deepEqual([[], ['a'], ['a', 'b'], ['a', 'b', 'c']].map(listText), ['', 'a', 'a and b', 'a, b and c']);
  });
});
