/**
 * What a session does when the network underneath it changes. A tunnel's sockets are bound to one address: where that still works nothing need
 * be done, and waiting for a dead peer takes a minute or more where it does not.
 *
 *   no way to the gateway any more ──► lost: tries to reconnect wait
 *   a way again ─────────────────────► back: the next try is made at once
 *   another device, or our address is gone ──► reconnect: the old connection cannot answer any more
 *   a way again, and all went by TCP ────────► reconnect: a connection that sat out a gap retries ever more slowly
 */
import type { Path } from '../core/tunnel/machine.ts';
import type { UnderlayState } from '../node/network/underlay-watch.ts';

export type UnderlayResponse = 'lost' | 'back' | 'reconnect';

/** In this order. `path`: by which packets leave now. */
export function respondToUnderlay(before: UnderlayState, now: UnderlayState, path: Path['kind'] | undefined): readonly UnderlayResponse[] {
  if (now.way === undefined) return before.way === undefined ? [] : ['lost'];
  const isBack = before.way === undefined;
  const isElsewhere = before.way !== undefined && before.way.device !== now.way.device;
  const needsConnection = isElsewhere || now.isAddressGone || (isBack && path === 'stream');
  return [...(isBack ? (['back'] as const) : []), ...(needsConnection ? (['reconnect'] as const) : [])];
}
