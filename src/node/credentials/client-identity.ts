/**
 * The user's certificate with its private key, loaded from files in whatever format they are (their contents tell which).
 *
 * Read first: spec "Command line", section 3.2 (`--certificate`, `--sslkey`, `--key-password`); spec "AnyConnect", sections 3.11 and 3.12.
 *
 *   file ──► items ──► (password, only if something is encrypted) ──► certificates, keys ──► leaf that fits a key, its issuers behind it
 */
import { createPrivateKey, type KeyObject, sign, X509Certificate } from 'node:crypto';
import type { UserCertificate } from '../../core/auth/login-io.ts';
import { PeerMisbehavedError, UnsupportedError } from '../../core/errors.ts';
import type { Secret } from '../../core/secret.ts';
import { localeCharset } from '../locale-text.ts';
import { CredentialError, PasswordNeededError, WrongPasswordError } from './credential-error.ts';
import { parseCredentials, readCredentialFile } from './credential-file.ts';
import {
  type AskPassword,
  type OpenedCertificate,
  type OpenedFile,
  type OpenedKey,
  openItems,
  type PasswordSource,
} from './opened-file.ts';

/** Leaf, intermediates and root: gateways and libraries stop at 10 or so. */
const MAX_CHAIN = 16;

export interface ClientIdentityOptions {
  /** Path of the certificate's file. The certificates of its issuers may be in it too. */
  readonly certificate: string;
  /** Path of the key's file. Default: the certificate's file. */
  readonly key?: string | undefined;
  /** Used for each of the files that needs one; then nobody is asked. */
  readonly password?: Secret | undefined;
  /** Asked if a file needs a password and none was given. Default: loading fails then. */
  readonly askPassword?: AskPassword | undefined;
  /** Character set that a non-ASCII password may be in. Default: the locale's. */
  readonly charset?: string | undefined;
}

export interface ClientIdentity extends UserCertificate {
  readonly key: KeyObject;
  /** When the leaf expires. */
  readonly notAfter: Date;
  /** What `node:tls` takes: PEM. The key is in the clear: hand it on, keep it nowhere. */
  tlsOptions(): { readonly cert: string; readonly key: string };
}

/**
 * Loads a certificate and its key.
 *
 * Throws {@link CredentialError} (a file is missing or damaged, has no key, or the key is another certificate's), its subclasses
 * WrongPasswordError and PasswordNeededError (the caller may ask the person and load again), and {@link UnsupportedError}
 * for what we do not do, by name.
 */
export async function loadClientIdentity(options: ClientIdentityOptions): Promise<ClientIdentity> {
  const { certificate: certificatePath, key: keyPath = certificatePath } = options;
  const source: PasswordSource = { ...options, charset: options.charset ?? localeCharset() };
  const isOneFile = keyPath === certificatePath;
  for (const path of [certificatePath, keyPath]) refuseTokenUri(path);

  const certificateFile = await openFile(certificatePath, { keys: isOneFile }, source);
  const certificates = await inFile(certificatePath, () => certificateFile.certificates.map(readCertificate));
  if (certificates.length === 0) throw new CredentialError(`${certificatePath}: there is no certificate in it`);

  const keyFile = isOneFile ? certificateFile : await openFile(keyPath, { keys: true }, source);
  const keys = await inFile(keyPath, () => keyFile.keys.map(readKey));
  if (keys.length === 0) throw new CredentialError(`${keyPath}: there is no private key in it; if a file of its own has it, name that too`);

  const pair = matchingPair(certificates, keys);
  if (pair === undefined) throw new CredentialError(`the private key in ${keyPath} is not that of a certificate in ${certificatePath}`);
  const issuers = certificates.map((each) => each.certificate);
  return new LoadedIdentity(chainFrom(pair.certificate, issuers), pair.key);
}

class LoadedIdentity implements ClientIdentity {
  readonly chain: readonly Uint8Array[];
  readonly key: KeyObject;
  readonly notAfter: Date;
  readonly #certificates: readonly X509Certificate[];

  constructor(certificates: readonly [X509Certificate, ...X509Certificate[]], key: KeyObject) {
    this.#certificates = certificates;
    this.chain = certificates.map((certificate) => certificate.raw);
    this.notAfter = certificates[0].validToDate;
    this.key = key;
  }

