/**
 * What a session's terms mean for AnyConnect: the terms and details that a gateway's tunnel machine is made from.
 *
 * Read first: spec "AnyConnect", sections 4.4, 4.5, 7.2 and 9.4.
 */
import { cipherSuite, PSK_SUITE_IDS, type SuiteProtection } from '../../tls-messages/cipher-suites.ts';
import type { KeepaliveTimes } from '../../tunnel/keepalive.ts';
import type { Millis } from '../../tunnel/packet.ts';
import type { DatagramPolicy, SessionTerms } from '../../tunnel/session-terms.ts';
import type { ClientFacts, HostPage } from '../gateway-protocol.ts';
import type { DatagramTerms, GatewayTerms } from './connect-terms.ts';
import { resumptionSuite, type SuiteHeader, suiteNames } from './dtls-suites.ts';
import type { GatewayTunnelOptions } from './gateway-tunnel.ts';

/** ocserv's: the datagram channel's keys change after the stream's. */
const DATAGRAM_REKEY_DELAY: Millis = 10_000;

/** `id`: 32 bytes by chance that name the datagram channel. */
export function gatewayTerms(terms: SessionTerms, { cipherSuite: tlsSuite }: ClientFacts, id: Uint8Array): GatewayTerms {
  const { times } = terms;
  const datagram = terms.datagram && datagramTerms(terms.datagram, tlsSuite, times, id);
  return {
    config: terms.config,
    linkMtu: terms.linkMtu,
    times,
    encodings: terms.compression,
    ...(datagram !== undefined && { datagram }),
  };
}

function datagramTerms(policy: DatagramPolicy, tlsSuite: string, times: KeepaliveTimes, id: Uint8Array): DatagramTerms {
  const { port, allowsPsk, allowsLegacy, matchesTlsCipher, ciphers } = policy;
  const rank = (protection: SuiteProtection | undefined) => (protection === undefined ? -1 : (ciphers?.indexOf(protection.cipher) ?? 0));
  const isAllowed = (protection: SuiteProtection | undefined) =>
    (ciphers === undefined || rank(protection) >= 0) && (!matchesTlsCipher || isSameCipher(protection, tlsSuite));
  const pskSuites = PSK_SUITE_IDS.filter((suite) => isAllowed(cipherSuite(suite)?.protection));
  if (ciphers !== undefined) pskSuites.sort((a, b) => rank(cipherSuite(a)?.protection) - rank(cipherSuite(b)?.protection));
  const names = (header: SuiteHeader) =>
    suiteNames(header).filter((name) => allowsLegacy && isAllowed(cipherSuite(resumptionSuite(header, name)?.id ?? 0)?.protection));
  return {
    ...{ port, id, pskSuites },
    times: times.rekey === undefined || times.rekey === 0 ? times : { ...times, rekey: times.rekey + DATAGRAM_REKEY_DELAY },
    allowsPsk: allowsPsk && pskSuites.length > 0,
    suites: names('X-DTLS-CipherSuite'),
    suites12: names('X-DTLS12-CipherSuite'),
  };
}

/** `tlsSuite` as in {@link ClientFacts.cipherSuite}: the cipher's name stands in it. */
function isSameCipher(protection: SuiteProtection | undefined, tlsSuite: string): boolean {
  if (protection === undefined) return false;
  const name = protection.cipher.toUpperCase().replaceAll('-', '_');
  if (protection.kind === 'aead') return tlsSuite.includes(name);
  return tlsSuite.endsWith(`${name}_${protection.mac === 'sha1' ? 'SHA' : 'SHA256'}`);
}

type Details = GatewayTunnelOptions['details'];

export function tunnelDetails(terms: SessionTerms, host: HostPage, { cipherSuite: tlsSuite }: ClientFacts): Details {
  const { rekeyMethod, hostname, tunnelsAllDns, sessionTimeout, bypassesProtocols, headers } = terms;
  // Before TLS 1.3 new keys mean a renegotiation, which is refused here; from then on the client changes them by a message.
  const canRekey = rekeyMethod === 'ssl' && tlsSuite.startsWith('TLSv1.3');
  return {
    ...{ serverName: host.serverName, bypassesProtocols, headers, pageHeaders: host.headers },
    rekeyMethods: { stream: canRekey ? 'ssl' : 'new-tunnel', ...(rekeyMethod === 'ssl' && { datagram: 'ssl' }) },
    ...(hostname !== undefined && { hostname }),
    ...(tunnelsAllDns !== undefined && { tunnelsAllDns }),
    ...(sessionTimeout !== undefined && { sessionTimeout }),
  };
}
