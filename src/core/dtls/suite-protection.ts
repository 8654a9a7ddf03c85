/** The protection that a cipher suite means: epoch 1 of one direction. */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { CipherSuite } from '../tls-messages/cipher-suites.ts';
import type { DirectionKeys } from '../tls-messages/key-schedule.ts';
import { AeadProtection } from './aead-protection.ts';
import { CbcProtection } from './cbc-protection.ts';
import type { Dialect } from './dialect.ts';

export type SuiteRecordProtection = AeadProtection | CbcProtection;

export function protectionFor(crypto: CryptoProvider, dialect: Dialect, suite: CipherSuite, keys: DirectionKeys): SuiteRecordProtection {
  const { protection } = suite;
  switch (protection.kind) {
    case 'aead':
      return new AeadProtection(crypto, protection.cipher, keys, dialect.wireVersion);
    case 'cbc':
      return new CbcProtection(crypto, protection, keys, dialect.wireVersion);
  }
}
