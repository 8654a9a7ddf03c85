/** A sink that keeps what a machine writes, for tests: records or datagrams, and packets that came up. */
import { type LayerSink, MAX_RESERVE } from '../../src/core/tunnel/layer.ts';
import { type Packet, packetBytes } from '../../src/core/tunnel/packet.ts';

export class CollectingSink implements LayerSink {
  readonly records: Uint8Array[] = [];
  readonly packets: Uint8Array[] = [];
  #room: Uint8Array | undefined;

  reserve(maxLength: number): Uint8Array {
    if (this.#room !== undefined) throw new Error('reserve() before the last room was committed');
    if (maxLength > MAX_RESERVE) throw new Error(`reserve(${maxLength}): at most ${MAX_RESERVE}`);
    this.#room = new Uint8Array(maxLength);
    return this.#room;
  }

  commit(length: number): void {
    if (this.#room === undefined || length > this.#room.length) throw new Error('commit() of more than was reserved');
    this.records.push(this.#room.slice(0, length));
    this.#room = undefined;
  }

  packet(packet: Packet): void {
    this.packets.push(packetBytes(packet).slice());
  }
}
