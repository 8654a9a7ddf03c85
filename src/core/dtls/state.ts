/** What the owner of a DTLS association sees of it: its state, the facts of its session, and what was dropped and why. */
import type { SallyportError } from '../errors.ts';
import type { CipherSuite } from '../tls-messages/cipher-suites.ts';
import type { Millis } from '../tunnel/packet.ts';
import type { TrafficKey } from '../tunnel/traffic.ts';
import type { DtlsVersion } from './dialect.ts';

/**
 *   idle ── hello ──► handshaking ── Finished ──► up ──► closed
 *                          └── alert, bad message ─┴──► failed
 */
export type DtlsState =
  /** Nothing has been sent. A client starts with its first `handleTimeout`, a server with a hello that it knows. */
  | { readonly name: 'idle' }
  | { readonly name: 'handshaking'; readonly since: Millis }
  /**
   * Data flows. `confirmed`: the peer has proved that it has our Finished, so that nothing of the handshake will be sent again. Where ours is the
   * last flight (a resuming client, a full server), that proof is the peer's first data.
   */
  | { readonly name: 'up'; readonly session: DtlsSession; readonly confirmed: boolean }
  | { readonly name: 'failed'; readonly error: SallyportError }
  | { readonly name: 'closed'; readonly by: 'us' | 'peer' };

/** What was negotiated. */
export interface DtlsSession {
  readonly version: DtlsVersion;
  /** Its `keyExchange` names the suite's; in a resumed session none took place. */
  readonly suite: CipherSuite;
  readonly isResumed: boolean;
  readonly hasExtendedMasterSecret: boolean;
  /** The largest plaintext that the peer takes in one record. */
  readonly maxPlaintext: number;
}

/** An association on its way to another process, in plain data. */
export interface MovedAssociation {
  /** `suite` is its IANA id. */
  readonly session: Omit<DtlsSession, 'suite'> & { readonly suite: number };
  readonly seal: TrafficKey;
  readonly open: TrafficKey;
}

/** Records, and packets that became none, by their fate. On the packet path nothing is thrown: it is counted here. */
export interface DtlsCounters {
  /** Records sent under keys, the handshake's own not counted. */
  readonly sealed: number;
  /** Authentic records received. */
  readonly opened: number;
  /** Cut short, too long, or a handshake record without a handshake message in it. */
  readonly malformed: number;
  readonly wrongVersion: number;
  /** In the clear after keys were agreed on, or of an epoch that never was. */
  readonly wrongEpoch: number;
  /** Seen before, or too old to tell. */
  readonly replayed: number;
  /** The tag, MAC or padding is wrong. */
  readonly forged: number;
  /** Authentic or in the clear where that is right, but not of use now: repeated messages, data before Finished, a type unknown to us. */
  readonly unexpected: number;
  /** Sealed records that came before the keys, when no more could be held. */
  readonly tooEarly: number;
  /** Hellos of nobody we know (server). */
  readonly unknownHellos: number;
  /** Packets not sent: larger than a record. */
  readonly tooLarge: number;
  /** Packets not sent: the association is not up, or has used up its 2^48 record numbers. */
  readonly notUp: number;
}

/** The counters as the machine writes them. */
export type CounterStore = { -readonly [cause in keyof DtlsCounters]: number };

export function newCounters(): CounterStore {
  return {
    sealed: 0,
    opened: 0,
    malformed: 0,
    wrongVersion: 0,
    wrongEpoch: 0,
    replayed: 0,
    forged: 0,
    unexpected: 0,
    tooEarly: 0,
    unknownHellos: 0,
    tooLarge: 0,
    notUp: 0,
  };
}
