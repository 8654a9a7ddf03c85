/** How client certificates are asked for in TLS, as the log-in methods want it. */
import type { AuthConfig, HostTls } from './gateway-config.ts';

/** Cisco's clients do not show their certificate on each connection: of them it is never demanded in the handshake, only in the log-in. */
export function clientCertificateDemand({ required, alternatives }: AuthConfig, isCiscoCompatible: boolean): HostTls['clientCertificates'] {
  const isWanted = (methods: AuthConfig['required']) => methods.some(({ method }) => method === 'certificate');
  if (isWanted(required)) return isCiscoCompatible || alternatives.length > 0 ? 'optional' : 'required';
  return isWanted(alternatives) ? 'optional' : 'no';
}
