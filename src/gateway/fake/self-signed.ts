/** A certificate for a gateway that is none: self-signed, for this machine's loopback, for a week. */
import { generateKeyPair, randomBytes, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';

const WEEK_MS = 7 * 24 * 60 * 60 * 1000;
const SERIAL_BYTES = 8;

/** Types of alternative names (RFC 5280 §4.2.1.6). */
const DNS_NAME = 2;
const IP_ADDRESS = 7;

export async function selfSigned(): Promise<{ readonly certificate: string; readonly key: string; readonly der: Uint8Array }> {
  const { default: forge } = await import('node-forge'); // it takes some 40 ms to load: only fakes need it
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = `01${randomBytes(SERIAL_BYTES).toString('hex')}`;
  certificate.validity.notBefore = new Date(Date.now() - WEEK_MS);
  certificate.validity.notAfter = new Date(Date.now() + WEEK_MS);
  const name = [{ name: 'commonName', value: 'sallyport fake' }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.setExtensions([
    {
      name: 'subjectAltName',
      altNames: [
        { type: DNS_NAME, value: 'localhost' },
        { type: IP_ADDRESS, ip: '127.0.0.1' },
      ],
    },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  const pem = forge.pki.certificateToPem(certificate);
  return { certificate: pem, key: privateKey, der: new Uint8Array(new X509Certificate(pem).raw) };
}
