/** Certificates for one test run: an authority, and what it signs for a gateway and its clients. Made by openssl, on disk as PEM. */
import { execFile } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

/** The paths of a certificate and its key. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** What stands in the subject's name: `CN`, `UID` (the user), `OU` (each a group). */
export type SubjectPart = readonly [attribute: 'CN' | 'UID' | 'OU' | 'O', value: string];

const DAYS = '2';

const run = promisify(execFile);

/** Makes a key and a self-signed certificate that can sign others. */
export async function makeAuthority(folder: string, name = 'lab-ca'): Promise<CertificateFiles> {
  const files = filesFor(folder, name);
  await run('openssl', [
    ...newKey(files),
    '-x509',
    '-days',
    DAYS,
    '-subj',
    subjectOf([['CN', name]]),
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]);
  return files;
}

/** Makes a key and a certificate for a gateway that answers to these names and addresses. */
export function makeServerCertificate(
  folder: string,
  authority: CertificateFiles,
  hosts: readonly string[],
  name = 'server',
): Promise<CertificateFiles> {
  const alternatives = hosts.map((host) => (/^[\d.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`));
  const extensions = [`subjectAltName=${alternatives.join(',')}`, 'extendedKeyUsage=serverAuth'];
  return sign(folder, authority, name, [['CN', hosts[0] ?? name]], extensions);
}

/** Makes a key and a certificate for a user; `mail`: an address among its alternative names. */
export function makeClientCertificate(
  folder: string,
  authority: CertificateFiles,
  subject: readonly SubjectPart[],
  name = 'client',
  mail?: string,
): Promise<CertificateFiles> {
  return sign(folder, authority, name, subject, [
    'extendedKeyUsage=clientAuth',
    ...(mail === undefined ? [] : [`subjectAltName=email:${mail}`]),
  ]);
}

/** What `--servercert` takes: the hash of the certificate's public key. */
export function pinOf(files: CertificateFiles): string {
  const { publicKey } = new X509Certificate(readFileSync(files.certificate));
  return `pin-sha256:${createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64')}`;
}

async function sign(
  folder: string,
  authority: CertificateFiles,
  name: string,
  subject: readonly SubjectPart[],
  extensions: readonly string[],
): Promise<CertificateFiles> {
  const files = filesFor(folder, name);
  const issuer = ['-CA', authority.certificate, '-CAkey', authority.key, '-days', DAYS];
  const usage = ['basicConstraints=critical,CA:false', 'keyUsage=critical,digitalSignature', ...extensions];
  await run('openssl', [
    ...newKey(files),
    '-x509',
    ...issuer,
    '-subj',
    subjectOf(subject),
    ...usage.flatMap((extension) => ['-addext', extension]),
  ]);
  return files;
}

function filesFor(folder: string, name: string): CertificateFiles {
  return { certificate: path.join(folder, `${name}.pem`), key: path.join(folder, `${name}-key.pem`) };
}

/** P-256: made in a moment, and known to every peer. */
function newKey({ certificate, key }: CertificateFiles): string[] {
  return ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-keyout', key, '-out', certificate];
}

/** openssl's own notation; a slash or backslash in a value is escaped. */
function subjectOf(parts: readonly SubjectPart[]): string {
  return parts.map(([attribute, value]) => `/${attribute}=${value.replace(/[\\/+]/g, '\\$&')}`).join('');
}