  tlsOptions(): { readonly cert: string; readonly key: string } {
    return {
      cert: this.#certificates.map((certificate) => certificate.toString()).join(''),
      key: this.key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    };
  }

  async sign(hash: 'sha256' | 'sha384' | 'sha512', data: Uint8Array): Promise<Uint8Array> {
    const type = this.key.asymmetricKeyType;
    if (type !== 'rsa' && type !== 'ec') throw new UnsupportedError(`signatures by ${type} keys are not supported in a log-in`);
    return sign(hash, data, this.key); // node's defaults: PKCS #1 v1.5 for RSA, DER for ECDSA
  }
}

/** What stands for a key that is in no file, by the beginning of its name. */
const TOKEN_URIS: Readonly<Record<string, string>> = {
  'pkcs11:': 'certificates and keys on PKCS#11 tokens are not supported',
  'system:': "certificates and keys in the system's key store are not supported",
  'tpmkey:': 'keys in a TPM are not supported',
};

function refuseTokenUri(path: string): void {
  for (const [scheme, why] of Object.entries(TOKEN_URIS)) {
    if (path.toLowerCase().startsWith(scheme)) throw new UnsupportedError(`${scheme} ${why}`);
  }
}

function openFile(path: string, wanted: { readonly keys: boolean }, source: PasswordSource): Promise<OpenedFile> {
  return inFile(path, async () => openItems(path, parseCredentials(await readCredentialFile(path)), wanted, source));
}

/** Gives the errors of reading a file its name. */
async function inFile<T>(path: string, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof WrongPasswordError || error instanceof PasswordNeededError) throw error; // they name it themselves
    if (error instanceof UnsupportedError) throw new UnsupportedError(`${path}: ${error.message}`, { cause: error });
    if (error instanceof CredentialError) throw new CredentialError(`${path}: ${error.message}`, { cause: error });
    if (error instanceof PeerMisbehavedError) throw new CredentialError(`${path}: it is damaged: ${error.message}`, { cause: error });
    throw error;
  }
}

interface ReadCertificate {
  readonly certificate: X509Certificate;
  readonly localKeyId: string | undefined;
}

interface ReadKey {
  readonly key: KeyObject;
  readonly localKeyId: string | undefined;
}

function readCertificate({ der, localKeyId }: OpenedCertificate): ReadCertificate {
  try {
    return { certificate: new X509Certificate(der), localKeyId };
  } catch (error) {
    throw new CredentialError('a certificate in it is damaged', { cause: error });
  }
}

const USABLE_KEYS: readonly string[] = ['rsa', 'rsa-pss', 'ec', 'ed25519', 'ed448'];

function readKey({ format, der, localKeyId }: OpenedKey): ReadKey {
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: Buffer.from(der), format: 'der', type: format });
  } catch (error) {
    throw new CredentialError('a private key in it is damaged, or of a kind that is not supported', { cause: error });
  }
  const type = key.asymmetricKeyType ?? 'unknown';
  if (!USABLE_KEYS.includes(type)) throw new UnsupportedError(`${type.toUpperCase()} keys are not supported; use an RSA or EC key`);
  return { key, localKeyId };
}

/** The first certificate that fits a key; of several for one key (a renewed certificate) the one that the file's maker marked as the key's. */
function matchingPair(certificates: readonly ReadCertificate[], keys: readonly ReadKey[]) {
  const pairs = certificates.flatMap(({ certificate, localKeyId }) =>
    keys
      .filter(({ key }) => certificate.checkPrivateKey(key))
      .map((each) => ({ certificate, key: each.key, isMarked: localKeyId !== undefined && localKeyId === each.localKeyId })),
  );
  return pairs.find((pair) => pair.isMarked) ?? pairs[0];
}

/** The leaf and, behind each certificate, its issuer, as far as they are there. */
function chainFrom(leaf: X509Certificate, candidates: readonly X509Certificate[]): [X509Certificate, ...X509Certificate[]] {
  const chain: [X509Certificate, ...X509Certificate[]] = [leaf];
  for (let last = leaf; chain.length < MAX_CHAIN; ) {
    const issuer = candidates.find((candidate) => !chain.includes(candidate) && isIssuedBy(last, candidate));
    if (issuer === undefined) break;
    chain.push(issuer);
    last = issuer;
  }
  return chain;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // its key is of a kind that this platform does not know
  }
}
