/**
 * A descriptor of another process of the same user, for this one.
 *
 * Read first: pidfd_open(2), pidfd_getfd(2): Linux 5.6. Allowed where ptrace(2) would be.
 */
import { systemError } from './errno.ts';
import { libc } from './libc.ts';

/** The same on every architecture: calls since Linux 5.1 have common numbers. */
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;

/** The copy is closed on exec, and the caller's to close. Throws SallyportError. */
export function takeDescriptor(pid: number, fd: number): number {
  const c = libc('A descriptor of another process');
  const process = c.syscall(SYS_PIDFD_OPEN, pid, 0, 0);
  if (process < 0) throw systemError(`looking at process ${pid}`, c.errno());
  try {
    const copy = c.syscall(SYS_PIDFD_GETFD, process, fd, 0);
    if (copy < 0) throw systemError(`taking a descriptor of process ${pid}`, c.errno());
    return copy;
  } finally {
    c.close(process);
  }
}
