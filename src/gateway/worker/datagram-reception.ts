/**
 * Clients that come by UDP alone: DTLS with the gateway's certificate, then a word that says whose session it is, then their tunnel.
 *
 * Read first: spec "Fortinet", sections 5, 6 and 9.
 *
 *   hello with its cookie ─► handshake ─► greeting ─► known? ─ no ─► refused
 *                                                       └─ yes ─► accepted ─► first word of the tunnel ─► lease ─► tunnel
 *
 * The lease waits for that word, as it ends the session's tunnel of before: a client leaves its TLS connection when it is accepted, not sooner.
 */
import { createPrivateKey } from 'node:crypto';
import type { CertificateIdentity, CryptoProvider } from '../../core/crypto/provider.ts';
import { DtlsServer } from '../../core/dtls/server.ts';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { DatagramFront, Visitor } from '../../core/protocols/gateway-protocol.ts';
import { granted } from '../../core/protocols/page-gateway.ts';
import type { TunnelMachine } from '../../core/tunnel/machine.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { certificateIdentity } from '../../node/crypto/certificates.ts';
import type { DatagramPath } from '../../node/datagram-path.ts';
import { helloCookieOf } from '../processes/hello-cookie.ts';
import type { Lease } from '../processes/worker-contract.ts';
import { chainOf } from './certificate-chain.ts';
import type { HostMaterial } from './host-material.ts';
import { StrangerAssociation } from './stranger-association.ts';
import type { LeasedSession } from './worker-visitor.ts';

/** Spec 9: associations at once of which nobody knows whose they are, and how long each may be one. */
export const MAX_STRANGERS = 1000;
const STRANGER_LIMIT: Millis = 10_000;

/** What a client may say before it says whose it is. */
const MAX_RECORDS = 8;

export interface ReceptionOptions {
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly now: () => Millis;
  readonly helloSecret: Uint8Array;
  readonly identity: CertificateIdentity;
  readonly fronts: readonly DatagramFront[];
  readonly visitor: Visitor;
}

/** A client that is known, and its tunnel. */
export interface Received {
  readonly lease: Lease;
  readonly machine: TunnelMachine;
}

/** Undefined: it is nobody's, and the path is closed. Else the path waits for its tunnel. */
export async function receiveStranger(path: DatagramPath, options: ReceptionOptions): Promise<Received | undefined> {
  const { crypto, log, now, helloSecret, identity } = options;
  const credentials = { kind: 'certificate', identity } as const;
  const dtls = new DtlsServer({ crypto, version: '1.2', credentials, cookie: helloCookieOf(helloSecret, path.remote) });
  const association = new StrangerAssociation(path, dtls, { now, limit: STRANGER_LIMIT });
  try {
    const greeted = await greet(association, options);
    if (greeted === undefined || !association.release()) return undefined;
    const { front, hello, lease, early } = greeted;
    const said = [early, ...association.takeWaiting()];
    return { lease, machine: front.tunnel({ crypto, log, dtls, hello, early: said, terms: lease.terms }) };
  } finally {
    await association.close();
  }
}

async function greet(association: StrangerAssociation, { crypto, fronts, visitor, log }: ReceptionOptions) {
  for (let records = 0; records < MAX_RECORDS; records++) {
    const record = await association.next();
    if (record === undefined) return undefined;
    const front = fronts.find((other) => other.greet(record, crypto) !== undefined);
    const greeting = front?.greet(record, crypto);
    if (front === undefined || greeting === undefined) continue;
    const session = await visitor.session(greeting.cookie);
    const terms = session && (await granted(session, () => session.preview(greeting.wishes), log));
    if (session === undefined || terms === undefined) {
      association.say(greeting.refused);
      return undefined;
    }
    association.say(greeting.accepted(terms));
    let early = await association.next();
    // Its answer was lost.
    while (early !== undefined && front.greet(early, crypto) !== undefined) {
      association.say(greeting.accepted(terms));
      early = await association.next();
    }
    if (early === undefined || (await granted(session, () => session.lease(greeting.wishes), log)) === undefined) return undefined;
    const lease = (session as LeasedSession).lastLease; // the visitor makes all sessions
    return lease && { front, hello: record, lease, early };
  }
  return undefined;
}

/** The certificate that a host shows on TLS, with its key; undefined: a kind of key that DTLS is not spoken with here. */
export function datagramIdentity(
  { certificates: [pair] }: Pick<HostMaterial, 'certificates'>,
  log: Logger,
): CertificateIdentity | undefined {
  if (pair === undefined) return undefined;
  try {
    const key = createPrivateKey({ key: pair.key.reveal(), ...(pair.pin !== undefined && { passphrase: pair.pin.reveal() }) });
    return certificateIdentity(chainOf(pair.certificate), key);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    log.log('warn', 'no DTLS for clients that want to see a certificate', { reason: error.message });
    return undefined;
  }
}
