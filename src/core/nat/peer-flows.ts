/**
 * Who has spoken to a restricted client from another client's address, and so may be answered, whatever the rules say: what a packet filter knows of
 * established connections. Flows that go by the stack need none of it, as their answers are the stack's own.
 *
 *   B ─► A, recorded as (protocol, A, B, ports)      A ─► B of that flow: passes, for as long as either speaks
 */
import { sameBytes, u16 } from '../ip/byte-order.ts';
import type { IpPacket } from '../ip/ip-packet.ts';
import { SipHash } from '../ip/siphash.ts';
import type { Millis } from '../tunnel/packet.ts';
import { hasPorts } from './access-rules.ts';
import { PEER_FLOW_IDLE, PEER_FLOWS } from './limits.ts';

/** Two IPv6 addresses, two ports, a protocol. */
const KEY_LENGTH = 37;

interface PeerFlow {
  readonly key: Uint8Array;
  readonly hash: number;
  usedAt: Millis;
}

export class PeerFlows {
  readonly #hash: SipHash;
  /** Oldest first, about. One flow a hash: two that meet there push each other out, and neither can choose whom it meets. */
  readonly #flows = new Map<number, PeerFlow>();
  readonly #key = new Uint8Array(KEY_LENGTH);

  /** @param secret 16 bytes */
  constructor(secret: Uint8Array) {
    this.#hash = new SipHash(secret);
  }

  /** A packet is on its way to a restricted client. */
  arrived(packet: IpPacket, now: Millis): void {
    const length = this.#write(packet, packet.addressLength, 0);
    const hash = this.#hash.hash32(this.#key, 0, length);
    const known = this.#flows.get(hash);
    if (known !== undefined && isSame(known, this.#key, length)) {
      known.usedAt = now;
      return;
    }
    this.#makeRoom();
    this.#flows.set(hash, { key: this.#key.slice(0, length), hash, usedAt: now });
  }

  /** Whether what a restricted client sends is an answer. */
  isAnswer(packet: IpPacket, now: Millis): boolean {
    const length = this.#write(packet, 0, packet.addressLength);
    const known = this.#flows.get(this.#hash.hash32(this.#key, 0, length));
    if (known === undefined || !isSame(known, this.#key, length) || now > known.usedAt + PEER_FLOW_IDLE) return false;
    known.usedAt = now;
    return true;
  }

  #makeRoom(): void {
    if (this.#flows.size < PEER_FLOWS) return;
    for (const hash of this.#flows.keys()) {
      this.#flows.delete(hash);
      return;
    }
  }

  /** The flow of a packet: the restricted client's side first. Offsets of the addresses within the packet's pair of them. */
  #write({ buffer, addressesAt, addressLength, protocol, payload, end }: IpPacket, own: number, other: number): number {
    const key = this.#key;
    for (let i = 0; i < addressLength; i++) {
      key[i] = buffer[addressesAt + own + i] as number;
      key[addressLength + i] = buffer[addressesAt + other + i] as number;
    }
    const at = 2 * addressLength;
    const isKnown = hasPorts(protocol) && end - payload >= 4;
    const ports = isKnown ? [u16(buffer, payload + (own > 0 ? 2 : 0)), u16(buffer, payload + (own > 0 ? 0 : 2))] : [0, 0];
    for (const [i, port] of ports.entries()) {
      key[at + 2 * i] = (port as number) >>> 8;
      key[at + 2 * i + 1] = port as number;
    }
    key[at + 4] = protocol;
    return at + 5;
  }
}

function isSame({ key }: PeerFlow, other: Uint8Array, length: number): boolean {
  return key.length === length && sameBytes(key, 0, other, 0, length);
}
