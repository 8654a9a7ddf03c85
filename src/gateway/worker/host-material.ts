/**
 * What the hosts' TLS is made of: `main` reads it from the files that the configuration names (`worker-material.ts`), for workers, which may not.
 *
 * Read first: spec "Gateway contract", section 2.2.
 */
import type { Secret } from '../../core/secret.ts';
import type { TlsPolicyConfig } from '../config/gateway-config.ts';

export interface HostMaterial {
  /** The virtual host; undefined: the default host. */
  readonly name?: string;
  readonly certificates: readonly CertificateMaterial[];
  /** PEM. */
  readonly clientAuthority?: string;
  readonly revocationList?: string;
  /** DER. */
  readonly ocspResponse?: Uint8Array;
  readonly policy: TlsPolicyConfig;
  readonly clientCertificates: 'no' | 'optional' | 'required';
}

export interface CertificateMaterial {
  /** PEM: the certificate and its issuers. */
  readonly certificate: string;
  readonly key: Secret;
  /** Opens the key. */
  readonly pin?: Secret;
}

/** Whether two readings are the same: nothing is to be set up anew. */
export function isSameMaterial(a: readonly HostMaterial[], b: readonly HostMaterial[]): boolean {
  return revealed(a) === revealed(b);
}

/** For comparison only. */
function revealed(materials: readonly HostMaterial[]): string {
  return JSON.stringify(
    materials.map(({ certificates, ocspResponse, ...others }) => ({
      ...others,
      certificates: certificates.map(({ certificate, key, pin }) => [certificate, key.reveal(), pin?.reveal()]),
      ocspResponse: ocspResponse && [...ocspResponse],
    })),
  );
}
