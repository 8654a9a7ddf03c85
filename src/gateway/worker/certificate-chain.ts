/** A certificate and its issuers, as their file has them. */
import { X509Certificate } from 'node:crypto';
import { MisuseError } from '../../core/errors.ts';

/** Certificates of one PEM text that are looked at. */
const MAX_CERTIFICATES = 16;

/** DER, in the order of the text. Throws {@link MisuseError} for one that is none. */
export function chainOf(pem: string): Uint8Array[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.slice(0, MAX_CERTIFICATES).map((block) => {
    try {
      return new Uint8Array(new X509Certificate(block).raw);
    } catch (error) {
      throw new MisuseError('A certificate of the gateway cannot be read.', { cause: error });
    }
  });
}
