/** A certificate for the demo's gateway, which nobody vouches for: the client is told its pin. */
import { createHash, generateKeyPairSync } from 'node:crypto';
import forge from 'node-forge';

export interface DemoCertificate {
  readonly certificate: string;
  readonly key: string;
  /** What a client trusts. */
  readonly pin: string;
}

const DAY = 86_400_000;

export function makeCertificate(host: string): DemoCertificate {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(pair.publicKey);
  certificate.serialNumber = '01';
  certificate.validity.notBefore = new Date(Date.now() - DAY);
  certificate.validity.notAfter = new Date(Date.now() + DAY);
  const name = [{ name: 'commonName', value: 'Demo of Sallyport' }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.setExtensions([{ name: 'subjectAltName', altNames: [{ type: 7, ip: host }] }]);
  certificate.sign(forge.pki.privateKeyFromPem(pair.privateKey), forge.md.sha256.create());
  const spki = Buffer.from(pair.publicKey.replace(/-----[^-]+-----/g, ''), 'base64');
  return {
    certificate: forge.pki.certificateToPem(certificate),
    key: pair.privateKey,
    pin: `pin-sha256:${createHash('sha256').update(spki).digest('base64')}`,
  };
}
