/**
 * Reads PKCS #12 files: certificates and keys in bags, bags in safes, each perhaps encrypted, and a MAC over all.
 *
 * Read first: RFC 7292, sections 4 and 5.
 *
 *   PFX { 3, authSafe: data { [ safe, … ] }, [ MAC ] }
 *     safe: data { bags }  |  encrypted data { algorithm, bags }
 *     bag:  { type, value, [ attributes ] }, value: certificate | PKCS #8 key | encrypted PKCS #8 key | bags again
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { UnsupportedError } from '../../core/errors.ts';
import { BER, BerReader } from '../../core/wire/ber.ts';
import { algorithmName } from './algorithm-names.ts';
import { CredentialError } from './credential-error.ts';
import { type DigestName, PKCS12_PURPOSE, pkcs12Key } from './key-derivation.ts';
import { decrypt, type Encryption, readEncryption, readIterations } from './password-based-encryption.ts';
import type { PasswordForms } from './password-bytes.ts';

const MAX_BAGS = 1000;
/** Bags in bags: nobody writes more than one level. */
const MAX_BAG_DEPTH = 4;
const PFX_VERSION = 3;

const DATA = '1.2.840.113549.1.7.1';
const ENCRYPTED_DATA = '1.2.840.113549.1.7.6';
const BAG = {
  key: '1.2.840.113549.1.12.10.1.1',
  shroudedKey: '1.2.840.113549.1.12.10.1.2',
  certificate: '1.2.840.113549.1.12.10.1.3',
  safeContents: '1.2.840.113549.1.12.10.1.6',
} as const;
const X509_CERTIFICATE = '1.2.840.113549.1.9.22.1';
const LOCAL_KEY_ID = '1.2.840.113549.1.9.21';

