/**
 * From root to nobody in particular, for good: the user and group of the configuration, no others, no way back by a set-user-ID program, no system calls
 * that a worker never needs, and a root folder of its own where the configuration names one.
 */
import { SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { systemError } from '../../node/ffi/errno.ts';
import { LINUX, libc } from '../../node/ffi/libc.ts';
import { refuseSystemCalls } from '../../node/ffi/system-call-filter.ts';
import type { ProcessConfig } from '../config/gateway-config.ts';

type Rights = Pick<ProcessConfig, 'user' | 'group' | 'chroot'>;

/** Throws {@link SallyportError} for a user or group that is not there. Not being root to begin with, it has no user to give up. */
export function giveUpRights(rights: Rights, log: Logger): void {
  const c = libc('A worker of the gateway');
  if (c.prctl(LINUX.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) throw systemError('giving up new privileges', c.errno());
  if (process.getuid?.() === 0) giveUpRoot(rights);
  // Last: it refuses chroot too.
  if (!refuseSystemCalls(c)) log.log('warn', 'system calls of the worker are not filtered: this kernel or processor cannot do it');
}

function giveUpRoot({ user, group, chroot }: Rights): void {
  const c = libc('A worker of the gateway');
  // Names are looked up while there are still files to look into.
  const uid = numberOfUser(user);
  try {
    process.setgroups?.([]);
    process.setgid?.(numberOr(group));
  } catch (cause) {
    throw new SallyportError('ERR_RIGHTS', `A worker cannot run as group ${group}: ${(cause as Error).message}.`, { cause });
  }
  // Both past Node, which lets a worker go nowhere.
  if (chroot !== undefined && (c.chroot(chroot) < 0 || c.chdir('/') < 0)) {
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
