/** The settings of a command line as the client takes them. */

import type { ClientSettings } from '../../client/vpn-client.ts';
import type { AuthSchemeName } from '../../core/http/auth/scheme.ts';
import type { DatagramCiphers } from '../../core/protocols/client-protocol.ts';
import type { Secret } from '../../core/secret.ts';
import type { ClientIdentity } from '../../node/credentials/client-identity.ts';
import { ProfileFile } from '../../node/profile-file.ts';
import type { ProxySettings } from '../../node/proxy-dial.ts';
import { secureContextOptions } from '../../node/tls-policy/tls-policy.ts';
import type { DtlsCipher } from '../../node/tls-policy/tls-suites.ts';
import type { ConnectionSettings, HttpAuthMethod, Settings } from './settings.ts';

export interface LoadedCredentials {
  readonly identity?: ClientIdentity;
  readonly userIdentity?: ClientIdentity;
  readonly bearerToken?: Secret;
}

export function clientSettings(settings: Settings, credentials: LoadedCredentials): ClientSettings {
  const { server, protocol, trust, connection, tunnel, identity: client, login, hostCheck } = settings;
  const { identity, userIdentity, bearerToken } = credentials;
  const { mobile, userAgent, chosenUserAgent, chosenVersion, os, localHostname } = client;
  return {
    protocol,
    gateway: server,
    wishes: {
      client: {
        userAgent,
        version: client.versionString,
        os,
        localHostname,
        ...(mobile !== undefined && { mobile }),
        ...(chosenUserAgent !== undefined && { chosenUserAgent }),
        ...(chosenVersion !== undefined && { chosenVersion }),
      },
      ...(login.user !== undefined && { user: login.user }),
      usesXml: login.xmlPost,
      httpAuth: schemes(login.httpAuth),
      ...(bearerToken !== undefined && { bearerToken }),
      compression: tunnel.compression,
      wantsIpv6: tunnel.ipv6,
      ...(tunnel.mtu !== undefined && { mtu: tunnel.mtu }),
      ...(tunnel.baseMtu !== undefined && { baseMtu: tunnel.baseMtu }),
      ...(tunnel.forceDpd !== undefined && { dpd: tunnel.forceDpd }),
      ...(hostCheck.interval !== undefined && { hostReportInterval: hostCheck.interval }),
      // UDP cannot follow through a proxy (spec "AnyConnect", section 7.9).
      usesDatagrams: tunnel.udp && connection.proxy === undefined,
      datagramCiphers: datagramCiphers(settings),
    },
    tls: secureContextOptions(trust.tls),
    trust: { systemTrust: trust.systemTrust, fingerprints: trust.serverCerts, ...(trust.caFile !== undefined && { caFile: trust.caFile }) },
    ...(identity !== undefined && { identity }),
    ...(userIdentity !== undefined && { userIdentity }),
    ...proxyOf(connection),
    resolve: connection.resolve,
    ...(connection.sni !== undefined && { sni: connection.sni }),
    keepsConnections: connection.keepAlive,
    udp: { copiesDscp: tunnel.passTos, ...(tunnel.udpLocalPort !== undefined && { localPort: tunnel.udpLocalPort }) },
    ...(login.profile !== undefined && { profile: new ProfileFile(login.profile) }),
    reconnectBudget: connection.reconnectTimeout,
  };
}

function schemes(methods: readonly HttpAuthMethod[]): AuthSchemeName[] {
  return methods.map((method) => method.toLowerCase() as AuthSchemeName);
}

function proxyOf({ proxy, proxyAuth }: ConnectionSettings): { readonly proxy?: ProxySettings } {
  if (proxy === undefined) return {};
  const { kind, host, port, credentials } = proxy;
  const login = credentials && { credentials: { username: credentials.user, password: credentials.password } };
  return { proxy: { kind, host, port, schemes: schemes(proxyAuth), ...login } };
}

/** What a cipher is called where DTLS is offered: IANA's id of the suite with a pre-shared key, and the gateways' names for resumption. */
const DTLS_NAMES: Readonly<Record<DtlsCipher, { readonly psk: number; readonly suite?: string; readonly suite12?: string }>> = {
  'aes-256-gcm': { psk: 0x00a9, suite: 'OC-DTLS1_2-AES256-GCM', suite12: 'AES256-GCM-SHA384' },
  'chacha20-poly1305': { psk: 0xccab },
  'aes-128-gcm': { psk: 0x00a8, suite: 'OC-DTLS1_2-AES128-GCM', suite12: 'AES128-GCM-SHA256' },
};

/** Spec "AnyConnect", 12.3: the drop-in offers what openconnect offers. A priority string speaks of DTLS too: then only what it allows. */
function datagramCiphers({ tunnel, trust }: Settings): DatagramCiphers {
  const { dtlsCiphers, dtls12Ciphers } = tunnel;
  const allowed = trust.tls.dtlsCiphers?.map((cipher) => DTLS_NAMES[cipher]);
  const isNamed = dtlsCiphers !== undefined || dtls12Ciphers !== undefined;
  const suites = isNamed ? dtlsCiphers?.split(':') : allowed && ['PSK-NEGOTIATE', ...allowed.flatMap(({ suite }) => suite ?? [])];
  const suites12 = isNamed ? dtls12Ciphers?.split(':') : allowed?.flatMap(({ suite12 }) => suite12 ?? []);
  return {
    ...(suites !== undefined && { suites }),
    ...(suites12 !== undefined && { suites12 }),
    ...(allowed !== undefined && { pskSuites: allowed.map(({ psk }) => psk) }),
    allowsLegacy: true,
  };
}
