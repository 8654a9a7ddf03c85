/**
 * The cipher suites we speak, by IANA id: what each means for keys, records and the PRF.
 *
 * Read first: the IANA registry "TLS Cipher Suites"; spec "AnyConnect", section 7.3.
 * Those of DHE are here for resumption with an injected secret (section 7.4) only, where no key exchange happens.
 */

import type { PrfName } from '../crypto/tls-prf.ts';
import type { AeadCipher, CbcCipher, DtlsMac } from '../tunnel/traffic.ts';

export interface CipherSuite {
  readonly id: number;
  /** IANA's name without the `TLS_`. */
  readonly name: string;
  readonly keyExchange: 'PSK' | 'RSA' | 'DHE-RSA' | 'ECDHE-RSA' | 'ECDHE-ECDSA';
  readonly protection: SuiteProtection;
  /** The PRF of TLS 1.2. Before that there is only `md5-sha1`. */
  readonly prf: Exclude<PrfName, 'md5-sha1'>;
}

export type SuiteProtection =
  | { readonly kind: 'aead'; readonly cipher: AeadCipher }
  | { readonly kind: 'cbc'; readonly cipher: CbcCipher; readonly mac: DtlsMac };

const aead = (cipher: AeadCipher): SuiteProtection => ({ kind: 'aead', cipher });
const cbc = (cipher: CbcCipher, mac: DtlsMac): SuiteProtection => ({ kind: 'cbc', cipher, mac });

const SUITES: readonly CipherSuite[] = [
  { id: 0x00a9, name: 'PSK_WITH_AES_256_GCM_SHA384', keyExchange: 'PSK', protection: aead('aes-256-gcm'), prf: 'sha384' },
  { id: 0xccab, name: 'PSK_WITH_CHACHA20_POLY1305_SHA256', keyExchange: 'PSK', protection: aead('chacha20-poly1305'), prf: 'sha256' },
  { id: 0x00a8, name: 'PSK_WITH_AES_128_GCM_SHA256', keyExchange: 'PSK', protection: aead('aes-128-gcm'), prf: 'sha256' },
  { id: 0x008d, name: 'PSK_WITH_AES_256_CBC_SHA', keyExchange: 'PSK', protection: cbc('aes-256-cbc', 'sha1'), prf: 'sha256' },
  { id: 0x008c, name: 'PSK_WITH_AES_128_CBC_SHA', keyExchange: 'PSK', protection: cbc('aes-128-cbc', 'sha1'), prf: 'sha256' },
  { id: 0x00ae, name: 'PSK_WITH_AES_128_CBC_SHA256', keyExchange: 'PSK', protection: cbc('aes-128-cbc', 'sha256'), prf: 'sha256' },
  { id: 0x009d, name: 'RSA_WITH_AES_256_GCM_SHA384', keyExchange: 'RSA', protection: aead('aes-256-gcm'), prf: 'sha384' },
  { id: 0x009c, name: 'RSA_WITH_AES_128_GCM_SHA256', keyExchange: 'RSA', protection: aead('aes-128-gcm'), prf: 'sha256' },
  { id: 0xc030, name: 'ECDHE_RSA_WITH_AES_256_GCM_SHA384', keyExchange: 'ECDHE-RSA', protection: aead('aes-256-gcm'), prf: 'sha384' },
  { id: 0xc02f, name: 'ECDHE_RSA_WITH_AES_128_GCM_SHA256', keyExchange: 'ECDHE-RSA', protection: aead('aes-128-gcm'), prf: 'sha256' },
  {
    id: 0xcca8,
    name: 'ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
    keyExchange: 'ECDHE-RSA',
    protection: aead('chacha20-poly1305'),
    prf: 'sha256',
  },
  { id: 0xc02c, name: 'ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', keyExchange: 'ECDHE-ECDSA', protection: aead('aes-256-gcm'), prf: 'sha384' },
  { id: 0xc02b, name: 'ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', keyExchange: 'ECDHE-ECDSA', protection: aead('aes-128-gcm'), prf: 'sha256' },
  {
    id: 0xcca9,
    name: 'ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    keyExchange: 'ECDHE-ECDSA',
    protection: aead('chacha20-poly1305'),
    prf: 'sha256',
  },
  { id: 0xc014, name: 'ECDHE_RSA_WITH_AES_256_CBC_SHA', keyExchange: 'ECDHE-RSA', protection: cbc('aes-256-cbc', 'sha1'), prf: 'sha256' },
  { id: 0xc013, name: 'ECDHE_RSA_WITH_AES_128_CBC_SHA', keyExchange: 'ECDHE-RSA', protection: cbc('aes-128-cbc', 'sha1'), prf: 'sha256' },
  {
    id: 0xc00a,
    name: 'ECDHE_ECDSA_WITH_AES_256_CBC_SHA',
    keyExchange: 'ECDHE-ECDSA',
    protection: cbc('aes-256-cbc', 'sha1'),
    prf: 'sha256',
  },
  {
    id: 0xc009,
    name: 'ECDHE_ECDSA_WITH_AES_128_CBC_SHA',
    keyExchange: 'ECDHE-ECDSA',
    protection: cbc('aes-128-cbc', 'sha1'),
    prf: 'sha256',
  },
  { id: 0x0039, name: 'DHE_RSA_WITH_AES_256_CBC_SHA', keyExchange: 'DHE-RSA', protection: cbc('aes-256-cbc', 'sha1'), prf: 'sha256' },
  { id: 0x0033, name: 'DHE_RSA_WITH_AES_128_CBC_SHA', keyExchange: 'DHE-RSA', protection: cbc('aes-128-cbc', 'sha1'), prf: 'sha256' },
  { id: 0x0035, name: 'RSA_WITH_AES_256_CBC_SHA', keyExchange: 'RSA', protection: cbc('aes-256-cbc', 'sha1'), prf: 'sha256' },
  { id: 0x002f, name: 'RSA_WITH_AES_128_CBC_SHA', keyExchange: 'RSA', protection: cbc('aes-128-cbc', 'sha1'), prf: 'sha256' },
];

