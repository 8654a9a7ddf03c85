/** Where the plaintext of a TLS connection goes: frames of data to the device, while the engine carries it, and everything else to main. */
import { admitPacket, notePackets } from './carried-packets.ts';
import { ENTRY, entryTag } from './messages.ts';
import { NOT_A_FRAME } from './packet-frames.ts';
import { count, PATH } from './shared-memory.ts';
import type { StreamFrames } from './stream-frames.ts';
import type { WorkerContext } from './worker-context.ts';
import type { WorkerDevice } from './worker-device.ts';

export class StreamCutter {
  /** Undefined: all is main's. */
  frames: StreamFrames | undefined;
  readonly #context: WorkerContext;
  readonly #id: number;
  readonly #counters: Float64Array;
  readonly #noRoom: () => void;
  /** After bytes that were no frame: main, which gets all from there on, knows what that means. */
  #isGarbage = false;
  /** Packets for the device since the clock was looked at for them. */
  #hasAdmitted = false;

  /** @param noRoom what main would have got is lost, and the connection is worth nothing any more */
  constructor(context: WorkerContext, id: number, counters: Float64Array, noRoom: () => void) {
    this.#context = context;
    this.#id = id;
    this.#counters = counters;
    this.#noRoom = noRoom;
  }

  /** Passes whole frames on. Answers where one begins that is cut short. */
  cut(start: number, end: number, device: WorkerDevice | undefined): number {
    const { bytes } = this.#context.arena;
    const { frames } = this;
    let at = start;
    while (frames !== undefined && !this.#isGarbage && at < end) {
      const length = frames.measure(bytes, at, end - at);
      if (length === NOT_A_FRAME.cutShort) return at;
      this.#isGarbage = length === NOT_A_FRAME.garbage;
      if (this.#isGarbage) break;
      const packets = device === undefined ? 0 : frames.findPackets(bytes, at, length);
      if (device === undefined || packets === 0) this.#deliver(at, at + length);
      else for (let i = 0; i < packets; i++) this.#pass(device, frames, frames.packetStart(i), frames.packetEnd(i));
      at += length;
    }
    if (at < end) this.#deliver(at, end);
    return end;
  }

  /** Makes the device write what was passed to it. */
  passAll(device: WorkerDevice | undefined): void {
    device?.flush();
    if (this.#hasAdmitted) notePackets(this.#counters, this.#context.now); // a look at the clock would have delayed them
    this.#hasAdmitted = false;
  }

  #pass(device: WorkerDevice, { sources }: StreamFrames, start: number, end: number): void {
    if (!admitPacket(this.#counters, sources, this.#context.arena.bytes, start, end - start)) return;
    this.#hasAdmitted = true;
    device.add(start, end - start);
  }

  /** There is room: that was looked at before. */
  #deliver(start: number, end: number): void {
    if (this.#context.deliver(entryTag(this.frames === undefined ? ENTRY.datagram : ENTRY.record, this.#id), start, end)) return;
    count(this.#counters, PATH.deliverDropped);
    this.#noRoom();
  }
}
