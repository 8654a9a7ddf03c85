/** Sockets that were open when this process began: of which kind they are, and that they stay with this process. */
import { systemError } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

/** Keeps programs that this process starts from getting the socket. Undefined: a socket of another kind. Throws if it is no socket. */
export function takeInheritedSocket(libc: Libc, fd: number): 'stream' | 'datagram' | undefined {
  const { scratch } = libc;
  const what = `the socket with descriptor ${fd}`;
  scratch.view.setInt32(16, 4, true);
  if (libc.getsockopt(fd, LINUX.SOL_SOCKET, LINUX.SO_TYPE, scratch.address(0), scratch.address(16)) < 0)
    throw systemError(what, libc.errno());
  const type = scratch.view.getInt32(0, true);
  if (libc.fcntl(fd, LINUX.F_SETFD, LINUX.FD_CLOEXEC) < 0) throw systemError(what, libc.errno());
  if (type === LINUX.SOCK_STREAM) return 'stream';
  return type === LINUX.SOCK_DGRAM ? 'datagram' : undefined;
}
