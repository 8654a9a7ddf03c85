/**
 * HDLC-like framing: flags around each frame, escapes inside, a check sequence at the end.
 *
 * Read first: RFC 1662 §4; spec "PPP", section 3.
 *
 *   7E │ header and payload, escaped │ FCS-16, escaped │ 7E
 */
import { PACKET_HEADROOM, PACKET_TAILROOM } from '../tunnel/packet.ts';
import type { PppDeframer } from './deframer.ts';
import { FCS_GOOD, FCS_INITIAL, FCS_LENGTH, fcsOf, fcsStep } from './fcs.ts';
import { MAX_FRAME } from './limits.ts';

const FLAG = 0x7e;
const ESCAPE = 0x7d;
const ESCAPE_BIT = 0x20;

/** All control characters are escaped: of LCP, and until the peer asks for less (RFC 1662 §7.1). */
export const FULL_ACCM = 0xffff_ffff;

/** What a frame of `length` bytes is at most: every byte escaped, two flags. */
export function maxHdlcLength(length: number): number {
  return 2 * (length + FCS_LENGTH) + 2;
}

/**
 * Writes a frame as a whole, a flag at both ends, and returns its length: peers do not put frames together (spec 3.4).
 *
 * @param accm the control characters that are escaped: bit n is the byte n.
 */
export function writeHdlcFrame(room: Uint8Array, header: Uint8Array, bytes: Uint8Array, start: number, end: number, accm: number): number {
  let at = 0;
  let register = FCS_INITIAL;
  room[at++] = FLAG;
  for (let i = 0; i < header.length; i++) {
    const byte = header[i] as number; // i is below its length
    register = fcsStep(register, byte);
    at = writeEscaped(room, at, byte, accm);
  }
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number; // the caller's bounds are inside
    register = fcsStep(register, byte);
    at = writeEscaped(room, at, byte, accm);
  }
  const fcs = fcsOf(register);
  at = writeEscaped(room, at, fcs & 0xff, accm);
  at = writeEscaped(room, at, fcs >>> 8, accm);
  room[at++] = FLAG;
  return at;
}

function writeEscaped(room: Uint8Array, at: number, byte: number, accm: number): number {
  if (byte === FLAG || byte === ESCAPE || (byte < 0x20 && ((accm >>> byte) & 1) === 1)) {
    room[at] = ESCAPE;
    room[at + 1] = byte ^ ESCAPE_BIT;
    return at + 2;
  }
  room[at] = byte;
  return at + 1;
}

/** Frames may come in any slices, share a flag, and have more flags between them. What has a wrong check sequence is counted, and never answered. */
export class HdlcDeframer implements PppDeframer {
  readonly bytes: Uint8Array = new Uint8Array(PACKET_HEADROOM + MAX_FRAME + FCS_LENGTH + PACKET_TAILROOM);
  readonly start: number = PACKET_HEADROOM;
  end: number = PACKET_HEADROOM;
  malformed = 0;
  #pushed: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** Where the next byte of the frame goes. */
  #fill = PACKET_HEADROOM;
  #register = FCS_INITIAL;
  #isEscaped = false;
  /** Too long, aborted, or not yet begun: everything up to the next flag is dropped. */
  #isSkipping = true;

  push(bytes: Uint8Array): void {
    this.#pushed = bytes;
    this.#at = 0;
  }

  next(): boolean {
    const { bytes } = this;
    const pushed = this.#pushed;
    while (this.#at < pushed.length) {
      const byte = pushed[this.#at++] as number; // below its length
      if (byte === FLAG) {
        if (this.#endFrame()) return true;
      } else if (this.#isSkipping) {
        // lost: until the next flag
      } else if (byte === ESCAPE && !this.#isEscaped) {
        this.#isEscaped = true;
      } else if (this.#fill === this.start + MAX_FRAME + FCS_LENGTH) {
        this.malformed++;
        this.#isSkipping = true;
      } else {
        const plain = this.#isEscaped ? byte ^ ESCAPE_BIT : byte;
        this.#isEscaped = false;
        this.#register = fcsStep(this.#register, plain);
        bytes[this.#fill++] = plain;
      }
    }
    return false;
  }

  endDatagram(): void {
    this.#pushed = new Uint8Array(0);
    this.#at = 0;
    this.#isSkipping = true;
  }

  takePartial(): Uint8Array {
    return new Uint8Array(0); // no engine goes on with frames that it cannot cut
  }

  /** At a flag: true if a good frame ends there. A frame may begin there in any case. */
  #endFrame(): boolean {
    const length = this.#fill - this.start;
    const isWhole = !(this.#isSkipping || this.#isEscaped);
    const isGood = isWhole && length >= FCS_LENGTH && this.#register === FCS_GOOD;
    this.end = this.#fill - FCS_LENGTH;
    if (!this.#isSkipping && !isGood && (length > 0 || this.#isEscaped)) this.malformed++;
    this.#fill = this.start;
    this.#register = FCS_INITIAL;
    this.#isEscaped = false;
    this.#isSkipping = false;
    return isGood && length > FCS_LENGTH;
  }
}
