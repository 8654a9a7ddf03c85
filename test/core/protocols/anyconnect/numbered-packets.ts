/** IP packets that can be told apart, for tests of tunnels: what arrives must have been sent, unaltered, and comes once. */
import assert from 'node:assert/strict';
import type { SeededRandom } from '../../../support/seeded-random.ts';
import type { TunnelEnd } from '../../../support/tunnel-end.ts';
import { CLIENT_ADDRESS, GATEWAY_ADDRESS, ip } from './tunnel-pair.ts';

const HEADER = 20;
const NUMBER_END = HEADER + 4;
export const MIN_LENGTH: number = NUMBER_END;

/** An IPv4 packet of this length with a number, and bytes that follow from it. */
export function numberedPacket(number: number, length: number, source: string, destination: string): Uint8Array {
  const packet = new Uint8Array(length);
  packet[0] = 0x45;
  packet[2] = length >>> 8;
  packet[3] = length;
  packet[8] = 64;
  packet.set(ip(source).bytes, 12);
  packet.set(ip(destination).bytes, 16);
  new DataView(packet.buffer).setUint32(HEADER, number);
  // Half of it compresses well, half of it does not.
  for (let i = NUMBER_END; i < length; i++) packet[i] = i % 64 < 32 ? number : Math.imul(number + i, 0x9e3779b1) >>> 24;
  return packet;
}

/** One direction: sends numbered packets at one end, checks what comes to the other. */
export class NumberedPackets {
  readonly #from: TunnelEnd;
  readonly #addresses: readonly [source: string, destination: string];
  readonly #lengths: number[] = [];
  readonly #arrived = new Set<number>();

  constructor(from: TunnelEnd, to: TunnelEnd, direction: 'up' | 'down') {
    this.#from = from;
    this.#addresses = direction === 'up' ? [CLIENT_ADDRESS, GATEWAY_ADDRESS] : [GATEWAY_ADDRESS, CLIENT_ADDRESS];
    to.onDelivered = (packet) => this.#check(packet);
  }

  get sent(): number {
    return this.#lengths.length;
  }

  get arrived(): number {
    return this.#arrived.size;
  }

  /** Those that have not arrived. */
  get missing(): number[] {
    return [...this.#lengths.keys()].filter((number) => !this.#arrived.has(number));
  }

  send(length: number): void {
    const number = this.#lengths.push(length) - 1;
    this.#from.send(numberedPacket(number, length, ...this.#addresses));
  }

  sendAny(random: SeededRandom, mtu: number): void {
    this.send(MIN_LENGTH + (random.uint32() % (mtu - MIN_LENGTH + 1)));
  }

  #check(packet: Uint8Array): void {
    assert.ok(packet.length >= MIN_LENGTH, 'a packet that nobody sent');
    const number = new DataView(packet.buffer, packet.byteOffset).getUint32(HEADER);
    const length = this.#lengths[number] ?? assert.fail(`a packet that nobody sent: ${number}`);
    assert.equal(Buffer.compare(packet, numberedPacket(number, length, ...this.#addresses)), 0, `packet ${number} was altered`);
    assert.ok(!this.#arrived.has(number), `packet ${number} came twice`);
    this.#arrived.add(number);
  }
}
