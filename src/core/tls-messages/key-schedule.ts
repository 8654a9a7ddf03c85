/**
 * From a shared secret to the keys of both directions and the proof in Finished.
 *
 * Read first: RFC 5246 §8.1 (master secret), §6.3 (key block), §7.4.9 (Finished); RFC 4279 §2 (PSK premaster); RFC 7627 §4 (extended master secret).
 */
import type { CryptoProvider } from '../crypto/provider.ts';
import { type PrfName, tlsPrf, tlsTranscriptHash } from '../crypto/tls-prf.ts';
import { ByteReader } from '../wire/byte-reader.ts';
import { keySizes, type SuiteProtection } from './cipher-suites.ts';
import { VERIFY_DATA_LENGTH } from './handshake-messages.ts';

export const MASTER_SECRET_LENGTH = 48;

export interface HelloRandoms {
  readonly client: Uint8Array;
  readonly server: Uint8Array;
}

/** The keys of one direction. */
export interface DirectionKeys {
  /** Empty for AEAD suites. */
  readonly mac: Uint8Array;
  readonly key: Uint8Array;
  /** The fixed part of the nonce: 4 bytes for GCM, 12 for ChaCha20-Poly1305, none for CBC. */
  readonly iv: Uint8Array;
}

/** RFC 4279 §2: as many zeros as the key has bytes, then the key, each with its length. The caller wipes it. */
export function pskPremaster(psk: Uint8Array): Uint8Array {
  const premaster = new Uint8Array(4 + 2 * psk.length);
  const view = new DataView(premaster.buffer);
  view.setUint16(0, psk.length);
  view.setUint16(2 + psk.length, psk.length);
  premaster.set(psk, 4 + psk.length);
  return premaster;
}

export function masterSecret(crypto: CryptoProvider, prf: PrfName, premaster: Uint8Array, randoms: HelloRandoms): Uint8Array {
  return tlsPrf(crypto, prf, premaster, 'master secret', joined(randoms.client, randoms.server), MASTER_SECRET_LENGTH);
}

/** RFC 7627 §4: bound to the transcript up to and including ClientKeyExchange instead of the randoms alone. */
export function extendedMasterSecret(crypto: CryptoProvider, prf: PrfName, premaster: Uint8Array, transcript: Uint8Array): Uint8Array {
  const sessionHash = tlsTranscriptHash(crypto, prf, transcript);
  return tlsPrf(crypto, prf, premaster, 'extended master secret', sessionHash, MASTER_SECRET_LENGTH);
}

/** RFC 5246 §6.3: client MAC, server MAC, client key, server key, client IV, server IV. */
export function trafficKeys(
  crypto: CryptoProvider,
  prf: PrfName,
  master: Uint8Array,
  randoms: HelloRandoms,
  protection: SuiteProtection,
): { readonly client: DirectionKeys; readonly server: DirectionKeys } {
  const sizes = keySizes(protection);
  const length = 2 * (sizes.mac + sizes.key + sizes.iv);
  const block = tlsPrf(crypto, prf, master, 'key expansion', joined(randoms.server, randoms.client), length);
  const reader = new ByteReader(block);
  const next = (size: number) => reader.bytes(size, 'key block').slice();
  const [clientMac, serverMac] = [next(sizes.mac), next(sizes.mac)];
  const [clientKey, serverKey] = [next(sizes.key), next(sizes.key)];
  const [clientIv, serverIv] = [next(sizes.iv), next(sizes.iv)];
  block.fill(0);
  return { client: { mac: clientMac, key: clientKey, iv: clientIv }, server: { mac: serverMac, key: serverKey, iv: serverIv } };
}

/** The verify_data of one side's Finished over the transcript so far. */
export function verifyData(
  crypto: CryptoProvider,
  prf: PrfName,
  master: Uint8Array,
  side: 'client' | 'server',
  transcript: Uint8Array,
): Uint8Array {
  return tlsPrf(crypto, prf, master, `${side} finished`, tlsTranscriptHash(crypto, prf, transcript), VERIFY_DATA_LENGTH);
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}
