/**
 * Sockets that the service manager (systemd) has opened for this process.
 *
 * Read first: sd_listen_fds(3).
 */
import { MisuseError, UnsupportedError } from '../../core/errors.ts';
import { takeInheritedSocket } from '../ffi/inherited-descriptor.ts';
import { libc } from '../ffi/libc.ts';

export interface InheritedSocket {
  readonly fd: number;
  /** `FileDescriptorName=` of the socket unit, or what systemd calls it without one. */
  readonly name: string;
  readonly kind: 'stream' | 'datagram';
}

/** Where they begin: SD_LISTEN_FDS_START. */
const FIRST_DESCRIPTOR = 3;

/** More than any gateway listens at; a number out of the environment is not to be believed. */
export const MAX_INHERITED_SOCKETS = 64;

/** What a socket is; undefined: neither stream nor datagram. */
type KindOf = (fd: number, name: string) => InheritedSocket['kind'] | undefined;

/**
 * The sockets, in the order of the socket unit; none where this process was not started for them. Takes the variables away: programs that we start have
 * no such sockets. Throws {@link MisuseError} for variables that make no sense, and for a socket that no gateway can listen at.
 */
export function inheritedSockets(
  env: NodeJS.ProcessEnv = process.env,
  pid: number = process.pid,
  kindOf: KindOf = kindBySystemCall,
): InheritedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete env[name];
  if (LISTEN_PID === undefined || LISTEN_FDS === undefined || LISTEN_PID !== String(pid)) return []; // meant for nobody, or for another process
  const count = /^\d{1,4}$/.test(LISTEN_FDS) ? Number(LISTEN_FDS) : Number.NaN;
  if (!(count <= MAX_INHERITED_SOCKETS)) throw new MisuseError(`LISTEN_FDS is no number up to ${MAX_INHERITED_SOCKETS}.`);
  const names = LISTEN_FDNAMES.split(':');
  return Array.from({ length: count }, (_, i) => {
    const [fd, name] = [FIRST_DESCRIPTOR + i, names[i] || 'unknown'];
    const kind = kindOf(fd, name);
    if (kind === undefined) throw new MisuseError(`The socket "${name}" is of no use here: give ListenStream= or ListenDatagram=.`);
    return { fd, name, kind };
  });
}

/** Without koffi the name has to say it: `udp` in it means datagrams. */
function kindBySystemCall(fd: number, name: string): InheritedSocket['kind'] | undefined {
  try {
    return takeInheritedSocket(libc('A socket of the service manager'), fd);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    return /udp|dtls|datagram/i.test(name) ? 'datagram' : 'stream';
  }
}
