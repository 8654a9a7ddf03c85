/** Why a PPP link ends, in the words of a tunnel. */
import { NetworkError, UnsupportedError } from '../errors.ts';
import type { CloseReason } from '../tunnel/machine.ts';
import { fromUtf8, printable } from '../wire/text.ts';
import { MAX_TEXT } from './limits.ts';

/** What the peer's people read where no family of IP is left (spec 6.4). */
export const NO_NETWORK = 'No network protocols running';

/** A peer's text, fit for a terminal. */
export function shownText(text: Uint8Array): string {
  return printable(fromUtf8(text.subarray(0, MAX_TEXT)));
}

export function endedByPeer(text: Uint8Array): CloseReason {
  const reason = shownText(text);
  return { kind: 'ended-by-peer', message: reason === '' ? 'The other side ended the link.' : `The other side ended the link: ${reason}` };
}

export function timedOut(): CloseReason {
  const error = new NetworkError('PPP negotiation timed out.');
  return { kind: 'path-lost', message: error.message, error };
}

export function unusable(message: string): CloseReason {
  const error = new UnsupportedError(message);
  return { kind: 'unusable', message, error };
}
