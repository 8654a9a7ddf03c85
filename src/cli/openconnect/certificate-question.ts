/** What a person is asked about a server certificate that could not be verified (spec "CLI", section 6). */
import { X509Certificate } from 'node:crypto';
import type { ReadOptions } from './line-reader.ts';
import type { Terminal } from './terminal.ts';

export interface UntrustedServer {
  readonly host: string;
  readonly reason: string;
  /** `pin-sha256:…` */
  readonly pin: string;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** True: the person accepts this server, for this run. Without a person the hint is shown and the answer is no. */
export async function askAboutCertificate(terminal: Terminal, server: UntrustedServer, options: ReadOptions = {}): Promise<boolean> {
  for (;;) {
    terminal.show(`\nCertificate from VPN server "${server.host}" failed verification.\nReason: ${server.reason}`);
    terminal.show(`To trust this server in future, perhaps add this to your command line:\n    --servercert ${server.pin}`);
    if (terminal.isNonInteractive) return false;
    const answer = await terminal.ask("Enter 'yes' to accept, 'no' to abort; anything else to view: ", options);
    const word = answer.toLowerCase(); // observed
    if (word === 'yes' || word === 'no') return word === 'yes';
    terminal.show(certificateText(server.certificate));
    terminal.show(`Server key hash: ${server.pin}`);
  }
}

function certificateText(der: Uint8Array): string {
  const certificate = new X509Certificate(der);
  const { asymmetricKeyType = 'unknown', asymmetricKeyDetails: details } = certificate.publicKey;
  const size = details?.namedCurve ?? (details?.modulusLength === undefined ? undefined : `${details.modulusLength} bits`);
  const oneLine = (name: string) => name.replaceAll('\n', ', ');
  return [
    'X.509 Certificate Information:',
    `\tSerial Number (hex): ${certificate.serialNumber.toLowerCase()}`,
    `\tIssuer: ${oneLine(certificate.issuer)}`,
    '\tValidity:',
    `\t\tNot Before: ${certificate.validFrom}`,
    `\t\tNot After: ${certificate.validTo}`,
    `\tSubject: ${oneLine(certificate.subject)}`,
    `\tSubject Public Key Algorithm: ${asymmetricKeyType.toUpperCase()}${size === undefined ? '' : ` (${size})`}`,
    ...(certificate.subjectAltName === undefined ? [] : [`\tSubject Alternative Name: ${certificate.subjectAltName}`]),
    `\tCertificate Authority (CA): ${certificate.ca ? 'TRUE' : 'FALSE'}`,
    '\tFingerprint:',
    `\t\tsha1:${hexOf(certificate.fingerprint)}`,
    `\t\tsha256:${hexOf(certificate.fingerprint256)}`,
  ].join('\n');
}

function hexOf(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