const MAC_DIGESTS: Readonly<Record<string, DigestName>> = {
  '1.2.840.113549.2.5': 'md5',
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.4': 'sha224',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
/** In bytes. */
const DIGEST_LENGTHS: Readonly<Record<DigestName, number>> = { md5: 16, sha1: 20, sha224: 28, sha256: 32, sha384: 48, sha512: 64 };

/** A certificate, or a key in PKCS #8, in DER. */
export interface Pkcs12Object {
  readonly der: Uint8Array;
  /** In hex; a key and its certificate have the same one, where the file's maker gave any. */
  readonly localKeyId?: string;
}

export interface Pkcs12Contents {
  readonly certificates: readonly Pkcs12Object[];
  readonly keys: readonly Pkcs12Object[];
}

/** What can be read without a password. */
export interface Pkcs12File {
  readonly safes: readonly Safe[];
  readonly mac?: Mac;
}

interface Safe {
  readonly encryption?: Encryption;
  readonly bytes: Uint8Array;
}

interface Mac {
  readonly digest: DigestName;
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly value: Uint8Array;
  /** What it protects. */
  readonly data: Uint8Array;
}

/** Reads all that is not encrypted. Throws {@link SallyportError}: damaged, or {@link UnsupportedError} with the name of what we do not do. */
export function parsePkcs12(file: Uint8Array): Pkcs12File {
  const pfx = new BerReader(file).sequence('PKCS#12 file');
  const version = pfx.integer('PKCS#12 version');
  if (version !== PFX_VERSION) throw new UnsupportedError(`PKCS#12 version ${version} is not supported`);

  const authSafe = pfx.sequence('PKCS#12 contents');
  const type = authSafe.oid('PKCS#12 contents');
  if (type !== DATA) throw new UnsupportedError(`PKCS#12 with ${algorithmName(type)} in place of a password is not supported`);
  const data = authSafe.explicit(0, 'PKCS#12 contents').octets('PKCS#12 contents');
  const infos = new BerReader(data).sequence('PKCS#12 safes');
  const safes: Safe[] = [];
  while (!infos.isAtEnd) {
    if (safes.length === MAX_BAGS) throw new CredentialError(`more than ${MAX_BAGS} PKCS#12 safes`);
    safes.push(readSafe(infos.sequence('PKCS#12 safe')));
  }
  return pfx.isAtEnd ? { safes } : { safes, mac: readMac(pfx.sequence('PKCS#12 MAC'), data) };
}

/**
 * Decrypts everything and checks the MAC. Undefined if the password is wrong; throws {@link SallyportError} for damage.
 *
 * Decryption comes first because it is by far the cheaper test of a password: makers now ask for 600,000 iterations, and the MAC's
 * derivation, unlike PBKDF2, cannot run natively.
 */
export async function openPkcs12(file: Pkcs12File, password: PasswordForms): Promise<Pkcs12Contents | undefined> {
  const bags = new BagReader(password);
  for (const safe of file.safes) {
    const plaintext = safe.encryption === undefined ? safe.bytes : await decrypt(safe.encryption, safe.bytes, password);
    if (plaintext === undefined || !(await bags.read(plaintext, MAX_BAG_DEPTH))) return undefined;
  }
  const { certificates, keys } = bags;
  if (file.mac === undefined || macMatches(file.mac, password)) return { certificates, keys };
  if (bags.hasDecrypted || file.safes.some((safe) => safe.encryption !== undefined)) {
    throw new CredentialError('the PKCS#12 file is damaged: the password decrypts it, but its MAC does not match');
  }
  return undefined;
}

function readSafe(info: BerReader): Safe {
  const type = info.oid('PKCS#12 safe');
  if (type === DATA) return { bytes: info.explicit(0, 'PKCS#12 safe').octets('PKCS#12 safe') };
  if (type !== ENCRYPTED_DATA) throw new UnsupportedError(`PKCS#12 with ${algorithmName(type)} is not supported`);
  const encryptedData = info.explicit(0, 'PKCS#12 safe').sequence('encrypted PKCS#12 safe');
  encryptedData.integer('version of encrypted data');
  const content = encryptedData.sequence('encrypted PKCS#12 safe');
  content.oid('type of encrypted data');
  return { encryption: readEncryption(content), bytes: content.octets('encrypted PKCS#12 safe', 0) };
}

function readMac(macData: BerReader, data: Uint8Array): Mac {
  const digestInfo = macData.sequence('PKCS#12 MAC');
  const oid = digestInfo.sequence('digest of the PKCS#12 MAC').oid('digest of the PKCS#12 MAC');
  const digest = MAC_DIGESTS[oid];
  if (digest === undefined) throw new UnsupportedError(`a PKCS#12 MAC with ${algorithmName(oid)} is not supported`);
  const value = digestInfo.octets('PKCS#12 MAC');
  const salt = macData.octets('salt of the PKCS#12 MAC');
  return { digest, salt, iterations: macData.isAtEnd ? 1 : readIterations(macData), value, data };
}

function macMatches(mac: Mac, password: PasswordForms): boolean {
  const length = DIGEST_LENGTHS[mac.digest];
  return password.utf16.some((form) => {
    const key = pkcs12Key(mac.digest, PKCS12_PURPOSE.mac, form, mac.salt, mac.iterations, length);
    return mac.value.length === length && timingSafeEqual(createHmac(mac.digest, key).update(mac.data).digest(), mac.value);
  });
}

/** Gathers what is in the bags. */
class BagReader {
  readonly certificates: Pkcs12Object[] = [];
  readonly keys: Pkcs12Object[] = [];
  /** A key was decrypted, so the password is right. */
  hasDecrypted = false;
  readonly #password: PasswordForms;
  #bags = 0;

  constructor(password: PasswordForms) {
    this.#password = password;
  }

  /** False if the password is wrong for a key. */
  async read(safeContents: Uint8Array, depthLeft: number): Promise<boolean> {
    if (depthLeft === 0) throw new CredentialError(`PKCS#12 bags nest deeper than ${MAX_BAG_DEPTH} levels`);
    const bags = new BerReader(safeContents).sequence('PKCS#12 bags');
    while (!bags.isAtEnd) {
      if (++this.#bags > MAX_BAGS) throw new CredentialError(`more than ${MAX_BAGS} PKCS#12 bags`);
      if (!(await this.#readBag(bags.sequence('PKCS#12 bag'), depthLeft))) return false;
    }
    return true;
  }

  async #readBag(bag: BerReader, depthLeft: number): Promise<boolean> {
    const type = bag.oid('type of a PKCS#12 bag');
    const value = bag.explicit(0, 'PKCS#12 bag');
    const id = bag.peekTag() === BER.set ? readLocalKeyId(bag.set('attributes of a PKCS#12 bag')) : undefined;
    const named = (der: Uint8Array): Pkcs12Object => (id === undefined ? { der } : { der, localKeyId: id });
    switch (type) {
      case BAG.certificate: {
        const certificate = value.sequence('PKCS#12 certificate');
        if (certificate.oid('type of a PKCS#12 certificate') !== X509_CERTIFICATE) return true; // SDSI: nobody writes it
        this.certificates.push(named(certificate.explicit(0, 'PKCS#12 certificate').octets('PKCS#12 certificate')));
        return true;
      }
      case BAG.key:
        this.keys.push(named(value.element('PKCS#12 key').encoded));
        return true;
      case BAG.shroudedKey: {
        const key = value.sequence('encrypted PKCS#12 key');
        const plaintext = await decrypt(readEncryption(key), key.octets('encrypted PKCS#12 key'), this.#password);
        if (plaintext === undefined) return false;
        this.hasDecrypted = true;
        this.keys.push(named(plaintext));
        return true;
      }
      case BAG.safeContents:
        return this.read(value.element('PKCS#12 bags').encoded, depthLeft - 1);
      default:
        return true; // revocation lists and secrets are no concern of ours
    }
  }
}

function readLocalKeyId(attributes: BerReader): string | undefined {
  while (!attributes.isAtEnd) {
    const attribute = attributes.sequence('attribute of a PKCS#12 bag');
    if (attribute.oid('attribute of a PKCS#12 bag') !== LOCAL_KEY_ID) continue;
    return Buffer.from(attribute.set('local key id').octets('local key id')).toString('hex');
  }
  return undefined;
}
