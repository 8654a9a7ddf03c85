/**
 * How long records are: what MTU arithmetic needs.
 *
 * Read first: spec "AnyConnect", section 8.3. Lengths of the UDP payload, in bytes, one record in a datagram.
 */
import { MAC_LENGTHS, type SuiteProtection } from '../tls-messages/cipher-suites.ts';
import { AEAD_TAG_LENGTH, explicitNonceLength } from './aead-protection.ts';
import { CBC_BLOCK_LENGTH } from './cbc-padding.ts';
import { RECORD_HEADER_LENGTH } from './record.ts';

/** The most bytes by which a record is longer than its plaintext: 37 for GCM, 29 for ChaCha20-Poly1305, 65 for CBC with SHA-1. */
export function maxRecordOverhead(protection: SuiteProtection): number {
  switch (protection.kind) {
    case 'aead':
      return RECORD_HEADER_LENGTH + explicitNonceLength(protection.cipher) + AEAD_TAG_LENGTH;
    case 'cbc':
      return RECORD_HEADER_LENGTH + CBC_BLOCK_LENGTH + MAC_LENGTHS[protection.mac] + CBC_BLOCK_LENGTH;
  }
}

/** The largest plaintext whose record fits a UDP payload; negative if not even an empty one does. */
export function largestPlaintext(protection: SuiteProtection, udpPayload: number): number {
  switch (protection.kind) {
    case 'aead':
      return udpPayload - maxRecordOverhead(protection);
    case 'cbc': {
      const blocks = Math.floor((udpPayload - RECORD_HEADER_LENGTH - CBC_BLOCK_LENGTH) / CBC_BLOCK_LENGTH);
      return blocks * CBC_BLOCK_LENGTH - MAC_LENGTHS[protection.mac] - 1;
    }
  }
}
