/**
 * What a gateway makes of a client's offer: compression, datagram mode and MTU of the tunnel that is about to begin.
 *
 * Read first: spec "AnyConnect", sections 4.6, 6.1, 7.2 and 8.2.
 */
import type { CompressionName } from '../../compress/compressor.ts';
import { maxRecordOverhead } from '../../dtls/record-overhead.ts';
import { cipherSuite, PSK_SUITE_IDS, type SuiteProtection } from '../../tls-messages/cipher-suites.ts';
import { MIN_MTU_IPV4, MIN_MTU_IPV6, type TunnelConfig } from '../../tunnel/config.ts';
import type { KeepaliveTimes } from '../../tunnel/keepalive.ts';
import type { PathFacts } from '../../tunnel/machine.ts';
import { datagramOfLink, tunnelMtuOfLink } from '../../tunnel/mtu.ts';
import type { ConnectOffer } from './connect-offer.ts';
import type { AssociationParameters, ConnectResponse, DatagramParameters } from './connect-response.ts';
import { PSK_NEGOTIATE, type ResumptionSuite, resumptionSuite, type SuiteHeader } from './dtls-suites.ts';

/** What the gateway's administrator and the session's lease say. */
export interface GatewayTerms {
  /** Addresses, routes, names. The MTU is found here. Families that the client does not want or cannot use are left out. */
  readonly config: Omit<TunnelConfig, 'mtu'>;
  /** The largest outer IP packet that is sent, in bytes. */
  readonly linkMtu: number;
  /** What the client is told for the stream. */
  readonly times: KeepaliveTimes;
  /** Encodings that are taken, best first. */
  readonly encodings: readonly CompressionName[];
  /** Undefined: no datagram channel. */
  readonly datagram?: DatagramTerms;
}

export interface DatagramTerms {
  /** Of UDP. It must be open before the answer leaves: the client's hello follows at once (spec 7.7). */
  readonly port: number;
  /** 32 bytes that nobody can guess, for this tunnel alone: by them the client's hello is known (spec 7.8). */
  readonly id: Uint8Array;
  readonly times: KeepaliveTimes;
  /** Takes a handshake with a key exported from TLS, and prefers it. */
  readonly allowsPsk: boolean;
  /** IANA ids for it, best first; undefined: all of ours. */
  readonly pskSuites?: readonly number[];
  /** Names for a resumption that are taken, best first. */
  readonly suites: readonly string[];
  readonly suites12: readonly string[];
}

/** ocserv's figure for requests without a base MTU: what a DTLS record adds at worst (spec 8.2). */
const ASSUMED_OVERHEAD = 66;

/** The answer for a client on this connection. */
export function agreeOnTerms(offer: ConnectOffer, terms: GatewayTerms, facts: PathFacts): ConnectResponse {
  const { family } = facts.remote.address;
  const header = datagramOfLink(0, family); // negative: what IP and UDP take
  const requested = offer.baseMtu > 0 ? offer.baseMtu : offer.mtu > 0 ? offer.mtu - header + ASSUMED_OVERHEAD : terms.linkMtu;
  const link = Math.min(terms.linkMtu, requested, facts.pathMtu ?? terms.linkMtu);
  const datagram = datagramParameters(offer, terms.datagram, facts);
  const overhead = datagram === undefined ? undefined : maxRecordOverhead(protectionOf(datagram.association, terms.datagram));
  const mtu = Math.max(tunnelMtuOfLink(link, family, overhead), MIN_MTU_IPV4);
  return {
    config: configFor(offer, terms.config, mtu),
    baseMtu: link,
    stream: { times: terms.times, compression: firstCommon(terms.encodings, offer.encodings) },
    datagram: datagram && { ...datagram, compression: firstCommon(terms.encodings, offer.datagram?.encodings ?? []) },
    warnings: [],
  };
}

function datagramParameters(
  { datagram: request }: ConnectOffer,
  terms: DatagramTerms | undefined,
  facts: PathFacts,
): Omit<DatagramParameters, 'compression'> | undefined {
  if (request === undefined || terms === undefined) return undefined;
  const { id, port, times } = terms;
  const hasKey = (facts.tls?.exported?.length ?? 0) > 0;
  if (terms.allowsPsk && hasKey && [...request.suites, ...request.suites12].includes(PSK_NEGOTIATE)) {
    return { port, times, association: { mode: 'psk', appId: id } };
  }
  // Spec 7.2: a suite of the newer header beats one of the older.
  const suite =
    firstSuite('X-DTLS12-CipherSuite', terms.suites12, request.suites12) ?? firstSuite('X-DTLS-CipherSuite', terms.suites, request.suites);
  return suite && { port, times, association: { mode: 'resumption', sessionId: id, suite } };
}

function firstSuite(header: SuiteHeader, taken: readonly string[], offered: readonly string[]): ResumptionSuite | undefined {
  const name = taken.find((known) => offered.includes(known) && resumptionSuite(header, known) !== undefined);
  return name === undefined ? undefined : resumptionSuite(header, name);
}

/** The cipher that will be spoken; with a pre-shared key, the one that will be chosen if the client knows it. */
function protectionOf(association: AssociationParameters, terms: DatagramTerms | undefined): SuiteProtection {
  const [best = 0] = terms?.pskSuites ?? PSK_SUITE_IDS;
  const id = association.mode === 'psk' ? best : association.suite.id;
  return cipherSuite(id)?.protection ?? { kind: 'cbc', cipher: 'aes-256-cbc', mac: 'sha256' }; // not one of ours: the worst case
}

/** Spec 4.6: nothing of IPv6 for who does not want it, and where its smallest MTU does not fit. */
function configFor(offer: ConnectOffer, config: Omit<TunnelConfig, 'mtu'>, mtu: number): TunnelConfig {
  const { ipv4, ipv6, ...others } = config;
  const hasIpv6 = offer.wantsIpv6 && mtu >= MIN_MTU_IPV6 && ipv6 !== undefined;
  const hasIpv4 = offer.wantsIpv4 && ipv4 !== undefined;
  const isOfTunnel = (family: 4 | 6) => (family === 4 ? hasIpv4 : hasIpv6);
  return {
    ...others,
    mtu,
    ...(hasIpv4 && { ipv4 }),
    ...(hasIpv6 && { ipv6 }),
    dns: config.dns.filter(({ family }) => isOfTunnel(family)),
    nbns: config.nbns.filter(({ family }) => isOfTunnel(family)),
    include: config.include.filter(({ address }) => isOfTunnel(address.family)),
    exclude: config.exclude.filter(({ address }) => isOfTunnel(address.family)),
  };
}

function firstCommon<T extends CompressionName>(taken: readonly CompressionName[], offered: readonly T[]): T | undefined {
  return offered.length === 0 ? undefined : taken.flatMap((name) => offered.find((other) => other === name) ?? [])[0];
}
