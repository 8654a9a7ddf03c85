/**
 * One identity in every file format that people have certificates and keys in, as the `openssl` program writes them
 * (with its legacy provider for what is old). What it cannot write, PBES2 with SHA-1 in PKCS #12, is put together from what it can.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { der, integer, octetString, oid, sequence } from './der.ts';
import type { Issued } from './pki.ts';

/** Options for a client: `--certificate`, `--sslkey` and, if it is encrypted, `--key-password`. */
export interface KeyVariant {
  /** Says the format: `PKCS#8 PEM, PBES2 AES-256 under HMAC-SHA-1`. */
  readonly name: string;
  readonly certificate: string;
  /** Absent if certificate and key are in one file. */
  readonly key?: string;
  readonly isEncrypted: boolean;
}

const TRADITIONAL_CIPHERS = ['des3', 'aes128', 'aes192', 'aes256'];
const PBES1 = ['PBE-MD5-DES', 'PBE-SHA1-3DES'];
const PBES2_CIPHERS = ['des3', 'aes128', 'aes192', 'aes256'];
const PBES2_PRFS = ['hmacWithSHA1', 'hmacWithSHA256'];
const FORMS = ['PEM', 'DER'] as const;

/** PKCS #12: encryption of the key, of the certificates, and MAC. */
const PKCS12: readonly (readonly [key: string, certificates: string, mac: string])[] = [
  ['PBE-SHA1-3DES', 'PBE-SHA1-RC2-40', 'sha1'], // what Windows and OpenSSL wrote for twenty years
  ['PBE-SHA1-3DES', 'PBE-SHA1-3DES', 'sha1'],
  ['PBE-SHA1-3DES', 'PBE-SHA1-3DES', 'md5'],
  ['PBE-SHA1-RC2-40', 'PBE-SHA1-RC2-40', 'md5'],
  ['PBE-MD5-DES', 'PBE-MD5-DES', 'sha1'],
  ['DES-EDE3-CBC', 'DES-EDE3-CBC', 'sha1'],
  ['AES-128-CBC', 'AES-128-CBC', 'sha256'],
  ['AES-192-CBC', 'AES-192-CBC', 'sha256'],
  ['AES-256-CBC', 'AES-256-CBC', 'sha256'], // what OpenSSL 3 writes
  ['AES-256-CBC', 'NONE', 'sha256'],
];

/** Writes all variants into a directory. @param chain certificates that go into the PKCS #12 files behind the leaf */
export function writeKeyVariants(identity: Issued, directory: string, password: Uint8Array, chain: readonly Issued[] = []): KeyVariant[] {
  const writer = new VariantWriter(identity, directory, password, chain);
  return [...writer.plain(), ...writer.traditional(), ...writer.pkcs8(), ...writer.pkcs12(), ...writer.pkcs12UnderSha1()];
}

class VariantWriter {
  readonly #identity: Issued;
  readonly #directory: string;
  readonly #chainOptions: readonly string[];
  readonly #passwordFile: string;
  readonly #type: 'rsa' | 'ec';
  readonly #certificateDer: string;
  #count = 0;

  constructor(identity: Issued, directory: string, password: Uint8Array, chain: readonly Issued[]) {
    this.#identity = identity;
    this.#directory = directory;
    this.#type = identity.key.asymmetricKeyType === 'rsa' ? 'rsa' : 'ec';
    this.#passwordFile = this.#write('password', password);
    const chainText = chain.map((each) => each.certificatePem).join('');
    this.#chainOptions = chainText === '' ? [] : ['-certfile', this.#write('chain.pem', Buffer.from(chainText))];
    this.#certificateDer = this.#write('certificate.der', identity.certificate.raw);
  }

