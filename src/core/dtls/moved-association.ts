/**
 * A server's association that another process has shaken hands for. The peer notices nothing: keys, numbers and window go on where they stood.
 *
 * Read first: `association.ts`, and there `moveAway`.
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { MisuseError } from '../errors.ts';
import { cipherSuite, suiteIdText } from '../tls-messages/cipher-suites.ts';
import type { TrafficKey } from '../tunnel/traffic.ts';
import { DtlsAssociation } from './association.ts';
import { DIALECTS } from './dialect.ts';
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
  /** Throws {@link MisuseError} for a suite that we do not speak. */
  constructor(crypto: CryptoProvider, { session, seal, open }: MovedAssociation) {
    super(SHAKEN, { crypto, version: session.version });
    const suite = cipherSuite(session.suite);
    if (suite === undefined) throw new MisuseError(`Cipher suite ${suiteIdText(session.suite)} is not one that we speak.`);
    const protection = ({ key, iv, mac = new Uint8Array(0) }: TrafficKey) =>
      protectionFor(crypto, DIALECTS[session.version], suite, { key, iv, mac });
    this.goOn(
      { ...session, suite },
      { seal: protection(seal), open: protection(open), nextToSeal: seal.nextSequence, nextToOpen: open.nextSequence },
    );
  }
}
