/** Virtual hosts as the TLS server and visitors see them: from configuration and the files that main has read. */
import { MisuseError } from '../../core/errors.ts';
import type { HostPage } from '../../core/protocols/gateway-protocol.ts';
import { fromUtf8 } from '../../core/wire/text.ts';
import type { TlsIdentity } from '../../node/tls-server.ts';
import type { CertificatePair, GatewayConfig, HostConfig } from '../config/gateway-config.ts';

export type Files = ReadonlyMap<string, Uint8Array>;

export function tlsIdentities({ hosts }: GatewayConfig, files: Files): TlsIdentity[] {
  return hosts.map((host) => tlsIdentity(host, files));
}

function tlsIdentity({ name, tls }: HostConfig, files: Files): TlsIdentity {
  const { certificates, clientAuthority, policy, clientCertificates, ocspResponse } = tls;
  const { minVersion, maxVersion, ciphers, groups, signatures, prefersServerOrder } = policy;
  return {
    ...(name !== undefined && { name }),
    clientCertificates,
    ...(ocspResponse !== undefined && { ocspResponse: contentOf(ocspResponse, files) }),
    tls: {
      ...{ minVersion, maxVersion, honorCipherOrder: prefersServerOrder, dhparam: 'auto' },
      cert: certificates.map(({ certificate }) => Buffer.from(contentOf(certificate, files))),
      key: certificates.map((pair) => keyOf(pair, files)),
      ...(ciphers !== undefined && { ciphers }),
      ...(groups !== undefined && { ecdhCurve: groups }),
      ...(signatures !== undefined && { sigalgs: signatures }),
      ...(clientAuthority !== undefined && { ca: Buffer.from(contentOf(clientAuthority, files)) }),
    },
  };
}

function keyOf({ key, pinFile, pin }: CertificatePair, files: Files): { readonly pem: Buffer; readonly passphrase?: string } {
  const passphrase = pin?.reveal() ?? (pinFile === undefined ? undefined : fromUtf8(contentOf(pinFile, files)).trim());
  return { pem: Buffer.from(contentOf(key, files)), ...(passphrase !== undefined && { passphrase }) };
}

/** What visitors of a host are shown. `certificate`: the one that this connection got. */
export function hostPage(
  { auth, login, policy, sessions, tls }: HostConfig,
  files: Files,
  serverName: string,
  certificate: Uint8Array,
): HostPage {
  const methods = [...auth.required, ...auth.alternatives];
  const isRequired = (method: string) => auth.required.some((other) => other.method === method);
  const { preLoginBanner, profile, headers, camouflage } = login;
  const hasBearer = methods.some(({ method }) => method === 'oidc');
  return {
    ...{ serverName, certificate, headers, cookieTimeout: sessions.cookieTimeout },
    needsCertificate: isRequired('certificate') && tls.clientCertificates !== 'no',
    ...(preLoginBanner !== undefined && { preLoginBanner }),
    ...(policy.banner !== undefined && { banner: policy.banner }),
    ...(profile !== undefined && { profile: { name: profile.slice(profile.lastIndexOf('/') + 1), bytes: contentOf(profile, files) } }),
    ...(hasBearer && { bearer: isRequired('oidc') ? ('required' as const) : ('offered' as const) }),
    ...(camouflage !== undefined && { camouflage }),
  };
}

function contentOf(path: string, files: Files): Uint8Array {
  const content = files.get(path);
  if (content === undefined) throw new MisuseError(`main has not read ${path}`);
  return content;
}
