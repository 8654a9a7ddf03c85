/**
 * From root to nobody in particular, for good: the user and group of the configuration, no others, no way back by a set-user-ID program, no system calls
 * that a worker never needs, and a root folder of its own where the configuration names one.
 */
import { SallyportError, UnsupportedError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { systemError } from '../../node/ffi/errno.ts';
import { LINUX, type Libc, libc } from '../../node/ffi/libc.ts';
import { refuseSystemCalls } from '../../node/ffi/system-call-filter.ts';
import type { ProcessConfig } from '../config/gateway-config.ts';

type Rights = Pick<ProcessConfig, 'user' | 'group' | 'chroot'>;

export interface Fence {
  /** It makes sockets to other hosts: without an interface clients' flows end in it. */
  readonly dialsOut: boolean;
}

/**
 * Throws {@link SallyportError} for a user or group that is not there. Not being root to begin with, it has no user to give up. A worker that dials out
 * goes on without what needs native calls; others have no work without them.
 */
export function giveUpRights(rights: Rights, log: Logger, { dialsOut }: Fence = { dialsOut: false }): void {
  const c = nativeCalls(dialsOut);
  if (c !== undefined && c.prctl(LINUX.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) throw systemError('giving up new privileges', c.errno());
  if (process.getuid?.() === 0) giveUpRoot(rights, c);
  // Last: it refuses chroot too.
  if (c === undefined || !refuseSystemCalls(c, { allowsInternet: dialsOut })) {
    log.log(
      'warn',
      `system calls of the worker are not filtered: ${c === undefined ? 'that needs Linux and koffi' : 'this kernel or processor cannot do it'}`,
    );
  }
}

function nativeCalls(mayLack: boolean): Libc | undefined {
  try {
    return libc('A worker of the gateway');
  } catch (error) {
    if (mayLack && error instanceof UnsupportedError) return undefined;
    throw error;
  }
}

function giveUpRoot({ user, group, chroot }: Rights, c: Libc | undefined): void {
  if (chroot !== undefined && c === undefined) {
    throw new SallyportError('ERR_RIGHTS', `The root folder ${chroot} (chroot) needs Linux and koffi. Remove the key, or install koffi.`);
  }
  // Names are looked up while there are still files to look into.
  const uid = numberOfUser(user);
  try {
    process.setgroups?.([]);
    process.setgid?.(numberOr(group));
  } catch (cause) {
    throw new SallyportError('ERR_RIGHTS', `A worker cannot run as group ${group}: ${(cause as Error).message}.`, { cause });
  }
  // Both past Node, which lets a worker go nowhere.
  if (chroot !== undefined && c !== undefined && (c.chroot(chroot) < 0 || c.chdir('/') < 0)) {
    throw systemError(`changing the root folder to ${chroot}`, c.errno());
  }
  process.setuid?.(uid);
}

/** By being that user for a moment: Node has no other way to ask. */
function numberOfUser(user: string): number {
  try {
    process.seteuid?.(numberOr(user));
    return process.geteuid?.() ?? 0;
  } catch (cause) {
    throw new SallyportError('ERR_RIGHTS', `A worker cannot run as user ${user}: ${(cause as Error).message}.`, { cause });
  } finally {
    process.seteuid?.(0);
  }
}

function numberOr(name: string): string | number {
  return /^\d+$/.test(name) ? Number(name) : name;
}
