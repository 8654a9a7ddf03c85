/**
 * Clients that come by UDP alone: DTLS with the gateway's certificate, then a word that says whose session it is, then their tunnel.
 *
 * Read first: spec "Fortinet", sections 5, 6 and 9.
 *
 *   hello with its cookie ─► handshake ─► greeting ─► known? ─ no ─► refused
 *                                      │                └─ yes ─► accepted ─► first word of the tunnel ─► lease ─► tunnel
 *                                      └─ names a running tunnel ─► the association is its own, in whichever worker it runs
 *
 * The lease waits for that word, as it ends the session's tunnel of before: a client leaves its TLS connection when it is accepted, not sooner.
 */
import { createPrivateKey } from 'node:crypto';
import type { CertificateIdentity, CryptoProvider } from '../../core/crypto/provider.ts';
import { DTLS_1_0 } from '../../core/dtls/dialect.ts';
import { readFirstHello } from '../../core/dtls/first-hello.ts';
import { DtlsServer } from '../../core/dtls/server.ts';
import type { MovedAssociation } from '../../core/dtls/state.ts';
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { DatagramFront, Greeting, SessionFront, Visitor } from '../../core/protocols/gateway-protocol.ts';
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
  /** DTLS 1.0 is spoken with clients that offer nothing newer, where a front's clients may. */
  readonly allowsLegacy: boolean;
  readonly visitor: Visitor;
}

/** A client that is known. */
export type Received =
  /** Its tunnel, for which the path waits. */
  | { readonly kind: 'tunnel'; readonly lease: Lease; readonly machine: TunnelMachine }
  /** What it has named its tunnel by, which runs somewhere; the path is closed: the association goes on elsewhere. */
  | { readonly kind: 'flow'; readonly greetingId: Uint8Array; readonly dtls: MovedAssociation };

/** Undefined: it is nobody's, and the path is closed. @param first the hello that the path begins with */
export async function receiveStranger(path: DatagramPath, first: Uint8Array, options: ReceptionOptions): Promise<Received | undefined> {
  const { crypto, log, now, helloSecret, identity } = options;
  const credentials = { kind: 'certificate', identity } as const;
  const { version, fronts } = dialectFor(first, options);
  const dtls = new DtlsServer({ crypto, version, credentials, cookie: helloCookieOf(helloSecret, path.remote) });
  const association = new StrangerAssociation(path, dtls, { now, limit: STRANGER_LIMIT });
  try {
    const greeted = await greet(association, fronts, options);
    if (greeted === undefined || !association.release()) return undefined;
    if (greeted.kind === 'flow') {
      const moved = { ...greeted, dtls: dtls.moveAway() };
      await path.close();
      return moved;
    }
    const { front, hello, lease, early } = greeted;
    const said = [early, ...association.takeWaiting()];
    return { kind: 'tunnel', lease, machine: front.tunnel({ crypto, log, dtls, hello, early: said, terms: lease.terms }) };
  } catch (error) {
    await path.close(); // it may have been released
    throw error;
  } finally {
    await association.close();
  }
}

/** Nobody shakes hands in 1.0 but with those of whom some speak nothing else. */
function dialectFor(first: Uint8Array, { fronts, allowsLegacy }: ReceptionOptions) {
  const legacy = allowsLegacy ? fronts.filter((front) => front.kind === 'flow' && front.speaksLegacy) : [];
  const isLegacy = legacy.length > 0 && readFirstHello(first)?.version === DTLS_1_0;
  return isLegacy ? ({ version: '1.0', fronts: legacy } as const) : ({ version: '1.2', fronts } as const);
}

async function greet(association: StrangerAssociation, fronts: readonly DatagramFront[], options: ReceptionOptions) {
  for (let records = 0; records < MAX_RECORDS; records++) {
    const record = await association.next();
    if (record === undefined) return undefined;
    for (const front of fronts) {
      if (front.kind === 'flow') {
        const greetingId = front.greet(record, options.crypto);
        if (greetingId !== undefined) return { kind: 'flow', greetingId } as const;
      } else {
        const greeting = front.greet(record, options.crypto);
        if (greeting !== undefined) return greetSession(association, { front, hello: record, greeting }, options);
      }
    }
  }
  return undefined;
}

interface GreetedSession {
  readonly front: SessionFront;
  readonly hello: Uint8Array;
  readonly greeting: Greeting;
}

async function greetSession(
  association: StrangerAssociation,
  { front, hello, greeting }: GreetedSession,
  { crypto, visitor, log }: ReceptionOptions,
) {
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
  return lease && { kind: 'tunnel' as const, front, hello, lease, early };
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
