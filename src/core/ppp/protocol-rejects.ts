/** LCP's Protocol-Reject: what is said about a protocol that nobody here speaks, and how often (RFC 1661 §5.7; spec "PPP", sections 6.4 and 14). */
import type { Millis } from '../tunnel/packet.ts';
import { MAX_REJECTED_BYTES, MAX_REJECTED_PROTOCOLS, PROTOCOL_REJECT_PERIOD } from './limits.ts';

export class ProtocolRejects {
  readonly #rejectedAt = new Map<number, Millis>();

  /** The data of the packet that rejects it; undefined: it was said just now. */
  reject(protocol: number, payload: Uint8Array, now: Millis): Uint8Array | undefined {
    const before = this.#rejectedAt.get(protocol);
    if (before !== undefined && now < before + PROTOCOL_REJECT_PERIOD) return undefined;
    if (before === undefined && this.#rejectedAt.size === MAX_REJECTED_PROTOCOLS) return undefined;
    this.#rejectedAt.set(protocol, now);
    return Uint8Array.of(protocol >>> 8, protocol & 0xff, ...payload.subarray(0, MAX_REJECTED_BYTES));
  }
}
