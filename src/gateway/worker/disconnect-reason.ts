/**
 * Why a tunnel ended, in ocserv's words, and whether its client may come back with the same cookie.
 *
 * Read first: spec "Gateway contract", section 4 (reasons), and spec "AnyConnect", sections 5.4 and 11.4 (cookies).
 */
import { PEER_DEAD } from '../../core/tunnel/keepalive.ts';
import type { CloseReason } from '../../core/tunnel/machine.ts';
import { type DisconnectReason, keepsCookieAfter } from '../processes/auth-service.ts';
import type { TunnelEnd } from '../processes/worker-contract.ts';

/** `asked`: what this gateway ended it for, if it did. */
export function disconnectReasonOf(
  { kind, error }: CloseReason,
  asked: DisconnectReason | undefined,
): Pick<TunnelEnd, 'reason' | 'keepsCookie'> {
  if (asked !== undefined) return { reason: asked, keepsCookie: keepsCookieAfter(asked) };
  switch (kind) {
    case 'log-off':
      return { reason: 'user disconnected', keepsCookie: false };
    case 'detach':
      return { reason: 'anyconnect client disconnected', keepsCookie: true };
    case 'path-lost':
      return { reason: error?.code === PEER_DEAD ? 'DPD timeout' : 'unspecified error', keepsCookie: true };
    case 'misbehaved':
    case 'unusable':
      return { reason: 'unspecified error', keepsCookie: true };
    default:
      return { reason: 'unspecified', keepsCookie: true };
  }
}
