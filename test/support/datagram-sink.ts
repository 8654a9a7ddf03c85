/** A {@link CollectingSink} for machines that send datagrams: takes them out as they leave. */
import { type Packet, packetBytes } from '../../src/core/tunnel/packet.ts';
import { CollectingSink } from './collecting-sink.ts';

/** What stands in a room before someone writes into it: memory that was used before. */
const STALE = 0xa5;

export class DatagramSink extends CollectingSink {
  override reserve(maxLength: number): Uint8Array {
    return super.reserve(maxLength).fill(STALE);
  }

  override packet(packet: Packet): void {
    this.packets.push(new Uint8Array(packetBytes(packet))); // a copy even of a Buffer, whose slice() is none
  }

  /** The datagrams since the last time. */
  take(): Uint8Array[] {
    return this.records.splice(0);
  }

  /** The same, one behind the other. */
  takeBytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.take()));
  }

  /** The packets since the last time, as text. */
  takeTexts(): string[] {
    return this.packets.splice(0).map((packet) => Buffer.from(packet).toString());
  }
}
