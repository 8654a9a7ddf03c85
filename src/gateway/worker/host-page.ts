/** What visitors of a host are shown: from its configuration, and what is known of their connection. */
import type { HostPage } from '../../core/protocols/gateway-protocol.ts';
import { wantsCertificates } from '../config/client-certificates.ts';
import type { HostConfig } from '../config/gateway-config.ts';

export interface PageFacts {
  /** The product as clients are told. */
  readonly serverName: string;
  /** Of the certificate that this connection was shown, DER. */
  readonly certificate: Uint8Array;
  readonly issuer?: Uint8Array;
  /** What is in the host's profile. */
  readonly profile?: Uint8Array;
}

export function hostPage({ auth, login, policy, portal, sessions }: HostConfig, facts: PageFacts): HostPage {
  const { serverName, certificate, issuer, profile } = facts;
  const isRequired = (method: string) => auth.required.some((other) => other.method === method);
  const { preLoginBanner, headers, camouflage } = login;
  const hasBearer = [...auth.required, ...auth.alternatives].some(({ method }) => method === 'oidc');
  return {
    ...{ serverName, certificate, headers, cookieTimeout: sessions.cookieTimeout },
    wantsHostReports: login.wantsHostReports,
    ...(portal !== undefined && { portal }),
    needsCertificate: isRequired('certificate'),
    takesCertificate: wantsCertificates(auth),
    ...(issuer !== undefined && { issuer }),
    ...(preLoginBanner !== undefined && { preLoginBanner }),
    ...(policy.banner !== undefined && { banner: policy.banner }),
    ...(profile !== undefined && login.profile !== undefined && { profile: { name: fileName(login.profile), bytes: profile } }),
    ...(hasBearer && { bearer: isRequired('oidc') ? ('required' as const) : ('offered' as const) }),
    ...(camouflage !== undefined && { camouflage }),
  };
}

function fileName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
