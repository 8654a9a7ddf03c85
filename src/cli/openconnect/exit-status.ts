/** How the command ends: the last line and the exit status (spec "CLI", section 7). */
import { DEVICE_FAILED } from '../../client/vpn-session.ts';
import { PeerMisbehavedError, SallyportError } from '../../core/errors.ts';
import type { LogFields } from '../../core/log.ts';
import type { Outcome } from '../../core/session/session-machine.ts';
import { TOKEN_REFUSED } from './token-file.ts';

export const EXIT_OK = 0;
export const EXIT_FAILURE = 1;
/** The gateway does not take the session cookie (any more): a wrapper then logs in again. */
export const EXIT_COOKIE_REFUSED = 2;

export interface LastWords {
  readonly status: number;
  /** Events with words in `words.ts`, to be logged last, in this order. */
  readonly events: readonly (readonly [event: string, fields: LogFields])[];
}

/** How far a session had come when it ended; `setting up`: the tunnel is there, device and script are not. */
export type Stage = 'logging in' | 'connecting' | 'setting up' | 'up';

/** Observed: what the kernel says to a user who may not make the device. */
function deviceRefused(cause: unknown): LastWords['events'] {
  if (!(cause instanceof SallyportError) || cause.code !== 'EPERM') return [];
  return [
    ['tun refused', { reason: 'Operation not permitted' }],
    ['tun needs root', {}],
  ];
}

/** How a session ended, as the command says it when there is nothing left to try. */
export function lastWords(outcome: Outcome, stage: Stage): LastWords {
  const failure = (...events: LastWords['events']): LastWords => ({ status: EXIT_FAILURE, events });
  const reason = { reason: outcome.message };
  switch (outcome.kind) {
    case 'logged-off':
    case 'detached':
      if (stage === 'logging in') return failure(['login failed', {}]);
      if (stage === 'connecting') return failure(['tunnel failed', {}]);
      return { status: EXIT_OK, events: [[outcome.kind === 'detached' ? 'ended by hangup' : 'ended by user', {}]] };
    case 'refused': {
      const refused = ['ended by refusal', {}] as const;
      return { status: EXIT_COOKIE_REFUSED, events: [stage === 'connecting' ? ['tunnel failed', {}] : ['cookie invalid', {}], refused] };
    }
    case 'ended-by-peer':
      return failure(['ended by gateway', {}]);
    case 'failed':
      if (outcome.error?.code === DEVICE_FAILED)
        return failure(...deviceRefused(outcome.error.cause), ['reason', reason], ['tun failed', {}], ['ended by system', {}]);
      if (outcome.error?.code === TOKEN_REFUSED) return failure(['reason', reason]); // observed: the bare line
      if (stage === 'logging in') return failure(['reason', reason], ['login failed', {}]);
      if (stage === 'connecting') return failure(['reason', reason], ['tunnel failed', {}], ['ended unknown', {}]);
      if (stage === 'setting up') return failure(['reason', reason]);
      if (outcome.error instanceof PeerMisbehavedError)
        return failure(['reason', reason], ['ended for reason', { reason: 'Unknown packet received' }]);
      return failure(['reason', reason], ['reconnect failed', {}], ['ended for reason', { reason: 'CSTP reconnect failed' }]);
    default:
      return outcome.kind satisfies never;
  }
}
