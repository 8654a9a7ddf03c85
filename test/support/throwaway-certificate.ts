/** A self-signed certificate for a server on loopback, made with the `openssl` program. Say `skip: missing('openssl')` where you use it. */
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';

export interface ThrowawayCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
  /** DER. */
  readonly der: Uint8Array;
  /** What `--servercert` takes: `pin-sha256:` and the base64 SHA-256 of the key. */
  readonly pin: string;
}

/** For `localhost`, 127.0.0.1 and ::1. P-256 unless an RSA key is wanted. */
export function throwawayCertificate(keyType: 'ec' | 'rsa' = 'ec'): ThrowawayCertificate {
  const key = keyType === 'ec' ? ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-newkey', 'rsa:2048'];
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1';
  const output = execFileSync(
    'openssl',
    ['req', '-x509', ...key, '-nodes', '-subj', '/CN=localhost', '-addext', names, '-days', '2', '-keyout', '-', '-out', '-'],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const at = output.indexOf('-----BEGIN CERTIFICATE-----');
  const [keyPem, certificatePem] = [output.slice(0, at), output.slice(at)];
  const certificate = new X509Certificate(certificatePem);
  const spki = certificate.publicKey.export({ type: 'spki', format: 'der' });
  return {
    certificatePem,
    keyPem,
    der: new Uint8Array(certificate.raw),
    pin: `pin-sha256:${createHash('sha256').update(spki).digest('base64')}`,
  };
}
