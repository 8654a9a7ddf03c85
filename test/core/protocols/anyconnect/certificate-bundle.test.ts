import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { certificateBundle } from '../../../../src/core/protocols/anyconnect/certificate-bundle.ts';
import { DER_TAGS, der } from '../../../../src/core/wire/der.ts';
import { toHex } from '../../../../src/core/wire/text.ts';
import { certificatesIn } from '../../../support/second-certificate.ts';

describe('certificates-only PKCS#7', () => {
  // Observed: openconnect 9.01 (GnuTLS) writes these bytes around a certificate of 0x303 bytes, but calls the inner content digestedData
  // (…0705). RFC 2315 §9.1 calls it irrelevant and recommends data.
  it('has the bytes of the reference client around its certificates', () => {
    const certificate = der(DER_TAGS.sequence, new Uint8Array(0x303 - 4));
    const bytes = toHex(certificateBundle([certificate]));
    const frame = '3082032e06092a864886f70d010702a082031f3082031b0201013100300b06092a864886f70d010701a0820303';
    assert.equal(bytes.slice(0, frame.length), frame);
    assert.equal(bytes.slice(frame.length), `${toHex(certificate)}3100`);
  });

  it('is read by others, its certificates in order', () => {
    const certificate = fc.uint8Array({ maxLength: 700 }).map((contents) => der(DER_TAGS.sequence, der(0x04, contents)));
    fc.assert(
      fc.property(fc.array(certificate, { minLength: 1, maxLength: 5 }), (certificates) => {
        assert.deepEqual(
          certificatesIn(certificateBundle(certificates)),
          certificates.map((bytes) => Buffer.from(bytes)),
        );
      }),
    );
  });
});