  *plain(): Generator<KeyVariant> {
    const [certificate, name] = [this.#identity.certificatePath, this.#traditionalName];
    for (const form of FORMS) {
      const outform = ['-outform', form];
      yield {
        name: `${name} ${form}`,
        certificate,
        key: this.#openssl([this.#type, ...this.#traditionalFlag, ...outform]),
        isEncrypted: false,
      };
      const key = this.#openssl(['pkcs8', '-topk8', '-nocrypt', ...outform]);
      yield { name: `PKCS#8 ${form}`, certificate: this.#certificateDer, key, isEncrypted: false };
    }
    const together = Buffer.from(`${this.#identity.keyPem}${this.#identity.certificatePem}`);
    yield { name: 'PEM, key and certificate together', certificate: this.#write('together.pem', together), isEncrypted: false };
  }

  *traditional(): Generator<KeyVariant> {
    const certificate = this.#identity.certificatePath;
    for (const cipher of TRADITIONAL_CIPHERS) {
      const key = this.#openssl([this.#type, ...this.#traditionalFlag, `-${cipher}`, '-passout', `file:${this.#passwordFile}`]);
      yield { name: `${this.#traditionalName} PEM, traditional ${cipher}`, certificate, key, isEncrypted: true };
    }
  }

  *pkcs8(): Generator<KeyVariant> {
    const certificate = this.#identity.certificatePath;
    for (const form of FORMS) {
      for (const scheme of PBES1) {
        const key = this.#encryptPkcs8(['-v1', scheme], form);
        yield { name: `PKCS#8 ${form}, ${scheme}`, certificate, key, isEncrypted: true };
      }
      for (const [cipher, prf] of PBES2_CIPHERS.flatMap((cipher) => PBES2_PRFS.map((prf) => [cipher, prf] as const))) {
        const key = this.#encryptPkcs8(['-v2', cipher, '-v2prf', prf], form);
        yield { name: `PKCS#8 ${form}, PBES2 ${cipher} under ${prf}`, certificate, key, isEncrypted: true };
      }
    }
  }

  *pkcs12(): Generator<KeyVariant> {
    for (const [key, certificates, mac] of PKCS12) {
      const encryption = ['-keypbe', key, '-certpbe', certificates, '-macalg', mac];
      const certificate = this.#exportPkcs12([...encryption, '-passout', `file:${this.#passwordFile}`]);
      yield { name: `PKCS#12, key ${key}, certificates ${certificates}, MAC ${mac}`, certificate, isEncrypted: true };
    }
    const withEmpty = this.#exportPkcs12(['-passout', 'pass:']);
    yield { name: 'PKCS#12 with an empty password', certificate: withEmpty, isEncrypted: false };
    const inClear = this.#exportPkcs12(['-keypbe', 'NONE', '-certpbe', 'NONE', '-nomac', '-passout', 'pass:']);
    yield { name: 'PKCS#12 in the clear', certificate: inClear, isEncrypted: false };
  }

  /** OpenSSL always puts HMAC-SHA-256 into PKCS #12; other programs put SHA-1. */
  *pkcs12UnderSha1(): Generator<KeyVariant> {
    for (const cipher of PBES2_CIPHERS) {
      const key = readFileSync(this.#encryptPkcs8(['-v2', cipher, '-v2prf', 'hmacWithSHA1'], 'DER'));
      const file = this.#write(`${++this.#count}.p12`, pkcs12Around(key, [this.#identity.certificate.raw]));
      yield { name: `PKCS#12, key PBES2 ${cipher} under hmacWithSHA1, no MAC`, certificate: file, isEncrypted: true };
    }
  }

  get #traditionalName(): string {
    return this.#type === 'rsa' ? 'PKCS#1' : 'SEC1';
  }

  /** `openssl rsa` writes PKCS #8 unless it is told; `openssl ec` does not. */
  get #traditionalFlag(): readonly string[] {
    return this.#type === 'rsa' ? ['-traditional'] : [];
  }

  #encryptPkcs8(encryption: readonly string[], form: string): string {
    return this.#openssl(['pkcs8', '-topk8', ...encryption, '-outform', form, '-passout', `file:${this.#passwordFile}`]);
  }

  #exportPkcs12(options: readonly string[]): string {
    const files = ['-in', this.#identity.certificatePath, '-inkey', this.#identity.keyPath];
    return this.#run(['pkcs12', '-export', ...options, ...this.#chainOptions], files);
  }

  #openssl(command: readonly string[]): string {
    return this.#run(command, ['-in', this.#identity.keyPath]);
  }

  /** The path of the file that it wrote: a number, so that nothing can go by its name. */
  #run([command = '', ...options]: readonly string[], input: readonly string[]): string {
    const out = path.join(this.#directory, `${++this.#count}`);
    const providers = ['-provider', 'legacy', '-provider', 'default'];
    execFileSync('openssl', [command, ...providers, ...options, ...input, '-out', out], { stdio: ['ignore', 'ignore', 'pipe'] });
    return out;
  }

  #write(name: string, bytes: Uint8Array): string {
    const file = path.join(this.#directory, name);
    writeFileSync(file, bytes);
    return file;
  }
}

const DATA = '1.2.840.113549.1.7.1';

/** A PKCS #12 file without a MAC around an encrypted PKCS #8 key and certificates in the clear. */
export function pkcs12Around(encryptedKey: Uint8Array, certificates: readonly Uint8Array[]): Buffer {
  const bags = certificates.map((certificate) => {
    const value = sequence(oid('1.2.840.113549.1.9.22.1'), explicit0(octetString(certificate)));
    return sequence(oid('1.2.840.113549.1.12.10.1.3'), explicit0(value));
  });
  bags.unshift(sequence(oid('1.2.840.113549.1.12.10.1.2'), explicit0(encryptedKey)));
  return pkcs12OfSafes(data(sequence(...bags)));
}

/** A PKCS #12 file without a MAC, of safes as they are. */
export function pkcs12OfSafes(...safes: readonly Uint8Array[]): Buffer {
  return sequence(integer(3), data(sequence(...safes)));
}

/** ContentInfo of the type data. */
export function data(contents: Uint8Array): Buffer {
  return sequence(oid(DATA), explicit0(octetString(contents)));
}

export function explicit0(value: Uint8Array): Buffer {
  return der(0xa0, value);
}
