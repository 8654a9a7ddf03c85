/**
 * The names that AnyConnect's headers use for DTLS suites, and what they mean.
 *
 * Read first: spec "AnyConnect", section 7.3 "Suite names → IANA". In resumption no key exchange happens: only the id in the hellos and
 * the cipher, MAC and PRF that follow from it matter.
 */

/** The dialect a suite is spoken in: Cisco's pre-RFC one (version 0x0100) or DTLS 1.2. */
export interface ResumptionSuite {
  readonly name: string;
  readonly id: number;
  readonly version: '0.9' | '1.2';
}

/** Not a suite: a real PSK handshake with a key exported from the TLS session (spec 7.7). */
export const PSK_NEGOTIATE = 'PSK-NEGOTIATE';

/** Names of the header `X-DTLS-CipherSuite`, strongest first. Single and triple DES are never offered. */
const CIPHER_SUITE: readonly ResumptionSuite[] = [
  { name: 'OC-DTLS1_2-AES256-GCM', id: 0x009d, version: '1.2' },
  { name: 'OC-DTLS1_2-AES128-GCM', id: 0x009c, version: '1.2' },
  { name: 'DHE-RSA-AES256-SHA', id: 0x0039, version: '0.9' },
  { name: 'DHE-RSA-AES128-SHA', id: 0x0033, version: '0.9' },
  { name: 'AES256-SHA', id: 0x0035, version: '0.9' },
  { name: 'AES128-SHA', id: 0x002f, version: '0.9' },
];

/** Names of the header `X-DTLS12-CipherSuite`, strongest first: always DTLS 1.2. */
const CIPHER_SUITE_12: readonly ResumptionSuite[] = [
  { name: 'ECDHE-RSA-AES256-GCM-SHA384', id: 0xc030, version: '1.2' },
  { name: 'ECDHE-RSA-AES128-GCM-SHA256', id: 0xc02f, version: '1.2' },
  { name: 'AES256-GCM-SHA384', id: 0x009d, version: '1.2' },
  { name: 'AES128-GCM-SHA256', id: 0x009c, version: '1.2' },
  { name: 'DHE-RSA-AES256-SHA', id: 0x0039, version: '1.2' },
  { name: 'DHE-RSA-AES128-SHA', id: 0x0033, version: '1.2' },
  { name: 'AES256-SHA', id: 0x0035, version: '1.2' },
  { name: 'AES128-SHA', id: 0x002f, version: '1.2' },
];

export type SuiteHeader = 'X-DTLS-CipherSuite' | 'X-DTLS12-CipherSuite';

const TABLES: Readonly<Record<SuiteHeader, readonly ResumptionSuite[]>> = {
  'X-DTLS-CipherSuite': CIPHER_SUITE,
  'X-DTLS12-CipherSuite': CIPHER_SUITE_12,
};

/** What a gateway's answer in that header names; undefined if it is none of ours. */
export function resumptionSuite(header: SuiteHeader, name: string): ResumptionSuite | undefined {
  return TABLES[header].find((suite) => suite.name === name);
}

/** The names of a header in the order they are offered. */
export function suiteNames(header: SuiteHeader): string[] {
  return TABLES[header].map((suite) => suite.name);
}
