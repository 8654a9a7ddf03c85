/** Times of the machine's own clock, as people know them. */
import type { Millis } from '../core/tunnel/packet.ts';

/** When a time of `performance.now()` is, or was. */
export function wallClock(time: Millis): Date {
  return new Date(Date.now() + (time - performance.now()));
}
