/** Why a PPP link ends, in the words of a tunnel. */
import { NetworkError, UnsupportedError } from '../errors.ts';
import type { CloseReason } from '../tunnel/machine.ts';
import { fromUtf8, printable } from '../wire/text.ts';
import { NO_ANSWER } from './automaton.ts';
import { CODES, type ControlPacket } from './control-packet.ts';
import { MAGIC_LENGTH } from './lcp.ts';
import { MAX_TEXT } from './limits.ts';

const SECONDS_LENGTH = 4;

/** What the peer's people read where no family of IP is left (spec 6.4). */
export const NO_NETWORK = 'No network protocols running';

/** Of an Identification or a Time-Remaining (RFC 1570 §2.1 and §2.2): behind a magic number, and the seconds. */
export function messageIn({ code, data }: ControlPacket): string {
  return shownText(data.subarray(code === CODES.identification ? MAGIC_LENGTH : MAGIC_LENGTH + SECONDS_LENGTH));
}

export function endedByPeer(text: Uint8Array): CloseReason {
  const reason = shownText(text);
  return { kind: 'ended-by-peer', message: reason === '' ? 'The other side ended the link.' : `The other side ended the link: ${reason}` };
}

export function timedOut(): CloseReason {
  const error = new NetworkError('PPP negotiation timed out.');
  return { kind: 'path-lost', message: error.message, error };
}

/** What negotiation came to. */
export function unusable(message: string): CloseReason {
  if (message === NO_ANSWER) return { kind: 'path-lost', message, error: new NetworkError(message) };
  const error = new UnsupportedError(message);
  return { kind: 'unusable', message, error };
}

/** A peer's text, fit for a terminal. */
function shownText(text: Uint8Array): string {
  return printable(fromUtf8(text.subarray(0, MAX_TEXT)));
}
