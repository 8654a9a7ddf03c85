/** How a connection ended, as the error that whoever waited for it gets. */
import { CancelledError, PeerRefusedError, SallyportError } from '../core/errors.ts';
import type { Outcome } from '../core/session/session-machine.ts';

export function errorOf({ kind, message, error }: Outcome): SallyportError {
  if (error !== undefined) return error;
  switch (kind) {
    case 'logged-off':
    case 'detached':
      return new CancelledError();
    case 'refused':
      return new PeerRefusedError(message, { code: 'ERR_SESSION_REFUSED' });
    case 'ended-by-peer':
      return new PeerRefusedError(message, { code: 'ERR_SESSION_ENDED' });
    case 'failed':
      return new SallyportError('ERR_SESSION_FAILED', message);
    default:
      return kind satisfies never;
  }
}
