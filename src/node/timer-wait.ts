/** How long a timer of Node's can wait: one for later fires at once. */
import type { Millis } from '../core/tunnel/packet.ts';

const MAX_WAIT: Millis = 2 ** 31 - 1;

/** For `setTimeout`: as long as wished, or as long as there is. Whoever sets it looks again then whether anything is due. */
export function timerWait(wished: Millis): Millis {
  return Math.min(Math.max(0, wished), MAX_WAIT);
}
