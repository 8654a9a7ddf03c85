/**
 * A layer carries packets over what is below it: DTLS over UDP, CSTP over TLS. It does no IO: bytes and time come in, bytes and packets go out.
 *
 * The law: a sink only collects; it never calls back into the machine that is feeding it.
 */
import type { Millis, Packet } from './packet.ts';

export interface Layer<State> {
  /** The owner looks after each call: no events, no listeners. */
  readonly state: State;
  /** A stream in any slices, or exactly one datagram. */
  receive(bytes: Uint8Array, now: Millis, out: LayerSink): void;
  send(packet: Packet, now: Millis, out: LayerSink): void;
  /** When {@link handleTimeout} wants to be called next; undefined: not at all. */
  nextTimeout(): Millis | undefined;
  handleTimeout(now: Millis, out: LayerSink): void;
  close(now: Millis, out: LayerSink): void;
}

export interface LayerSink {
  /** Room in the outgoing burst, to seal straight into. Throws {@link MisuseError} above {@link MAX_RESERVE}. */
  reserve(maxLength: number): Uint8Array;
  /** The first `length` bytes of that room are now one TLS record or one datagram. */
  commit(length: number): void;
  /** What came up: an IP packet, or what the layer above unwraps. */
  packet(packet: Packet): void;
}

/** The largest room a sink gives: one TLS record's plaintext (RFC 8446 §5.1) is the largest thing any layer writes at once. */
export const MAX_RESERVE = 16_384;

/** Commits a copy of `bytes` as one record or datagram. For control traffic, where a copy costs nothing that matters. */
export function commitBytes(out: LayerSink, bytes: Uint8Array): void {
  out.reserve(bytes.length).set(bytes);
  out.commit(bytes.length);
}

/** Commits a copy of `bytes` on a stream where the bounds of records mean nothing: in as many as it takes. */
export function commitStream(out: LayerSink, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += MAX_RESERVE) commitBytes(out, bytes.subarray(at, at + MAX_RESERVE));
}
