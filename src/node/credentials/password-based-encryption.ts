/**
 * Password-based encryption of keys and certificates: PBES1, PBES2, that of PKCS #12, and the traditional one of PEM.
 * Whatever else a file uses is refused by its name.
 *
 * Read first: RFC 8018, sections 6.1, 6.2 and appendix A; RFC 7292, appendix C.
 *
 *   AlgorithmIdentifier { PBES2, { { PBKDF2, { salt, iterations, [key length], [PRF] } }, { cipher, IV } } }
 *   AlgorithmIdentifier { pbeWith…, { salt, iterations } }
 */
import { createDecipheriv, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { UnsupportedError } from '../../core/errors.ts';
import { BER, BerReader } from '../../core/wire/ber.ts';
import { algorithmName } from './algorithm-names.ts';
import { CredentialError } from './credential-error.ts';
import { type DigestName, PKCS12_PURPOSE, pbkdf1, pemKey, pkcs12Key } from './key-derivation.ts';
import type { PasswordForms } from './password-bytes.ts';

/** Ten times what today's most careful programs use; a file that asks for more would only keep the processor busy. */
export const MAX_ITERATIONS = 6_000_000;

/** One way of making a key from a password, and what it is the key of. */
export interface Encryption {
  readonly cipher: CipherName;
  readonly passwordForm: keyof PasswordForms;
  derive(password: Uint8Array): Promise<{ readonly key: Uint8Array; readonly iv: Uint8Array }>;
}

type CipherName = 'des-cbc' | 'des-ede3-cbc' | 'rc2-40-cbc' | 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc';

/** In bytes. */
const CIPHERS: Readonly<Record<CipherName, { readonly keyLength: number; readonly blockLength: number }>> = {
  'des-cbc': { keyLength: 8, blockLength: 8 },
  'des-ede3-cbc': { keyLength: 24, blockLength: 8 },
  'rc2-40-cbc': { keyLength: 5, blockLength: 8 },
  'aes-128-cbc': { keyLength: 16, blockLength: 16 },
  'aes-192-cbc': { keyLength: 24, blockLength: 16 },
  'aes-256-cbc': { keyLength: 32, blockLength: 16 },
};

const PBES1_MD5_DES = '1.2.840.113549.1.5.3';
const PBKDF2 = '1.2.840.113549.1.5.12';
const PBES2 = '1.2.840.113549.1.5.13';

const PKCS12_CIPHERS: Readonly<Record<string, CipherName>> = {
  '1.2.840.113549.1.12.1.3': 'des-ede3-cbc',
  '1.2.840.113549.1.12.1.6': 'rc2-40-cbc',
};

const PBES2_CIPHERS: Readonly<Record<string, CipherName>> = {
  '1.2.840.113549.3.7': 'des-ede3-cbc',
  '2.16.840.1.101.3.4.1.2': 'aes-128-cbc',
  '2.16.840.1.101.3.4.1.22': 'aes-192-cbc',
  '2.16.840.1.101.3.4.1.42': 'aes-256-cbc',
};

const PBKDF2_DIGESTS: Readonly<Record<string, DigestName>> = {
  '1.2.840.113549.2.7': 'sha1',
  '1.2.840.113549.2.8': 'sha224',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
};

/** The names in DEK-Info. */
const PEM_CIPHERS: Readonly<Record<string, CipherName>> = {
  'DES-EDE3-CBC': 'des-ede3-cbc',
  'AES-128-CBC': 'aes-128-cbc',
  'AES-192-CBC': 'aes-192-cbc',
  'AES-256-CBC': 'aes-256-cbc',
};

/** Reads the AlgorithmIdentifier of an encryption. Throws {@link UnsupportedError} with the name of what we do not do. */
export function readEncryption(parent: BerReader): Encryption {
  const algorithm = parent.sequence('encryption algorithm');
  const oid = algorithm.oid('encryption algorithm');
  if (oid === PBES2) return readPbes2(algorithm.sequence('PBES2 parameters'));
  const pkcs12Cipher = PKCS12_CIPHERS[oid];
  if (pkcs12Cipher === undefined && oid !== PBES1_MD5_DES) throw unsupportedEncryption(algorithmName(oid));

  const parameters = algorithm.sequence('encryption parameters');
  const salt = parameters.octets('encryption salt');
  const iterations = readIterations(parameters);
  return pkcs12Cipher === undefined ? pbes1(salt, iterations) : pkcs12Encryption(pkcs12Cipher, salt, iterations);
}

/** The encryption that a PEM block's DEK-Info header names: `AES-256-CBC,` and the IV in hex. */
export function pemEncryption(dekInfo: string): Encryption {
  const [name = '', ivText = ''] = dekInfo.split(',').map((part) => part.trim());
  const cipher = PEM_CIPHERS[name.toUpperCase()];
  if (cipher === undefined) throw unsupportedEncryption(name);
  const iv = Buffer.from(ivText, 'hex');
  const { keyLength, blockLength } = CIPHERS[cipher];
  if (iv.length !== blockLength || ivText.length !== 2 * blockLength) throw new CredentialError('the DEK-Info header has no valid IV');
  return { cipher, passwordForm: 'bytes', derive: async (password) => ({ key: pemKey(password, iv, keyLength), iv }) };
}

/** Reads an iteration count. Throws {@link UnsupportedError} if it is above {@link MAX_ITERATIONS}. */
export function readIterations(reader: BerReader): number {
  const iterations = reader.integer('iteration count');
  if (iterations > MAX_ITERATIONS) {
    throw new UnsupportedError(`a key derivation of ${iterations} iterations is not supported (at most ${MAX_ITERATIONS})`);
  }
  if (iterations === 0) throw new CredentialError('the iteration count is 0');
  return iterations;
}

/**
 * Decrypts what must be one ASN.1 SEQUENCE. Undefined if the password is wrong: its padding or its structure then makes no sense.
 * Throws {@link CredentialError} for what no password can decrypt.
 */
export async function decrypt(encryption: Encryption, ciphertext: Uint8Array, password: PasswordForms): Promise<Uint8Array | undefined> {
  const { blockLength } = CIPHERS[encryption.cipher];
  if (ciphertext.length === 0 || ciphertext.length % blockLength !== 0) {
    throw new CredentialError(`the encrypted part is damaged: ${ciphertext.length} bytes are not a whole number of cipher blocks`);
  }
  for (const form of password[encryption.passwordForm]) {
    const { key, iv } = await encryption.derive(form);
    const plaintext = unpadded(await decipher(encryption.cipher, key, iv, ciphertext), blockLength);
    if (plaintext !== undefined && isOneSequence(plaintext)) return plaintext;
  }
  return undefined;
}

function readPbes2(parameters: BerReader): Encryption {
  const derivation = parameters.sequence('PBES2 key derivation');
  const derivationOid = derivation.oid('PBES2 key derivation');
  const scheme = parameters.sequence('PBES2 cipher');
  const schemeOid = scheme.oid('PBES2 cipher');
  const cipher = PBES2_CIPHERS[schemeOid];
  if (cipher === undefined) throw unsupportedEncryption(`PBES2 and ${algorithmName(schemeOid)}`);
  if (derivationOid !== PBKDF2) throw unsupportedEncryption(`PBES2 and ${algorithmName(derivationOid)}`);

  const { keyLength, blockLength } = CIPHERS[cipher];
  const iv = scheme.octets('PBES2 IV');
  if (iv.length !== blockLength) throw new CredentialError(`the IV has ${iv.length} bytes, not ${blockLength}`);
  const { salt, iterations, digest } = readPbkdf2(derivation.sequence('PBKDF2 parameters'), keyLength);
  return {
    cipher,
    passwordForm: 'bytes',
    derive: async (password) => ({ key: await promisify(pbkdf2)(password, salt, iterations, keyLength, digest), iv }),
  };
}

function readPbkdf2(parameters: BerReader, keyLength: number) {
  if (parameters.peekTag() !== BER.octetString) throw unsupportedEncryption('PBKDF2 and a salt that is not in the file');
  const salt = parameters.octets('PBKDF2 salt');
  const iterations = readIterations(parameters);
  if (parameters.peekTag() === BER.integer && parameters.integer('PBKDF2 key length') !== keyLength) {
    throw new CredentialError('the key length of PBKDF2 is not that of the cipher');
  }
  if (parameters.isAtEnd) return { salt, iterations, digest: 'sha1' as const }; // RFC 8018, appendix A.2: the default
  const prf = parameters.sequence('PBKDF2 PRF').oid('PBKDF2 PRF');
  const digest = PBKDF2_DIGESTS[prf];
  if (digest === undefined) throw unsupportedEncryption(`PBKDF2 and ${algorithmName(prf)}`);
  return { salt, iterations, digest };
}

/** RFC 8018, section 6.1.1: the 16 bytes of MD5 are the key and the IV. */
function pbes1(salt: Uint8Array, iterations: number): Encryption {
  return {
    cipher: 'des-cbc',
    passwordForm: 'bytes',
    derive: async (password) => {
      const derived = pbkdf1('md5', password, salt, iterations);
      return { key: derived.subarray(0, 8), iv: derived.subarray(8, 16) };
    },
  };
}

/** RFC 7292, appendix C: SHA-1, and both key and IV by the derivation of PKCS #12. */
function pkcs12Encryption(cipher: CipherName, salt: Uint8Array, iterations: number): Encryption {
  const { keyLength, blockLength } = CIPHERS[cipher];
  return {
    cipher,
    passwordForm: 'utf16',
    derive: async (password) => ({
      key: pkcs12Key('sha1', PKCS12_PURPOSE.key, password, salt, iterations, keyLength),
      iv: pkcs12Key('sha1', PKCS12_PURPOSE.iv, password, salt, iterations, blockLength),
    }),
  };
}

/** CBC without removing the padding. */
async function decipher(cipher: CipherName, key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array> {
  if (cipher === 'rc2-40-cbc') return decipherRc2(key, iv, ciphertext);
  // Single DES is in OpenSSL's legacy part, which Node does not load; triple DES with one key three times is the same.
  const [name, material] = cipher === 'des-cbc' ? ['des-ede3-cbc', Buffer.concat([key, key, key])] : [cipher, key];
  const context = createDecipheriv(name, material, iv).setAutoPadding(false);
  return Buffer.concat([context.update(ciphertext), context.final()]);
}

/** RC2 is in OpenSSL's legacy part too. node-forge takes some 40 ms to load: only those who have such a file wait for it. */
async function decipherRc2(key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array> {
  const { default: forge } = await import('node-forge');
  const buffer = (bytes: Uint8Array) => forge.util.createBuffer(Buffer.from(bytes).toString('latin1'), 'raw');
  const context = forge.rc2.createDecryptionCipher(buffer(key), 8 * key.length);
  context.start(buffer(iv));
  context.update(buffer(ciphertext));
  context.finish(() => true); // leaves the padding
  return Buffer.from(context.output.getBytes(), 'latin1');
}

/** RFC 8018, section 6.1.1, step 4: n bytes of value n. Undefined if it is not that. */
function unpadded(padded: Uint8Array, blockLength: number): Uint8Array | undefined {
  const count = padded.at(-1) ?? 0;
  const padding = padded.subarray(padded.length - count);
  if (count === 0 || count > blockLength || padding.some((byte) => byte !== count)) return undefined;
  return padded.subarray(0, padded.length - count);
}

/** A wrong password passes the padding check once in 256 times; a SEQUENCE exactly as long as the plaintext it then still is not. */
function isOneSequence(plaintext: Uint8Array): boolean {
  try {
    const reader = new BerReader(plaintext);
    reader.expect(BER.sequence, 'plaintext');
    return reader.isAtEnd;
  } catch {
    return false; // not ASN.1: the password was wrong
  }
}

function unsupportedEncryption(name: string): UnsupportedError {
  return new UnsupportedError(`encryption with ${name} is not supported; encrypt it with AES or 3DES instead`);
}
