/**
 * A server's association that another process has shaken hands for. The peer notices nothing: keys, numbers and window go on where they stood.
 *
 * Read first: `association.ts`, and there `moveAway`.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { MisuseError } from '../errors.ts';
import { cipherSuite, keySizes, type SuiteProtection, suiteIdText } from '../tls-messages/cipher-suites.ts';
import type { TrafficKey } from '../tunnel/traffic.ts';
import { DtlsAssociation } from './association.ts';
import { allowsSuite, DIALECTS } from './dialect.ts';
import { type HandshakeRole, unexpectedMessage } from './handshake-role.ts';
import type { MovedAssociation } from './state.ts';
import { protectionFor } from './suite-protection.ts';

/** It is over: the peer's last messages, should they come once more, were understood. */
const SHAKEN: HandshakeRole = {
  side: 'server',
  start: () => undefined,
  receive: (message) => {
    throw unexpectedMessage(message, 'no handshake any more');
  },
  wipe: () => undefined,
};

export class MovedServer extends DtlsAssociation {
  /** Throws {@link MisuseError} for a suite that we do not speak in that version, and for keys that are none of the suite's. */
  constructor(crypto: CryptoProvider, { session, seal, open }: MovedAssociation) {
    super(SHAKEN, { crypto, version: session.version });
    const suite = cipherSuite(session.suite);
    if (suite === undefined || !allowsSuite(DIALECTS[session.version], suite)) {
      throw new MisuseError(`Cipher suite ${suiteIdText(session.suite)} is not one that we speak in DTLS ${session.version}.`);
    }
    const protection = (traffic: TrafficKey) => {
      const { key, iv, mac = NO_MAC } = checked(traffic, suite.protection);
      return protectionFor(crypto, DIALECTS[session.version], suite, { key, iv, mac });
    };
    this.goOn(
      { ...session, suite },
      { seal: protection(seal), open: protection(open), nextToSeal: seal.nextSequence, nextToOpen: open.nextSequence },
    );
  }
}

const NO_MAC = new Uint8Array(0);

/** Else it would be found out by the first record, in the middle of a tunnel. */
function checked(traffic: TrafficKey, protection: SuiteProtection): TrafficKey {
  const { key, iv, mac = NO_MAC } = traffic;
  const sizes = keySizes(protection);
  if (key.length !== sizes.key || iv.length !== sizes.iv || mac.length !== sizes.mac) {
    throw new MisuseError(`Keys of ${key.length}, ${iv.length} and ${mac.length} bytes are not those of the cipher suite.`);
  }
  return traffic;
}
