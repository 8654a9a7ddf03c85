/** A LayerSink that keeps copies of what it is given, and complains about whoever breaks its rules. */
import assert from 'node:assert/strict';
import { type LayerSink, MAX_RESERVE } from '../../src/core/tunnel/layer.ts';
import { type Packet, packetBytes } from '../../src/core/tunnel/packet.ts';

/** What stands in a room before someone writes into it: memory that was used before. */
const STALE = 0xa5;

export class CollectingSink implements LayerSink {
  /** Records or datagrams, in order. */
  committed: Uint8Array[] = [];
  packets: Uint8Array[] = [];
  #room: Uint8Array | undefined;

  reserve(maxLength: number): Uint8Array {
    assert.ok(maxLength <= MAX_RESERVE, `reserved ${maxLength} bytes, more than ${MAX_RESERVE}`);
    this.#room = new Uint8Array(maxLength).fill(STALE);
    return this.#room;
  }

  commit(length: number): void {
    assert.ok(this.#room !== undefined, 'committed without a room');
    assert.ok(length > 0 && length <= this.#room.length, `committed ${length} bytes of a room of ${this.#room.length}`);
    this.committed.push(this.#room.slice(0, length));
    this.#room = undefined;
  }

  packet(packet: Packet): void {
    this.packets.push(new Uint8Array(packetBytes(packet)));
  }

  /** What was committed since the last time, one behind the other. */
  takeBytes(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.take()));
  }

  /** What was committed since the last time. */
  take(): Uint8Array[] {
    const committed = this.committed;
    this.committed = [];
    return committed;
  }
}
