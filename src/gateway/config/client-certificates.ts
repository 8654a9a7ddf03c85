/** How client certificates are asked for in TLS, as the log-in methods want it. */
import { asksInside } from '../../core/protocols/registry.ts';
import type { AuthConfig, HostTls, LoginPageConfig } from './gateway-config.ts';

/**
 * Cisco's clients do not show their certificate on each connection: of them it is never demanded in the handshake, only in the log-in. Nor is it of those
 * who show it inside of what they speak; where they are the only ones, the handshake does not even ask.
 */
export function clientCertificateDemand(
  auth: AuthConfig,
  { isCiscoCompatible, protocols }: Pick<LoginPageConfig, 'isCiscoCompatible' | 'protocols'>,
): HostTls['clientCertificates'] {
  if (!wantsCertificates(auth)) return 'no';
  const isOneWayOfSeveral = !hasCertificate(auth.required) || auth.alternatives.length > 0;
  if (isOneWayOfSeveral) return 'optional';
  if (protocols.every(asksInside)) return 'no';
  return isCiscoCompatible || protocols.some(asksInside) ? 'optional' : 'required';
}

/** Some way to log in takes a certificate. */
export function wantsCertificates({ required, alternatives }: AuthConfig): boolean {
  return hasCertificate([...required, ...alternatives]);
}

function hasCertificate(methods: AuthConfig['required']): boolean {
  return methods.some(({ method }) => method === 'certificate');
}
