/** Gateway configurations for tests: everything has a value, and a test names what it is about. */

import type { AuthConfig, GatewayConfig, HostConfig, LoginPageConfig, SessionPolicy } from '../../src/gateway/config/gateway-config.ts';
import { DEFAULT_NAT } from '../../src/gateway/config/nat-config.ts';

export const SAMPLE_POLICY: SessionPolicy = {
  dns: [],
  nbns: [],
  splitDns: [],
  searchDomains: [],
  routes: [],
  noRoutes: [],
  iroutes: [],
  exposesIroutes: false,
  appendsRoutes: false,
  bypassesProtocols: false,
  restrictsToRoutes: false,
  headers: [],
  keepalive: 32_400_000,
  dpd: 90_000,
  mobileDpd: 1_800_000,
  rekeyMethod: 'ssl',
  compression: [],
  minLengthToCompress: 256,
  allowsUdp: true,
  allowsPsk: true,
  allowsLegacyDtls: false,
  matchesTlsCipher: false,
  denyRoaming: false,
  maxSameClients: 0,
  gatewayMoves: false,
};

const LOGIN_PAGE: LoginPageConfig = {
  protocols: ['anyconnect'],
  wantsHostReports: false,
  groups: [],
  listsOwnGroups: false,
  headers: [],
  isCiscoCompatible: false,
};

export interface HostWishes {
  readonly name?: string;
  readonly auth?: Partial<AuthConfig>;
  readonly login?: Partial<LoginPageConfig>;
  readonly sessions?: Partial<HostConfig['sessions']>;
  readonly tls?: Partial<HostConfig['tls']>;
  readonly policy?: Partial<SessionPolicy>;
}

export function sampleHost({ name, auth, login, sessions, tls, policy }: HostWishes = {}): HostConfig {
  return {
    ...(name !== undefined && { name }),
    tls: {
      certificates: [],
      policy: { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', prefersServerOrder: true },
      clientCertificates: 'no',
      ...tls,
    },
    auth: { required: [], alternatives: [], ...auth },
    login: { ...LOGIN_PAGE, ...login },
    sessions: { cookieTimeout: 300_000, persistentCookies: false, ...sessions },
    supplements: {},
    pools: { ipv6SubnetPrefix: 128, isPredictable: true },
    policy: { ...SAMPLE_POLICY, ...policy },
  };
}

/** The first host is the default one; all other settings are a small gateway's on loopback. */
export function sampleConfig(...hosts: readonly HostConfig[]): GatewayConfig {
  return {
    listen: { tcpPort: 443, udpPort: 443, proxyProtocol: false },
    processes: { user: 'nobody', group: 'nogroup', socketFile: '/run/sallyport-test.sock', workers: 1 },
    limits: { maxClients: 0, acceptInterval: 0, loginTime: 240_000, drain: 0 },
    bans: { maxScore: 80, banTime: 300_000, resetTime: 1_200_000, pointsWrongPassword: 10, pointsConnection: 1 },
    network: { isUserspace: false, nat: DEFAULT_NAT, device: 'vpns', pingLeases: false },
    scripts: {},
    control: { isEnabled: false, socket: '/run/sallyport-occtl.sock', statisticsPeriod: 604_800_000 },
    logLevel: 1,
    hosts: hosts.length === 0 ? [sampleHost()] : hosts,
  };
}
