/**
 * Reads a file of certificates and keys and says what is in it: by its contents, whatever it is called.
 *
 * Read first: RFC 7468 (PEM labels); RFC 8017, appendix A.1.2 (PKCS #1); RFC 5915 (SEC1); RFC 5958 (PKCS #8).
 *
 *   DER begins with              and is
 *   { { … }, { … }, BIT STRING } a certificate
 *   { { OID, … }, OCTET STRING } an encrypted PKCS #8 key
 *   { 0|1, { … } }               a PKCS #8 key
 *   { 1, OCTET STRING }          a SEC1 key
 *   { 0, eight or more INTEGER } a PKCS #1 key
 *   { 3, { OID, … } }            a PKCS #12 file
 */
import { createReadStream } from 'node:fs';
import { UnsupportedError } from '../../core/errors.ts';
import { BER, BerReader } from '../../core/wire/ber.ts';
import { fromUtf8 } from '../../core/wire/text.ts';
import { systemErrorText } from '../system-error.ts';
import { CredentialError } from './credential-error.ts';
import { type Encryption, pemEncryption, readEncryption } from './password-based-encryption.ts';
import { type PemBlock, parsePem } from './pem.ts';
import { type Pkcs12File, parsePkcs12 } from './pkcs12.ts';

/** A bundle of all public authorities is a quarter of this. */
export const MAX_FILE_BYTES = 0x10_0000;

export type KeyFormat = 'pkcs1' | 'sec1' | 'pkcs8';

/** One thing in a file. What is encrypted is not opened yet, but its encryption is known to be one that we do. */
export type CredentialItem =
  | { readonly type: 'certificate'; readonly der: Uint8Array }
  | { readonly type: 'key'; readonly format: KeyFormat; readonly der: Uint8Array }
  | EncryptedKey
  | { readonly type: 'pkcs12'; readonly file: Pkcs12File }
  | { readonly type: 'unsupported-key'; readonly why: UnsupportedError };

export interface EncryptedKey {
  readonly type: 'encrypted-key';
  readonly format: KeyFormat;
  readonly protection: 'PKCS#8' | 'PEM';
  readonly encryption: Encryption;
  readonly ciphertext: Uint8Array;
}

/** Reads a file, a pipe too. Throws {@link CredentialError} if that cannot be, or if there is more than {@link MAX_FILE_BYTES}. */
export async function readCredentialFile(path: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  try {
    // `end` is the last byte: one more than allowed shows that there is more.
    for await (const chunk of createReadStream(path, { end: MAX_FILE_BYTES })) chunks.push(chunk);
  } catch (error) {
    throw new CredentialError(`it cannot be read: ${systemErrorText(error)}`, { cause: error });
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length > MAX_FILE_BYTES) throw new CredentialError(`it is too long for certificates and keys: over ${MAX_FILE_BYTES} bytes`);
  return bytes;
}

/** Throws {@link SallyportError} if the bytes are damaged or nothing of ours; an encryption that we do not do makes an item of its own. */
export function parseCredentials(bytes: Uint8Array): CredentialItem[] {
  const text = fromUtf8(bytes);
  if (!text.includes('-----BEGIN ')) return [identifyDer(bytes)];
  const items = parsePem(text)
    .map(itemOfBlock)
    .filter((item) => item !== undefined);
  if (items.length === 0) throw new CredentialError('none of its PEM blocks is a certificate or a key');
  return items;
}

const DSA = 'DSA keys are not supported; use an RSA or EC key';
const TPM = 'keys in a TPM are not supported';
const OPENSSH = 'keys in the OpenSSH format are not supported; convert it to PEM with ssh-keygen -p -m PEM';

function itemOfBlock(block: PemBlock): CredentialItem | undefined {
  switch (block.label) {
    case 'CERTIFICATE':
    case 'X509 CERTIFICATE':
    case 'TRUSTED CERTIFICATE': // OpenSSL appends its trust settings
      return { type: 'certificate', der: new BerReader(block.bytes).element('certificate').encoded };
    case 'RSA PRIVATE KEY':
      return keyOfBlock(block, 'pkcs1');
    case 'EC PRIVATE KEY':
      return keyOfBlock(block, 'sec1');
    case 'PRIVATE KEY':
      return keyOfBlock(block, 'pkcs8');
    case 'ENCRYPTED PRIVATE KEY':
    case 'PKCS12':
      return identifyDer(block.bytes);
    case 'DSA PRIVATE KEY':
      return unsupportedKey(DSA);
    case 'OPENSSH PRIVATE KEY':
      return unsupportedKey(OPENSSH);
    case 'TSS KEY BLOB':
    case 'TSS2 PRIVATE KEY':
      return unsupportedKey(TPM);
    default:
      return undefined;
  }
}

function keyOfBlock(block: PemBlock, format: KeyFormat): CredentialItem {
  const dekInfo = block.headers.get('dek-info');
  if (dekInfo === undefined) return { type: 'key', format, der: block.bytes };
  return unlessUnsupported(() => {
    return { type: 'encrypted-key', format, protection: 'PEM', encryption: pemEncryption(dekInfo), ciphertext: block.bytes };
  });
}

function unsupportedKey(why: string): CredentialItem {
  return { type: 'unsupported-key', why: new UnsupportedError(why) };
}

function unlessUnsupported(read: () => EncryptedKey): CredentialItem {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnsupportedError) return { type: 'unsupported-key', why: error };
    throw error;
  }
}

const TPM_KEYS = '2.23.133.10.1.';
const NOTHING_OF_OURS = 'it is no certificate and no key in PEM, DER or PKCS#12';

function identifyDer(bytes: Uint8Array): CredentialItem {
  if (bytes[0] !== BER.sequence) throw new CredentialError(NOTHING_OF_OURS);
  const der = new BerReader(bytes).element('file').encoded;
  const outer = new BerReader(der).sequence('file');
  switch (outer.peekTag()) {
    case BER.integer:
      return identifyVersioned(der, outer);
    case BER.sequence: {
      const algorithm = outer.element('first part').encoded;
      if (outer.peekTag() !== BER.octetString) return { type: 'certificate', der };
      const ciphertext = outer.octets('encrypted key');
      return unlessUnsupported(() => {
        const encryption = readEncryption(new BerReader(algorithm));
        return { type: 'encrypted-key', format: 'pkcs8', protection: 'PKCS#8', encryption, ciphertext };
      });
    }
    case BER.oid:
      if (outer.oid('type').startsWith(TPM_KEYS)) return unsupportedKey(TPM);
  }
  throw new CredentialError(NOTHING_OF_OURS);
}

/** Number of INTEGERs in the traditional form of a DSA key: version, p, q, g, y, x. A PKCS #1 key has at least nine. */
const DSA_INTEGERS = 6;

function identifyVersioned(der: Uint8Array, outer: BerReader): CredentialItem {
  const version = outer.integer('version');
  const second = outer.peekTag();
  if (second === BER.sequence) return version === 3 ? { type: 'pkcs12', file: parsePkcs12(der) } : { type: 'key', format: 'pkcs8', der };
  if (second === BER.octetString) return { type: 'key', format: 'sec1', der };
  let integers = 1;
  while (outer.peekTag() === BER.integer) {
    outer.element('number of a key');
    integers++;
  }
  if (integers === DSA_INTEGERS) return unsupportedKey(DSA);
  if (integers < DSA_INTEGERS) throw new CredentialError(NOTHING_OF_OURS);
  return { type: 'key', format: 'pkcs1', der };
}
