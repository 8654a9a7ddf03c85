/** {@link TinyEngine} for ESP, over the reference. It refuses what came before, and has no window that moves. */
import { randomBytes } from 'node:crypto';
import type { PacketException, TrafficDescription, TrafficKey } from '../../src/core/tunnel/traffic.ts';
import { openEspReference, type ReferenceSa, sealEspReference } from '../reference/esp-packet.ts';

interface Opener {
  readonly sa: ReferenceSa;
  readonly from: number;
  readonly seen: Set<number>;
}

export class TinyEspEngine {
  readonly #seal: ReferenceSa;
  readonly #openers: readonly Opener[];
  readonly #exceptions: readonly PacketException[];
  #next: number;

  /** `previous`: what both name goes on where it is. */
  constructor(traffic: TrafficDescription, previous?: TinyEspEngine) {
    const saOf = (key: TrafficKey) => saOfKey(traffic, key);
    this.#exceptions = traffic.framing.exceptions ?? [];
    this.#seal = saOf(traffic.seal);
    this.#next = previous !== undefined && previous.#seal.spi === this.#seal.spi ? previous.#next : traffic.seal.nextSequence;
    const kept = previous === undefined ? [] : previous.#openers;
    this.#openers = traffic.open.map((key) => {
      const same = kept.find(({ sa }) => sa.spi === key.id);
      return same ?? { sa: saOf(key), from: key.nextSequence, seen: new Set<number>() };
    });
  }

  /** The number of the next packet to seal. */
  get next(): number {
    return this.#next;
  }

  /** `[next header][payload]` into a packet. */
  seal(opened: Uint8Array): Uint8Array {
    const packet = { sequence: this.#next++, iv: randomBytes(16), payload: Buffer.from(opened.subarray(1)), nextHeader: opened[0] ?? 0 };
    return sealEspReference(this.#seal, packet);
  }

  /** A packet into `[next header][payload]`; undefined if it is not authentic, or came before. */
  open(datagram: Uint8Array): Uint8Array | undefined {
    if (datagram.length < 4) return undefined;
    const spi = new DataView(datagram.buffer, datagram.byteOffset).getUint32(0);
    const opener = this.#openers.find(({ sa }) => sa.spi === spi);
    if (opener === undefined) return undefined;
    try {
      const { sequence, nextHeader, payload } = openEspReference(opener.sa, Buffer.from(datagram));
      if (sequence < opener.from || opener.seen.has(sequence)) return undefined;
      opener.seen.add(sequence);
      return Buffer.concat([Uint8Array.of(nextHeader), payload]);
    } catch {
      return undefined;
    }
  }

  /** The packet of a payload that is one; undefined: it is the machine's. */
  packetIn(opened: Uint8Array): Uint8Array | undefined {
    const version = (opened[1] ?? 0) >>> 4;
    const packet = opened.subarray(1);
    const isPacket = (opened[0] === 4 && version === 4) || (opened[0] === 41 && version === 6);
    return isPacket && !this.#exceptions.some((exception) => fits(exception, version, packet)) ? packet : undefined;
  }

  /** What {@link seal} takes for a packet. */
  framed(packet: Uint8Array): Uint8Array {
    return Buffer.concat([Uint8Array.of((packet[0] ?? 0) >>> 4 === 4 ? 4 : 41), packet]);
  }
}

function fits({ family, bytes }: PacketException, version: number, packet: Uint8Array): boolean {
  return version === family && bytes.every(({ offset, value }) => value.every((byte, i) => packet[offset + i] === byte));
}

function saOfKey({ record }: TrafficDescription, { id, key, mac }: TrafficKey): ReferenceSa {
  if (record.kind !== 'esp' || mac === undefined) throw new Error('not a description of ESP');
  return { spi: id, cipher: record.cipher, key, mac: record.mac, macKey: mac };
}
