/** The driver's end of a UDP flow: what a machine commits is one datagram, or, while the engine carries the flow, one record to be sealed. */
import { MisuseError } from '../../core/errors.ts';
import type { LayerSink } from '../../core/tunnel/layer.ts';
import { MAX_RESERVE } from '../../core/tunnel/layer.ts';
import type { Path } from '../../core/tunnel/machine.ts';
import type { Millis, Packet } from '../../core/tunnel/packet.ts';
import type { StreamTraffic, TrafficDescription } from '../../core/tunnel/traffic.ts';
import type { DatagramPath } from '../datagram-path.ts';
import type { CarriedUse } from './carried-use.ts';

/** One room for all flows: sending copies, and a machine fills and commits one after the other. */
const ROOM = new Uint8Array(MAX_RESERVE);

export class DatagramEnd implements Path, LayerSink {
  readonly kind = 'datagram';
  readonly path: DatagramPath;
  /** The engine seals and opens it. */
  isCarried = false;
  readonly #deliver: (packet: Packet) => void;

  constructor(path: DatagramPath, deliver: (packet: Packet) => void) {
    this.path = path;
    this.#deliver = deliver;
  }

  async carry(traffic: TrafficDescription | StreamTraffic | undefined): Promise<void> {
    if (traffic !== undefined && !('seal' in traffic)) throw new MisuseError('a UDP flow carries records');
    this.isCarried = traffic !== undefined;
    await this.path.carry(traffic);
  }

  /** See {@link DatagramPath.takeOver}. */
  async takeOver(from: DatagramEnd, datagram: Uint8Array | undefined): Promise<boolean> {
    this.isCarried = true;
    return await this.path.takeOver(from.path, datagram);
  }

  get route(): DatagramPath | undefined {
    return this.isCarried ? this.path : undefined;
  }

  /** When the engine heard the peer and sent something last; undefined: what passes, passes here. */
  times(): { readonly heardAt: Millis; readonly sentAt: Millis } | undefined {
    if (!this.isCarried) return undefined;
    const { receivedAt, sentAt } = this.path.counters();
    return { heardAt: receivedAt, sentAt };
  }

  get carried(): CarriedUse {
    const { carriedSent, carriedReceived, carriedAt } = this.path.counters();
    return { sent: carriedSent, received: carriedReceived, at: carriedAt };
  }

  reserve(maxLength: number): Uint8Array {
    return ROOM.subarray(0, maxLength);
  }

  commit(length: number): void {
    this.path.send(ROOM.subarray(0, length));
  }

  packet(packet: Packet): void {
    this.#deliver(packet);
  }

  close(): Promise<void> {
    return this.path.close();
  }
}
