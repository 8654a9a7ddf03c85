/**
 * From root to nobody in particular, for good: the user and group of the configuration, no others, no way back by a set-user-ID program, and a root
 * folder of its own where the configuration names one.
 */
import { SallyportError } from '../../core/errors.ts';
import { systemError } from '../../node/ffi/errno.ts';
import { LINUX, libc } from '../../node/ffi/libc.ts';
import type { ProcessConfig } from '../config/gateway-config.ts';

/** Throws {@link SallyportError} for a user or group that is not there. Not being root to begin with, it gives up nothing. */
export function giveUpRights({ user, group, chroot }: Pick<ProcessConfig, 'user' | 'group' | 'chroot'>): void {
  const c = libc('A worker of the gateway');
  if (c.prctl(LINUX.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) throw systemError('giving up new privileges', c.errno());
  if (process.getuid?.() !== 0) return;
  if (chroot !== undefined && c.chroot(chroot) < 0) throw systemError(`changing the root folder to ${chroot}`, c.errno());
  if (chroot !== undefined) process.chdir('/');
  try {
    process.setgroups?.([]);
    process.setgid?.(numberOr(group));
  } catch (cause) {
    throw new SallyportError('ERR_RIGHTS', `A worker cannot run as group ${group}: ${(cause as Error).message}.`, { cause });
  }
  try {
    process.setuid?.(numberOr(user));
  } catch (cause) {
    throw new SallyportError('ERR_RIGHTS', `A worker cannot run as user ${user}: ${(cause as Error).message}.`, { cause });
  }
}

function numberOr(name: string): string | number {
  return /^\d+$/.test(name) ? Number(name) : name;
}
