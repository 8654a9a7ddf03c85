/**
 * Cuts what comes into PPP frames. After {@link PppDeframer.push}, call {@link PppDeframer.next} until it says false; between the calls `bytes`, `start`
 * and `end` describe the frame, without its encapsulation.
 */

export interface PppDeframer {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Frames that were thrown away. */
  readonly malformed: number;
  push(bytes: Uint8Array): void;
  /** Moves to the next whole frame. Throws {@link PeerMisbehavedError} where a stream is none of frames. */
  next(): boolean;
  /** Forgets a frame that has not come whole: a datagram ends here. */
  endDatagram(): void;
  /** Takes what has come of the next frame, which somebody else goes on with. */
  takePartial(): Uint8Array;
}
