/** Where a connection's numbers begin, so that nobody can guess them who does not see its packets (RFC 6528, RFC 7323 §5.4). */
import type { Millis } from '../../tunnel/packet.ts';
import type { Endpoint } from '../../wire/ip-address.ts';
import { putU16 } from '../byte-order.ts';
import { SipHash } from '../siphash.ts';
import type { Sequence } from './sequence.ts';

/** What a hash is for, two IPv6 addresses, two ports. */
const KEY_LENGTH = 37;

export class InitialSequence {
  readonly #hash: SipHash;
  readonly #key = new Uint8Array(KEY_LENGTH);

  /** @param secret 16 bytes that nobody else knows */
  constructor(secret: Uint8Array) {
    this.#hash = new SipHash(secret);
  }

  /** RFC 6528 §3: a clock of 4 µs, and a hash that nobody else can compute. */
  sequence(local: Endpoint, remote: Endpoint, now: Millis): Sequence {
    return (Math.floor(now * 250) + this.#hashOf(local, remote, 0)) | 0;
  }

  /** What is added to the clock in timestamps: it is another for each connection. */
  timestampOffset(local: Endpoint, remote: Endpoint): number {
    return this.#hashOf(local, remote, 1);
  }

  #hashOf(local: Endpoint, remote: Endpoint, purpose: number): number {
    const key = this.#key;
    const { length } = local.address.bytes;
    key[0] = purpose;
    key.set(local.address.bytes, 1);
    key.set(remote.address.bytes, 1 + length);
    putU16(key, 1 + 2 * length, local.port);
    putU16(key, 3 + 2 * length, remote.port);
    return this.#hash.hash32(key, 0, 5 + 2 * length);
  }
}
