/** All connections by addresses and ports: a map by a keyed hash, so that strangers cannot make one chain long. */
import type { Endpoint } from '../../wire/ip-address.ts';
import { putU16, sameBytes } from '../byte-order.ts';
import type { IpPacket } from '../ip-packet.ts';
import type { SipHash } from '../siphash.ts';
import type { ControlBlock } from './control-block.ts';
import type { TcpSegment } from './tcp-segment.ts';

/** Two IPv6 addresses and two ports. */
const KEY_LENGTH = 36;

export class ConnectionTable {
  readonly #hash: SipHash;
  readonly #chains = new Map<number, ControlBlock>();
  readonly #key = new Uint8Array(KEY_LENGTH);
  /** Segments come in bursts of one connection. */
  #last: ControlBlock | undefined;
  #size = 0;

  constructor(hash: SipHash) {
    this.#hash = hash;
  }

  get size(): number {
    return this.#size;
  }

  /** Whose segment it is. */
  find(packet: IpPacket, segment: TcpSegment): ControlBlock | undefined {
    const { buffer, addressesAt, addressLength } = packet;
    const last = this.#last;
    if (last !== undefined && isOf(last, packet, segment.destinationPort, segment.sourcePort)) return last;
    const key = this.#key;
    for (let i = 0; i < 2 * addressLength; i++) key[i] = buffer[addressesAt + i] as number;
    const hash = this.#hashOf(addressLength, segment.sourcePort, segment.destinationPort);
    let block = this.#chains.get(hash);
    while (block !== undefined && !isOf(block, packet, segment.destinationPort, segment.sourcePort)) block = block.chained;
    if (block !== undefined) this.#last = block;
    return block;
  }

  has(local: Endpoint, remote: Endpoint): boolean {
    let block = this.#chains.get(this.#hashOfEnds(local, remote));
    for (; block !== undefined; block = block.chained) {
      if (block.local.port === local.port && block.remote.port === remote.port && isBetween(block, local, remote)) return true;
    }
    return false;
  }

  add(block: ControlBlock): void {
    block.hash = this.#hashOfEnds(block.local, block.remote);
    block.chained = this.#chains.get(block.hash);
    this.#chains.set(block.hash, block);
    this.#size++;
  }

  remove(block: ControlBlock): void {
    if (this.#last === block) this.#last = undefined;
    let link = this.#chains.get(block.hash);
    if (link === block) {
      if (block.chained === undefined) this.#chains.delete(block.hash);
      else this.#chains.set(block.hash, block.chained);
    } else {
      while (link !== undefined && link.chained !== block) link = link.chained;
      if (link === undefined) return;
      link.chained = block.chained;
    }
    block.chained = undefined;
    this.#size--;
  }

  *[Symbol.iterator](): Generator<ControlBlock> {
    for (const first of this.#chains.values())
      for (let block: ControlBlock | undefined = first; block !== undefined; block = block.chained) yield block;
  }

  #hashOfEnds(local: Endpoint, remote: Endpoint): number {
    const { length } = local.address.bytes;
    this.#key.set(remote.address.bytes, 0);
    this.#key.set(local.address.bytes, length);
    return this.#hashOf(length, remote.port, local.port);
  }

  #hashOf(addressLength: number, remotePort: number, localPort: number): number {
    const end = 2 * addressLength;
    putU16(this.#key, end, remotePort);
    putU16(this.#key, end + 2, localPort);
    return this.#hash.hash32(this.#key, 0, end + 4);
  }
}

function isOf(block: ControlBlock, packet: IpPacket, localPort: number, remotePort: number): boolean {
  if (block.local.port !== localPort || block.remote.port !== remotePort || block.family !== packet.family) return false;
  const { buffer, addressesAt, addressLength } = packet;
  return (
    sameBytes(buffer, addressesAt, block.remote.address.bytes, 0, addressLength) &&
    sameBytes(buffer, addressesAt + addressLength, block.local.address.bytes, 0, addressLength)
  );
}

function isBetween(block: ControlBlock, local: Endpoint, remote: Endpoint): boolean {
  const { length } = local.address.bytes;
  return (
    block.family === local.address.family &&
    sameBytes(block.local.address.bytes, 0, local.address.bytes, 0, length) &&
    sameBytes(block.remote.address.bytes, 0, remote.address.bytes, 0, length)
  );
}
