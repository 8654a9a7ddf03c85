/** Between two layers: what the upper one commits, the lower one sends. */
import { type Layer, type LayerSink, MAX_RESERVE } from '../tunnel/layer.ts';
import { type Millis, PACKET_HEADROOM, PACKET_TAILROOM, type Packet } from '../tunnel/packet.ts';

export class UpperSink implements LayerSink {
  readonly #lower: Pick<Layer<unknown>, 'send'>;
  /** With room on both sides for what the lower layer adds; grows to what is reserved. */
  #buffer = new Uint8Array(PACKET_HEADROOM + 2048 + PACKET_TAILROOM);
  #now: Millis = 0;
  #out: LayerSink | undefined;

  constructor(lower: Pick<Layer<unknown>, 'send'>) {
    this.#lower = lower;
  }

  /** This sink, for a call of the upper layer: packets come out of `out`, as the lower layer's records do. */
  over(now: Millis, out: LayerSink): this {
    this.#now = now;
    this.#out = out;
    return this;
  }

  reserve(maxLength: number): Uint8Array {
    const length = PACKET_HEADROOM + Math.min(maxLength, MAX_RESERVE) + PACKET_TAILROOM;
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    return this.#buffer.subarray(PACKET_HEADROOM, PACKET_HEADROOM + maxLength);
  }

  commit(length: number): void {
    const packet = { buffer: this.#buffer, start: PACKET_HEADROOM, end: PACKET_HEADROOM + length };
    if (this.#out !== undefined) this.#lower.send(packet, this.#now, this.#out);
  }

  packet(packet: Packet): void {
    this.#out?.packet(packet);
  }
}
