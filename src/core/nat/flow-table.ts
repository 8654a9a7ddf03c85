/** All flows by their ends: a map by a keyed hash, so that clients cannot make one chain long. */
import { putU16, sameBytes } from '../ip/byte-order.ts';
import { SipHash } from '../ip/siphash.ts';
import type { Endpoint } from '../wire/ip-address.ts';
import type { NatFlow } from './session.ts';

/** Two IPv6 addresses, two ports, which protocol. */
const KEY_LENGTH = 37;

export class FlowTable {
  readonly #hash: SipHash;
  readonly #chains = new Map<number, NatFlow>();
  readonly #key = new Uint8Array(KEY_LENGTH);
  #size = 0;

  /** @param secret 16 bytes that nobody else knows */
  constructor(secret: Uint8Array) {
    this.#hash = new SipHash(secret);
  }

  get size(): number {
    return this.#size;
  }

  find<Protocol extends NatFlow['protocol']>(
    protocol: Protocol,
    client: Endpoint,
    to: Endpoint,
  ): Extract<NatFlow, { protocol: Protocol }> | undefined {
    let flow = this.#chains.get(this.#hashOf(protocol, client, to));
    while (flow !== undefined && !(flow.protocol === protocol && isSame(flow.client, client) && isSame(flow.to, to))) flow = flow.chained;
    return flow as Extract<NatFlow, { protocol: Protocol }> | undefined; // its protocol has just been compared
  }

  /** The caller has seen that there is none of these ends. */
  add(flow: NatFlow): void {
    flow.hash = this.#hashOf(flow.protocol, flow.client, flow.to);
    flow.chained = this.#chains.get(flow.hash);
    this.#chains.set(flow.hash, flow);
    this.#size++;
  }

  remove(flow: NatFlow): void {
    let link = this.#chains.get(flow.hash);
    if (link === flow) {
      if (flow.chained === undefined) this.#chains.delete(flow.hash);
      else this.#chains.set(flow.hash, flow.chained);
    } else {
      while (link !== undefined && link.chained !== flow) link = link.chained;
      if (link === undefined) return;
      link.chained = flow.chained;
    }
    flow.chained = undefined;
    this.#size--;
  }

  #hashOf(protocol: NatFlow['protocol'], client: Endpoint, to: Endpoint): number {
    const { length } = client.address.bytes;
    const key = this.#key;
    key.set(client.address.bytes, 0);
    key.set(to.address.bytes, length);
    putU16(key, 2 * length, client.port);
    putU16(key, 2 * length + 2, to.port);
    key[2 * length + 4] = protocol === 'tcp' ? 1 : 0;
    return this.#hash.hash32(key, 0, 2 * length + 5);
  }
}

function isSame(a: Endpoint, b: Endpoint): boolean {
  const { bytes } = a.address;
  return a.port === b.port && bytes.length === b.address.bytes.length && sameBytes(bytes, 0, b.address.bytes, 0, bytes.length);
}
