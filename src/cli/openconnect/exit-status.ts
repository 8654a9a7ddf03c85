/** How the command ends: the last line and the exit status (spec "CLI", section 7). */
import type { LogFields } from '../../core/log.ts';
import type { CloseReason } from '../../core/tunnel/machine.ts';

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
/** The gateway does not take the session cookie (any more): a wrapper then logs in again. */
export const EXIT_COOKIE_REFUSED = 2;

export interface LastWords {
  readonly status: number;
  /** An event with words in `words.ts`, to be logged last. */
  readonly event: string;
  readonly fields: LogFields;
}

/** Why a session ended, as the command says it when there is nothing left to try. */
export function lastWords(reason: CloseReason): LastWords {
  switch (reason.kind) {
    case 'log-off':
      return { status: EXIT_OK, event: 'ended by user', fields: {} };
    case 'detach':
      return { status: EXIT_OK, event: 'ended by hangup', fields: {} };
    case 'refused':
      return { status: EXIT_COOKIE_REFUSED, event: 'ended by refusal', fields: {} };
    case 'ended-by-peer':
      return { status: EXIT_FAILURE, event: 'ended by gateway', fields: {} };
    case 'path-lost':
    case 'renew':
      return { status: EXIT_FAILURE, event: 'ended for reason', fields: { reason: 'CSTP reconnect failed' } };
    case 'expired':
    case 'misbehaved':
    case 'unusable':
      return { status: EXIT_FAILURE, event: 'ended for reason', fields: { reason: reason.message } };
  }
}
