/**
 * Which addresses of a pool are tried for a user, in order: ocserv's, so that whoever changes gateways keeps the address.
 *
 * Read first: spec "AnyConnect", section 11.5.
 *
 *   IPv4   name's hash ─ SHA-1 of the candidate before, five times ─ random, ten times
 *   IPv6   SHA-1 of the name's hash ─ SHA-1 of 16 zero bytes ─ random, fourteen times
 *
 * Observed: as drawn, by logging in 20 times as one user to ocserv 1.1.6 (IPv4 in 10.0.0.0/8, IPv6 in fd77::/16). The second of IPv6 is the same for
 * all users, which looks like a slip; a pool is large enough for it not to matter.
 */
import type { CryptoProvider } from '../../core/crypto/provider.ts';
import type { IpAddress } from '../../core/wire/ip-address.ts';
import { utf8 } from '../../core/wire/text.ts';
import type { AddressPool } from './address-pool.ts';
import { nameHash } from './name-hash.ts';

/** Then the pool is searched in order. */
export const MAX_TRIES = 16;

/** IPv4 candidates that are made from the one before. */
const CHAINED = 5;

/** @param isPredictable False: all are random (`predictable-ips`). */
export function* leaseCandidates(
  pool: AddressPool,
  user: string,
  isPredictable: boolean,
  crypto: Pick<CryptoProvider, 'hash' | 'randomBytes'>,
): Generator<IpAddress, void> {
  const length = pool.network.address.bytes.length;
  let tries = 0;
  if (isPredictable) {
    for (const candidate of predictable(pool, user, (data) => crypto.hash('sha1', data).subarray(0, length))) {
      tries++;
      yield candidate;
    }
  }
  for (; tries < MAX_TRIES; tries++) yield pool.masked(crypto.randomBytes(length));
}

function* predictable(pool: AddressPool, user: string, sha1: (data: Uint8Array) => Uint8Array): Generator<IpAddress, void> {
  const hash = new Uint8Array(4);
  new DataView(hash.buffer).setUint32(0, nameHash(utf8(user)), true);
  if (pool.family === 6) {
    yield pool.masked(sha1(hash));
    yield pool.masked(sha1(new Uint8Array(16)));
    return;
  }
  let candidate = pool.masked(hash);
  yield candidate;
  for (let i = 0; i < CHAINED; i++) {
    candidate = pool.masked(sha1(candidate.bytes));
    yield candidate;
  }
}
