/** The master secret of one association and what is derived from it. Wiped as soon as the handshake is over. */
import type { CryptoProvider } from '../crypto/provider.ts';
import type { PrfName } from '../crypto/tls-prf.ts';
import type { CipherSuite } from '../tls-messages/cipher-suites.ts';
import { extendedMasterSecret, type HelloRandoms, masterSecret, trafficKeys, verifyData } from '../tls-messages/key-schedule.ts';
import { type Dialect, prfOf } from './dialect.ts';
import type { DtlsSession } from './state.ts';
import { protectionFor, type SuiteRecordProtection } from './suite-protection.ts';
import type { Transcript } from './transcript.ts';

export type Side = 'client' | 'server';

/** What all of a handshake shares. */
export interface HandshakeContext {
  readonly crypto: CryptoProvider;
  readonly dialect: Dialect;
  /** Sent messages are added by themselves, received ones by the role: some do not belong in it. */
  readonly transcript: Transcript;
}

export class SessionSecrets {
  /** The protection of what each side sends. */
  readonly protections: Readonly<Record<Side, SuiteRecordProtection>>;
  readonly #crypto: CryptoProvider;
  readonly #prf: PrfName;
  readonly #master: Uint8Array;

  /** Takes `master` over, to wipe it. */
  constructor({ crypto, dialect }: HandshakeContext, suite: CipherSuite, master: Uint8Array, randoms: HelloRandoms) {
    this.#crypto = crypto;
    this.#prf = prfOf(dialect, suite);
    this.#master = master;
    const keys = trafficKeys(crypto, this.#prf, master, randoms, suite.protection);
    this.protections = {
      client: protectionFor(crypto, dialect, suite, keys.client),
      server: protectionFor(crypto, dialect, suite, keys.server),
    };
  }

  /** What the Finished of one side has to say after these messages. */
  verifyData(side: Side, transcript: Transcript): Uint8Array {
    return verifyData(this.#crypto, this.#prf, this.#master, side, transcript.bytes());
  }

  /** The protections stay: they are in use. */
  wipe(): void {
    this.#master.fill(0);
  }
}

/** What a full handshake comes to, once ClientKeyExchange is in the transcript. Takes the premaster secret over, and wipes it. */
export function fullSecrets(io: HandshakeContext, session: DtlsSession, premaster: Uint8Array, randoms: HelloRandoms): SessionSecrets {
  const prf = prfOf(io.dialect, session.suite);
  const master = session.hasExtendedMasterSecret
    ? extendedMasterSecret(io.crypto, prf, premaster, io.transcript.bytes())
    : masterSecret(io.crypto, prf, premaster, randoms);
  premaster.fill(0);
  return new SessionSecrets(io, session.suite, master, randoms);
}
