/** The driver's end of a UDP flow: what a machine commits is one datagram, or, while the engine carries the flow, one record to be sealed. */
import type { LayerSink } from '../../core/tunnel/layer.ts';
import { MAX_RESERVE } from '../../core/tunnel/layer.ts';
import type { Path } from '../../core/tunnel/machine.ts';
import type { Packet } from '../../core/tunnel/packet.ts';
import type { DatagramPath } from '../datagram-path.ts';

export class DatagramEnd implements Path, LayerSink {
  readonly kind = 'datagram';
  readonly path: DatagramPath;
  /** The engine seals and opens it. */
  isCarried = false;
  readonly #deliver: (packet: Packet) => void;
  /** One room for all: sending copies. */
  readonly #room = new Uint8Array(MAX_RESERVE);

  constructor(path: DatagramPath, deliver: (packet: Packet) => void) {
    this.path = path;
    this.#deliver = deliver;
  }

  reserve(maxLength: number): Uint8Array {
    return this.#room.subarray(0, maxLength);
  }

  commit(length: number): void {
    this.path.send(this.#room.subarray(0, length));
  }

  packet(packet: Packet): void {
    this.#deliver(packet);
  }

  close(): Promise<void> {
    return this.path.close();
  }
}
