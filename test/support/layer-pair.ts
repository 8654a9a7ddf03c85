/** Two layers, one at each end of a link, driven on a fake clock until something is so or time is up. */
import type { Layer } from '../../src/core/tunnel/layer.ts';
import { type Millis, packetOf } from '../../src/core/tunnel/packet.ts';
import { DatagramSink } from './datagram-sink.ts';
import type { End, LossyLink } from './lossy-link.ts';

export class LayerPair<L extends Layer<unknown>, R extends Layer<unknown>> {
  readonly left: L;
  readonly right: R;
  readonly sinks = { left: new DatagramSink(), right: new DatagramSink() };
  now: Millis = 0;
  readonly #link: LossyLink;

  constructor(left: L, right: R, link: LossyLink) {
    this.left = left;
    this.right = right;
    this.#link = link;
  }

  /** Runs until `isDone`, or until nothing will happen before the clock says `limit`. True if it is done. */
  run(isDone: () => boolean, limit: Millis): boolean {
    this.#flush();
    while (!isDone()) {
      const next = this.#nextEvent();
      if (next === undefined || next > limit) return false;
      this.now = Math.max(this.now, next);
      for (const { to, bytes } of this.#link.arrived(this.now)) {
        this.#layer(to).receive(bytes, this.now, this.sinks[to]);
        this.#flush();
      }
      for (const end of ['left', 'right'] as const) {
        const due = this.#layer(end).nextTimeout();
        if (due !== undefined && due <= this.now) this.#layer(end).handleTimeout(this.now, this.sinks[end]);
        this.#flush();
      }
    }
    return true;
  }

  /** Lets everything arrive that is under way, and all timers run until the clock says `until`. */
  settle(until: Millis): void {
    this.run(() => false, until);
    this.now = Math.max(this.now, until);
  }

  send(end: End, payload: Uint8Array): void {
    this.#layer(end).send(packetOf(payload), this.now, this.sinks[end]);
    this.#flush();
  }

  close(end: End): void {
    this.#layer(end).close(this.now, this.sinks[end]);
    this.#flush();
  }

  #layer(end: End): Layer<unknown> {
    return end === 'left' ? this.left : this.right;
  }

  #nextEvent(): Millis | undefined {
    const times = [this.#link.nextArrival(), this.left.nextTimeout(), this.right.nextTimeout()].filter((time) => time !== undefined);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #flush(): void {
    for (const end of ['left', 'right'] as const) {
      for (const datagram of this.sinks[end].take()) this.#link.send(end, datagram, this.now);
    }
  }
}
