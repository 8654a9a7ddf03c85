/**
 * The TLS algorithms that we can choose among, under the names that GnuTLS and OpenSSL give them.
 *
 * Sources: GnuTLS manual, "Priority strings" and "Supported ciphersuites"; OpenSSL manual, ciphers(1) and SSL_CTX_set1_groups_list(3).
 * Node's OpenSSL is built without 3DES, RC4, Camellia and (for TLS 1.2) CCM: they are not here.
 */

/** Oldest first. */
export const TLS_VERSIONS = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof TLS_VERSIONS)[number];

/** What DTLS with a pre-shared key can offer. */
export type DtlsCipher = 'aes-256-gcm' | 'chacha20-poly1305' | 'aes-128-gcm';

/** What DTLS has for old clients, with SHA-1. */
export type OldDtlsCipher = 'aes-256-cbc' | 'aes-128-cbc';

export const CIPHERS = ['AES-256-GCM', 'CHACHA20-POLY1305', 'AES-256-CBC', 'AES-128-GCM', 'AES-128-CBC'] as const;
export type Cipher = (typeof CIPHERS)[number];

export const KEY_EXCHANGES = ['ECDHE-ECDSA', 'ECDHE-RSA', 'RSA', 'DHE-RSA'] as const;
export type KeyExchange = (typeof KEY_EXCHANGES)[number];

export const MACS = ['SHA1', 'AEAD', 'SHA256', 'SHA384'] as const;
export type Mac = (typeof MACS)[number];

export const DTLS_CIPHERS: Readonly<Partial<Record<Cipher, DtlsCipher>>> = {
  'AES-256-GCM': 'aes-256-gcm',
  'CHACHA20-POLY1305': 'chacha20-poly1305',
  'AES-128-GCM': 'aes-128-gcm',
};

export const OLD_DTLS_CIPHERS: Readonly<Partial<Record<Cipher, OldDtlsCipher>>> = {
  'AES-256-CBC': 'aes-256-cbc',
  'AES-128-CBC': 'aes-128-cbc',
};

export const TLS13_SUITES: Readonly<Partial<Record<Cipher, string>>> = {
  'AES-256-GCM': 'TLS_AES_256_GCM_SHA384',
  'CHACHA20-POLY1305': 'TLS_CHACHA20_POLY1305_SHA256',
  'AES-128-GCM': 'TLS_AES_128_GCM_SHA256',
};

/** OpenSSL's name of a suite of TLS 1.2 and before without its key exchange, and what the suite is not defined for. */
interface SuiteTail {
  readonly cipher: Cipher;
  readonly mac: Mac;
  readonly tail: string;
  readonly keyExchanges: readonly KeyExchange[];
}

const EPHEMERAL = ['ECDHE-ECDSA', 'ECDHE-RSA', 'DHE-RSA'] as const;
const ELLIPTIC = ['ECDHE-ECDSA', 'ECDHE-RSA'] as const;
const FINITE = ['RSA', 'DHE-RSA'] as const;

const SUITE_TAILS: readonly SuiteTail[] = [
  { cipher: 'AES-256-GCM', mac: 'AEAD', tail: 'AES256-GCM-SHA384', keyExchanges: KEY_EXCHANGES },
  { cipher: 'CHACHA20-POLY1305', mac: 'AEAD', tail: 'CHACHA20-POLY1305', keyExchanges: EPHEMERAL },
  { cipher: 'AES-256-CBC', mac: 'SHA1', tail: 'AES256-SHA', keyExchanges: KEY_EXCHANGES },
  { cipher: 'AES-256-CBC', mac: 'SHA256', tail: 'AES256-SHA256', keyExchanges: FINITE },
  { cipher: 'AES-256-CBC', mac: 'SHA384', tail: 'AES256-SHA384', keyExchanges: ELLIPTIC },
  { cipher: 'AES-128-GCM', mac: 'AEAD', tail: 'AES128-GCM-SHA256', keyExchanges: KEY_EXCHANGES },
  { cipher: 'AES-128-CBC', mac: 'SHA1', tail: 'AES128-SHA', keyExchanges: KEY_EXCHANGES },
  { cipher: 'AES-128-CBC', mac: 'SHA256', tail: 'AES128-SHA256', keyExchanges: KEY_EXCHANGES },
];

/** OpenSSL's names of the suites of TLS 1.2 and before, best first. */
export function suiteNames(keyExchanges: readonly KeyExchange[], ciphers: readonly Cipher[], macs: readonly Mac[]): string[] {
  return keyExchanges.flatMap((keyExchange) =>
    ciphers.flatMap((cipher) =>
      macs.flatMap((mac) =>
        SUITE_TAILS.filter((suite) => suite.cipher === cipher && suite.mac === mac && suite.keyExchanges.includes(keyExchange)).map(
          (suite) => (keyExchange === 'RSA' ? suite.tail : `${keyExchange}-${suite.tail}`),
        ),
      ),
    ),
  );
}

/** GnuTLS's name of a group (with or without `GROUP-`, `CURVE-`) and OpenSSL's. */
export const GROUPS = {
  SECP256R1: 'P-256',
  SECP384R1: 'P-384',
  SECP521R1: 'P-521',
  X25519: 'X25519',
  X448: 'X448',
  FFDHE2048: 'ffdhe2048',
  FFDHE3072: 'ffdhe3072',
  FFDHE4096: 'ffdhe4096',
  FFDHE6144: 'ffdhe6144',
  FFDHE8192: 'ffdhe8192',
} as const;
export type Group = keyof typeof GROUPS;

/** GnuTLS's name of a signature algorithm (without `SIGN-`) and the one of the TLS registry, which OpenSSL uses. */
export const SIGNATURES = {
  'RSA-SHA256': 'rsa_pkcs1_sha256',
  'RSA-PSS-SHA256': 'rsa_pss_pss_sha256',
  'RSA-PSS-RSAE-SHA256': 'rsa_pss_rsae_sha256',
  'ECDSA-SHA256': 'ecdsa_secp256r1_sha256',
  'EDDSA-ED25519': 'ed25519',
  'RSA-SHA384': 'rsa_pkcs1_sha384',
  'RSA-PSS-SHA384': 'rsa_pss_pss_sha384',
  'RSA-PSS-RSAE-SHA384': 'rsa_pss_rsae_sha384',
  'ECDSA-SHA384': 'ecdsa_secp384r1_sha384',
  'EDDSA-ED448': 'ed448',
  'RSA-SHA512': 'rsa_pkcs1_sha512',
  'RSA-PSS-SHA512': 'rsa_pss_pss_sha512',
  'RSA-PSS-RSAE-SHA512': 'rsa_pss_rsae_sha512',
  'ECDSA-SHA512': 'ecdsa_secp521r1_sha512',
  'RSA-SHA1': 'rsa_pkcs1_sha1',
  'ECDSA-SHA1': 'ecdsa_sha1',
} as const;
export type Signature = keyof typeof SIGNATURES;
