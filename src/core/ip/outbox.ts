/** Packets that are ready and wait for the device: UDP, ICMP, resets of no connection. Full, it drops what comes: IP may lose packets. */
import type { PacketSink } from './packet-sink.ts';

export class Outbox {
  readonly #limit: number;
  #packets: Uint8Array[] = [];
  #sent = 0;
  #bytes = 0;

  /** @param limit in bytes */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get isEmpty(): boolean {
    return this.#bytes === 0;
  }

  /** Whether so many bytes fit. */
  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#limit;
  }

  /** Takes a packet, which is the outbox's from here on. False: it is full. */
  push(packet: Uint8Array): boolean {
    if (!this.hasRoom(packet.length)) return false;
    this.#packets.push(packet);
    this.#bytes += packet.length;
    return true;
  }

  /** False: the sink is full, and more waits. */
  transmit(sink: PacketSink): boolean {
    while (this.#sent < this.#packets.length) {
      const bytes = this.#packets[this.#sent] as Uint8Array; // below the length
      const room = sink.reserve(bytes.length);
      if (room === undefined) return false;
      room.buffer.set(bytes, room.start);
      sink.commit(bytes.length, 0, false);
      this.#bytes -= bytes.length;
      this.#sent++;
    }
    this.#packets = [];
    this.#sent = 0;
    return true;
  }
}
