/**
 * Frames of a pass on their way into TLS connections: of frames that are equally long OpenSSL makes the records by one call.
 *
 *   room:      | frame | frame | frame | frame (shorter) | next …      each is made where it lies
 *   records:   |  one  |  one  |  one  |       one       |             one SSL_write, which cuts where a frame is over
 *
 * A frame is a record, and no record has two: there are peers that take nothing else (guide "data plane", section 3). The connections of a thread share
 * the room: what one has gathered is written before another's first frame.
 */
import { MIN_FRAGMENT } from '../ffi/openssl-tls.ts';
import { MAX_PACKET_LENGTH } from './shared-memory.ts';

/** In front of a packet, for its frame's header. */
export const HEADER_ROOM = 64;

/** What is written by one call at most, but for the frame that reaches it: the packets of a super-packet. */
const RUN_BYTES = 64 * 1024;

/** What a run lies in. */
export const RUN_ROOM: number = RUN_BYTES + HEADER_ROOM + MAX_PACKET_LENGTH;

/** Who makes records of a run. */
export interface RunWriter {
  /** @param frameLength of each of the frames that are at `start`, but perhaps the last */
  writeFrames(start: number, length: number, frameLength: number, frames: number): void;
}

export class FrameRun {
  readonly #room: number;
  #writer: RunWriter | undefined;
  #start: number;
  #end: number;
  #frames = 0;
  #frameLength = 0;

  /** @param room offset of {@link RUN_ROOM} bytes */
  constructor(room: number) {
    this.#room = room;
    this.#start = room;
    this.#end = room;
  }

  /** Where a frame of this writer is to begin. */
  placeFor(writer: RunWriter): number {
    if (this.#writer !== writer || this.#end - this.#room >= RUN_BYTES) this.#flush();
    this.#writer = writer;
    return this.#end;
  }

  /** The frame that was made at {@link placeFor} is so long. It is written with {@link flush}, at the latest. */
  add(length: number): void {
    if (this.#frames > 0 && length > this.#frameLength) this.#write();
    if (this.#frames === 0) this.#frameLength = length;
    this.#frames++;
    this.#end += length;
    if (length < this.#frameLength || length < MIN_FRAGMENT) this.#flush(); // nothing can follow it
  }

  /** Writes what this writer has. */
  flush(writer: RunWriter): void {
    if (this.#writer === writer) this.#flush();
  }

  #flush(): void {
    this.#write();
    this.#start = this.#room;
    this.#end = this.#room;
  }

  #write(): void {
    if (this.#frames > 0) this.#writer?.writeFrames(this.#start, this.#end - this.#start, this.#frameLength, this.#frames);
    this.#frames = 0;
    this.#start = this.#end;
  }
}
