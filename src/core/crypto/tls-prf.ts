/**
 * The pseudo-random functions of TLS up to 1.2, and the transcript hashes that go with them.
 *
 * Read first: RFC 5246 §5 (1.2: P_hash with the suite's hash), RFC 2246 §5 and RFC 4346 §5 (1.0 and 1.1: P_MD5 XOR P_SHA1, each over half of the secret).
 *
 *   P_hash(secret, seed) = HMAC(secret, A(1) ‖ seed) ‖ HMAC(secret, A(2) ‖ seed) ‖ …     A(0) = seed, A(i) = HMAC(secret, A(i - 1))
 */
import { utf8 } from '../wire/text.ts';
import type { CryptoProvider, HashName } from './provider.ts';

/** `md5-sha1`: TLS 1.0 and 1.1; the others: TLS 1.2, by the cipher suite. */
export type PrfName = 'md5-sha1' | 'sha256' | 'sha384';

/** `length` bytes of PRF(secret, label, seed). */
export function tlsPrf(
  crypto: CryptoProvider,
  name: PrfName,
  secret: Uint8Array,
  label: string,
  seed: Uint8Array,
  length: number,
): Uint8Array {
  const labelBytes = utf8(label);
  const labelAndSeed = new Uint8Array(labelBytes.length + seed.length);
  labelAndSeed.set(labelBytes);
  labelAndSeed.set(seed, labelBytes.length);
  if (name !== 'md5-sha1') return expand(crypto, name, secret, labelAndSeed, length);

  const half = Math.ceil(secret.length / 2); // RFC 2246 §5: an odd secret's middle byte belongs to both halves.
  const out = expand(crypto, 'md5', secret.subarray(0, half), labelAndSeed, length);
  const sha1 = expand(crypto, 'sha1', secret.subarray(secret.length - half), labelAndSeed, length);
  for (let i = 0; i < length; i++) out[i] = (out[i] ?? 0) ^ (sha1[i] ?? 0);
  return out;
}

/** P_hash. */
function expand(crypto: CryptoProvider, hash: HashName, secret: Uint8Array, seed: Uint8Array, length: number): Uint8Array {
  const mac = crypto.mac(hash, secret);
  const out = new Uint8Array(length);
  const input = new Uint8Array(mac.length + seed.length); // A(i) ‖ seed
  input.set(seed, mac.length);
  let a = mac.compute(seed);
  for (let at = 0; at < length; at += mac.length) {
    input.set(a);
    out.set(mac.compute(input).subarray(0, Math.min(mac.length, length - at)), at);
    a = mac.compute(a);
  }
  return out;
}

/** What Finished and the extended master secret are computed over: the handshake messages, hashed as the PRF's version says. */
export function tlsTranscriptHash(crypto: CryptoProvider, name: PrfName, messages: Uint8Array): Uint8Array {
  if (name !== 'md5-sha1') return crypto.hash(name, messages);
  const out = new Uint8Array(16 + 20);
  out.set(crypto.hash('md5', messages));
  out.set(crypto.hash('sha1', messages), 16);
  return out;
}
