/**
 * A TCP segment as it lies in its packet. One object is used for segment after segment.
 *
 * Read first: RFC 9293 §3.1, §3.2; RFC 7323 (window scale, timestamps); RFC 2018 (SACK).
 */
import { i32, u16 } from '../byte-order.ts';
import type { Sequence } from './sequence.ts';

export const FLAG = { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20 } as const;

export const TCP_HEADER = 20;

/** RFC 9293 §3.1: the data offset has 4 bits. */
export const MAX_TCP_HEADER = 60;

export const OPTION = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5, timestamps: 8 } as const;

/** RFC 7323 §2.3: a larger shift counts as this. */
export const MAX_WINDOW_SCALE = 14;

/** RFC 2018 §3: as many as fit in the 40 bytes of options. */
export const MAX_SACK_BLOCKS = 4;

export class TcpSegment {
  sourcePort = 0;
  destinationPort = 0;
  sequence: Sequence = 0;
  acknowledgement: Sequence = 0;
  flags = 0;
  /** As it stands there, not scaled. */
  window = 0;
  buffer: Uint8Array = new Uint8Array(0);
  /** Where the data is. */
  data = 0;
  end = 0;

  /** 0: there is none. */
  mss = 0;
  /** -1: there is none. */
  windowScale = -1;
  isSackPermitted = false;
  hasTimestamps = false;
  timestamp = 0;
  timestampEcho = 0;
  sackBlocks = 0;
  /** Left and right edges, {@link sackBlocks} pairs. */
  readonly sackEdges: Int32Array = new Int32Array(2 * MAX_SACK_BLOCKS);

  /** Takes the segment from `start` to `end`; false: it is none. The checksum is the caller's to verify. */
  parse(buffer: Uint8Array, start: number, end: number): boolean {
    if (end - start < TCP_HEADER) return false;
    const headerLength = ((buffer[start + 12] as number) >>> 4) * 4;
    if (headerLength < TCP_HEADER || headerLength > end - start) return false;
    this.buffer = buffer;
    this.sourcePort = u16(buffer, start);
    this.destinationPort = u16(buffer, start + 2);
    this.sequence = i32(buffer, start + 4);
    this.acknowledgement = i32(buffer, start + 8);
    this.flags = (buffer[start + 13] as number) & 0x3f;
    this.window = u16(buffer, start + 14);
    this.data = start + headerLength;
    this.end = end;
    this.mss = 0;
    this.windowScale = -1;
    this.isSackPermitted = false;
    this.hasTimestamps = false;
    this.sackBlocks = 0;
    if (headerLength > TCP_HEADER) this.#parseOptions(start + TCP_HEADER, start + headerLength);
    return this.sourcePort !== 0 && this.destinationPort !== 0;
  }

  has(flags: number): boolean {
    return (this.flags & flags) === flags;
  }

  /** It begins a connection, and does nothing else. */
  get isOpening(): boolean {
    return (this.flags & (FLAG.syn | FLAG.ack | FLAG.rst | FLAG.fin)) === FLAG.syn;
  }

  get dataLength(): number {
    return this.end - this.data;
  }

  /** What it takes of the sequence space: SYN and FIN count as one each (RFC 9293 §3.4). */
  get length(): number {
    return this.end - this.data + (this.flags & FLAG.syn ? 1 : 0) + (this.flags & FLAG.fin ? 1 : 0);
  }

  /** RFC 9293 §3.1: unknown options are skipped by their length; behind one whose length cannot be, nothing is understood. */
  #parseOptions(start: number, end: number): void {
    const { buffer } = this;
    let at = start;
    while (at < end) {
      const kind = buffer[at] as number;
      if (kind === OPTION.end) return;
      if (kind === OPTION.nop) {
        at++;
        continue;
      }
      const length = at + 1 < end ? (buffer[at + 1] as number) : 0;
      if (length < 2 || length > end - at) return;
      this.#option(kind, at + 2, length - 2);
      at += length;
    }
  }

  #option(kind: number, at: number, length: number): void {
    const { buffer } = this;
    if (kind === OPTION.timestamps && length === 8) {
      this.hasTimestamps = true;
      this.timestamp = i32(buffer, at);
      this.timestampEcho = i32(buffer, at + 4);
    } else if (kind === OPTION.sack && length >= 8 && length % 8 === 0) {
      this.sackBlocks = Math.min(length / 8, MAX_SACK_BLOCKS);
      for (let i = 0; i < 2 * this.sackBlocks; i++) this.sackEdges[i] = i32(buffer, at + 4 * i);
    } else if (kind === OPTION.mss && length === 2) {
      this.mss = u16(buffer, at);
    } else if (kind === OPTION.windowScale && length === 1) {
      this.windowScale = Math.min(buffer[at] as number, MAX_WINDOW_SCALE);
    } else if (kind === OPTION.sackPermitted && length === 0) {
      this.isSackPermitted = true;
    }
  }
}
