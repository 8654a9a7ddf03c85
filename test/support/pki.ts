/**
 * A throw-away certificate authority in a temporary directory, made with the `openssl` program: certificates as real ones are,
 * valid or wrong in a chosen way. Say `skip: missing('openssl')` where you use it.
 *
 * @example
 * using pki = new Pki();
 * const server = pki.issueServer({ names: ['localhost'], addresses: ['127.0.0.1'] });
 * tls.createServer({ key: server.keyPem, cert: server.certificatePem });
 */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export type KeyType = 'rsa' | 'ec' | 'ed25519';

/** A certificate with its key: objects, PEM texts and the files that hold these. */
export interface Issued {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly certificatePath: string;
  /** PKCS #8, in the clear. */
  readonly keyPath: string;
}

/** What certificates of every kind can be given. */
export interface IssueOptions {
  /** Default: EC (P-256), the fastest to make. */
  readonly keyType?: KeyType;
  readonly commonName?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  /** Default: sha256. */
  readonly digest?: 'sha1' | 'sha256' | 'sha384';
  /** Default: the root. */
  readonly issuer?: Issued;
}

export interface ServerOptions extends IssueOptions {
  readonly names?: readonly string[];
  readonly addresses?: readonly string[];
  /** Default: serverAuth. */
  readonly purpose?: 'serverAuth' | 'clientAuth';
}

export interface ClientOptions extends IssueOptions {
  /** What ocserv takes for the user's name with `cert-user-oid = 0.9.2342.19200300.100.1.1`. */
  readonly uid?: string;
  /** What ocserv takes for the group with `cert-group-oid = 2.5.4.11`. */
  readonly organizationalUnit?: string;
}

const DAY = 86_400_000;

const CONFIGURATION = `
[req]
distinguished_name = none
[none]
[ca]
default_ca = authority
[authority]
database = index.txt
new_certs_dir = .
rand_serial = yes
unique_subject = no
policy = anything
default_md = sha256
[anything]
commonName = optional
organizationalUnitName = optional
UID = optional
`;

export class Pki implements Disposable {
  readonly directory: string = mkdtempSync(path.join(tmpdir(), 'sallyport-pki-'));
  readonly root: Issued;
  #issued = 0;

  constructor() {
    writeFileSync(this.file('openssl.cnf'), CONFIGURATION);
    writeFileSync(this.file('index.txt'), '');
    this.root = this.#issue({ commonName: 'Sallyport test root' }, '', CA_EXTENSIONS, 'self');
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }

  /** The path of a file of this name in the authority's directory. */
  file(name: string): string {
    return path.join(this.directory, name);
  }

  /** An intermediate authority. */
  issueAuthority(options: IssueOptions = {}): Issued {
    return this.#issue({ commonName: 'Sallyport test intermediate', ...options }, '', CA_EXTENSIONS);
  }

  issueServer(options: ServerOptions = {}): Issued {
    const { names = [], addresses = [], purpose = 'serverAuth' } = options;
    const alternatives = [...names.map((name) => `DNS:${name}`), ...addresses.map((address) => `IP:${address}`)];
    const extensions = ['basicConstraints = CA:FALSE', `extendedKeyUsage = ${purpose}`];
    if (alternatives.length > 0) extensions.push(`subjectAltName = ${alternatives.join(',')}`);
    return this.#issue({ commonName: 'Sallyport test server', ...options }, '', extensions);
  }

  issueClient(options: ClientOptions = {}): Issued {
    const { uid, organizationalUnit } = options;
    const names = `${uid === undefined ? '' : `/UID=${uid}`}${organizationalUnit === undefined ? '' : `/OU=${organizationalUnit}`}`;
    return this.#issue({ commonName: 'Sallyport test client', ...options }, names, CLIENT_EXTENSIONS);
  }

