/** Whom clients believe in DTLS with certificates, whoever the vendor is. */
import type { Target } from '../auth/login-io.ts';
import type { CertificateOptions } from '../dtls/credentials.ts';
import type { ProtocolSettings } from './client-protocol.ts';

/** How a gateway's certificate is judged in DTLS, and which one it is shown; undefined: DTLS with certificates is not spoken. */
export function datagramCredentials(
  { log, datagramCertificateFault: faultOf, datagramIdentity: identity }: ProtocolSettings,
  gateway: Target,
): CertificateOptions | undefined {
  if (faultOf === undefined) return undefined;
  return {
    kind: 'certificate',
    faultOf: (chain) => {
      const fault = faultOf(gateway, chain);
      if (fault !== undefined) log.log('warn', 'datagram certificate refused', { reason: fault });
      return fault;
    },
    ...(identity !== undefined && { identity }),
  };
}
