/**
 * A gateway's side of CONNECT: whose cookie it is, what the session gets, and the tunnel machine that answers it.
 *
 * Read first: spec "AnyConnect", sections 3.14, 4.1, 4.2 and 11.4. Every "no" that a client can cause is the same 401, as with ocserv.
 */
import type { PacketCompressor } from '../../compress/compressor.ts';
import { PeerRefusedError } from '../../errors.ts';
import { type HttpHeaders, type HttpRequest, headerValue } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import type { SessionTerms } from '../../tunnel/session-terms.ts';
import type { GatewayConnection, GatewaySession, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { deviceFacts } from './client-family.ts';
import { type ConnectOffer, parseConnectOffer } from './connect-offer.ts';
import { TUNNEL_PATH } from './connect-request.ts';
import { PSK_EXPORTER } from './datagram-association.ts';
import { cookieRefused, type GatewayAnswer, notFound, unavailable } from './gateway-answer.ts';
import { broughtCookie } from './gateway-cookies.ts';
import { userAgentOf } from './gateway-login.ts';
import { GatewayTunnel } from './gateway-tunnel.ts';
import { SESSION_COOKIE } from './session-cookie.ts';
import { gatewayTerms, tunnelDetails } from './session-offer.ts';
import { verifyStrap } from './strap.ts';

/** Bytes that name a datagram channel: as many as a DTLS session's id has. */
const DATAGRAM_ID_LENGTH = 32;

/** Runs the session's tunnel on the connection, which answers the request; or says why not. */
export async function openTunnel(
  request: HttpRequest,
  session: GatewaySession,
  connection: GatewayConnection,
  visitor: Visitor,
): Promise<GatewayAnswer | 'tunnel'> {
  // Observed: the cookie comes first: who has none learns nothing of paths.
  if (request.target !== TUNNEL_PATH) return notFound(request);
  if (!(await provesKey(session, request.headers, connection, visitor))) return cookieRefused(request);
  const offer = parseConnectOffer(request);
  const terms = await leased(session, wishesOf(request.headers, offer), visitor);
  if (terms === undefined) return cookieRefused(request);
  await run(session, terms, offer, connection, visitor);
  return 'tunnel';
}

/** The session of the request's cookie, or the refusal. */
export async function sessionOf(request: HttpRequest, visitor: Visitor): Promise<GatewaySession | GatewayAnswer> {
  const cookie = broughtCookie(request.headers, SESSION_COOKIE);
  if (!(cookie instanceof Secret)) return unavailable(request);
  return (await visitor.session(cookie)) ?? cookieRefused(request);
}

/** Spec 3.14: a session that was bound to a key is for its holder only, and bound to the key that this CONNECT announces from now on. */
async function provesKey(session: GatewaySession, headers: HttpHeaders, { facts }: GatewayConnection, visitor: Visitor): Promise<boolean> {
  const { boundKey } = session;
  if (boundKey === undefined) return true;
  const proof = {
    verify: headerValue(headers, 'X-AnyConnect-STRAP-Verify'),
    publicKey: headerValue(headers, 'X-AnyConnect-STRAP-Pubkey'),
  };
  const announced = facts.clientFinished && verifyStrap(visitor.crypto, boundKey, facts.clientFinished, proof);
  if (announced === undefined) {
    visitor.log.log('warn', 'strap refused', { user: session.user });
    return false;
  }
  if (announced.some((byte, i) => byte !== boundKey[i])) await session.rebind(announced);
  return true;
}

function wishesOf(headers: HttpHeaders, { wantsIpv4, wantsIpv6, hostname }: ConnectOffer): LeaseWishes {
  return { wantsIpv4, wantsIpv6, userAgent: userAgentOf(headers), ...deviceFacts(headers), ...(hostname !== undefined && { hostname }) };
}

async function leased(session: GatewaySession, wishes: LeaseWishes, { log }: Visitor): Promise<SessionTerms | undefined> {
  try {
    return await session.lease(wishes);
  } catch (error) {
    if (!(error instanceof PeerRefusedError)) throw error;
    log.log('warn', 'no lease', { user: session.user, reason: error.message });
    return undefined;
  }
}

async function run(
  session: GatewaySession,
  terms: SessionTerms,
  offer: ConnectOffer,
  connection: GatewayConnection,
  { crypto, log, host }: Visitor,
): Promise<void> {
  const { facts } = connection;
  const offered = gatewayTerms(terms, facts, crypto.randomBytes(DATAGRAM_ID_LENGTH));
  const createDeflate = await deflateFor(offered.encodings, offer);
  const machine = new GatewayTunnel({
    ...{ crypto, log, offer, terms: offered, details: tunnelDetails(terms, host, facts) },
    networks: terms.clientNetworks,
    minLengthToCompress: terms.minLengthToCompress,
    ...(createDeflate !== undefined && { createDeflate }),
    ...(terms.switchToStreamAfter !== undefined && { switchToStreamAfter: terms.switchToStreamAfter }),
  });
  const hasDatagrams = offered.datagram !== undefined && offer.datagram !== undefined;
  connection.run(session, {
    machine,
    ...(hasDatagrams && { datagramId: offered.datagram.id, ...(offered.datagram.allowsPsk && { exporter: PSK_EXPORTER }) }),
  });
}

/** Few tunnels compress with deflate: it brings a library with it. */
async function deflateFor(encodings: readonly string[], offer: ConnectOffer): Promise<(() => PacketCompressor) | undefined> {
  if (!encodings.includes('deflate') || !offer.encodings.includes('deflate')) return undefined;
  return (await import('../../compress/deflate.ts')).createDeflate;
}