  /** A certificate that is its own authority. */
  selfSigned(options: ServerOptions = {}): Issued {
    const names = (options.names ?? []).map((name) => `DNS:${name}`);
    return this.#issue({ commonName: 'Sallyport self-signed', ...options }, '', [`subjectAltName = ${names.join(',')}`], 'self');
  }

  #issue(options: IssueOptions, names: string, extensions: readonly string[], by?: 'self'): Issued {
    const stem = `${++this.#issued}`;
    const [keyPath, certificatePath] = [this.file(`${stem}.key`), this.file(`${stem}.pem`)];
    const key = generateKey(options.keyType ?? 'ec');
    const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
    writeFileSync(keyPath, keyPem, { mode: 0o600 });
    writeFileSync(this.file(`${stem}.ext`), extensions.join('\n'));

    const subject = `/CN=${options.commonName ?? ''}${names}`;
    this.openssl(['req', '-config', 'openssl.cnf', '-new', '-key', keyPath, '-subj', subject, '-out', `${stem}.csr`]);
    const { notBefore = new Date(Date.now() - DAY), notAfter = new Date(Date.now() + 3650 * DAY), digest = 'sha256' } = options;
    const issuer = options.issuer ?? (by === 'self' ? undefined : this.root);
    const signer =
      issuer === undefined ? ['-selfsign', '-keyfile', keyPath] : ['-cert', issuer.certificatePath, '-keyfile', issuer.keyPath];
    const dates = ['-startdate', asn1Time(notBefore), '-enddate', asn1Time(notAfter), '-md', digest];
    const files = ['-in', `${stem}.csr`, '-out', certificatePath, '-extfile', `${stem}.ext`];
    this.openssl(['ca', '-config', 'openssl.cnf', '-batch', '-notext', ...signer, ...dates, ...files]);

    const certificatePem = readFileSync(certificatePath, 'utf8');
    return { certificate: new X509Certificate(certificatePem), key, certificatePem, keyPem, certificatePath, keyPath };
  }

  /** The root's list of what it has revoked so far, and this, as PEM. */
  revoke(issued: Issued): string {
    this.openssl(['ca', '-config', 'openssl.cnf', '-revoke', issued.certificatePath, ...this.#signer]);
    this.openssl(['ca', '-config', 'openssl.cnf', '-gencrl', '-crldays', '2', '-md', 'sha256', '-out', 'revoked.pem', ...this.#signer]);
    return readFileSync(this.file('revoked.pem'), 'utf8');
  }

  /** What the root says of a certificate that it has issued, as an OCSP responder: DER. */
  ocspResponse(issued: Issued): Uint8Array {
    const signer = ['-CA', this.root.certificatePath, '-rsigner', this.root.certificatePath, '-rkey', this.root.keyPath];
    const request = ['-issuer', this.root.certificatePath, '-cert', issued.certificatePath, '-respout', 'ocsp.der'];
    this.openssl(['ocsp', '-index', 'index.txt', '-ndays', '2', ...signer, ...request]);
    return new Uint8Array(readFileSync(this.file('ocsp.der')));
  }

  get #signer(): string[] {
    return ['-cert', this.root.certificatePath, '-keyfile', this.root.keyPath];
  }

  /** Runs `openssl` in the authority's directory. */
  openssl(args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.directory, stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

const CA_EXTENSIONS = ['basicConstraints = critical,CA:TRUE', 'keyUsage = critical,keyCertSign,cRLSign', 'subjectKeyIdentifier = hash'];
const CLIENT_EXTENSIONS = ['basicConstraints = CA:FALSE', 'extendedKeyUsage = clientAuth'];

function generateKey(type: KeyType): KeyObject {
  switch (type) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    case 'ec':
      return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    case 'ed25519':
      return generateKeyPairSync('ed25519').privateKey;
  }
}

/** GeneralizedTime: 20270131235959Z. */
function asn1Time(date: Date): string {
  return `${date.toISOString().replace(/[-:T]|\.\d+/g, '')}`;
}