const SUITE_OF_ID: ReadonlyMap<number, CipherSuite> = new Map(SUITES.map((suite) => [suite.id, suite]));

/** Our PSK suites, strongest first: the order in which they are offered and chosen. */
export const PSK_SUITE_IDS: readonly number[] = SUITES.filter((suite) => suite.keyExchange === 'PSK').map((suite) => suite.id);

/** What a client offers where the server shows a certificate: with forward secrecy first. */
export const CERTIFICATE_SUITE_IDS: readonly number[] = [0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc02b, 0xc02f, 0x009d, 0x009c];

/** The same with CBC and SHA-1: all that DTLS 1.0 has. */
export const CERTIFICATE_CBC_SUITE_IDS: readonly number[] = [0xc00a, 0xc014, 0xc009, 0xc013, 0x0035, 0x002f];

/** Undefined for suites we do not speak. */
export function cipherSuite(id: number): CipherSuite | undefined {
  return SUITE_OF_ID.get(id);
}

/** A suite's id as people write it: `0x00A9`. */
export function suiteIdText(id: number): string {
  return `0x${id.toString(16).toUpperCase().padStart(4, '0')}`;
}

/** A suite that is a signal, not a choice: "I know secure renegotiation" (RFC 5746 §3.3). */
export const EMPTY_RENEGOTIATION_INFO_SCSV = 0x00ff;

/** Bytes of the two MAC keys, cipher keys and implicit IVs of a suite, one direction (RFC 5246 §6.3). */
export function keySizes(protection: SuiteProtection): { readonly mac: number; readonly key: number; readonly iv: number } {
  switch (protection.kind) {
    case 'aead':
      // RFC 5288 §3: a salt of 4 bytes; RFC 7905 §2: 12 bytes.
      return { mac: 0, key: AEAD_KEY_LENGTHS[protection.cipher], iv: protection.cipher === 'chacha20-poly1305' ? 12 : 4 };
    case 'cbc':
      // From TLS 1.1 on each record carries its IV (RFC 4346 §6.2.3.2), in all dialects of DTLS.
      return { mac: MAC_LENGTHS[protection.mac], key: protection.cipher === 'aes-128-cbc' ? 16 : 32, iv: 0 };
  }
}

const AEAD_KEY_LENGTHS: Readonly<Record<AeadCipher, number>> = { 'aes-128-gcm': 16, 'aes-256-gcm': 32, 'chacha20-poly1305': 32 };

/** A MAC key is as long as its hash, and so is the MAC. */
export const MAC_LENGTHS: Readonly<Record<DtlsMac, number>> = { sha1: 20, sha256: 32 };
