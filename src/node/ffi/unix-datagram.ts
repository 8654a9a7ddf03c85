/**
 * One datagram to a unix socket, for which Node has nothing. Read first: unix(7).
 *
 *   0        2
 *   +--------+----------------------------+
 *   | family | path, at most 108 bytes    |   an abstract name begins with a zero byte, and its length counts
 *   +--------+----------------------------+
 */
import { MisuseError } from '../../core/errors.ts';
import { systemError } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

const PATH_OFFSET = 2;
/** Of a name, with the zero that ends a path. */
const MAX_NAME_BYTES = 108;
/** Where the datagram begins in the scratch memory. */
const DATA_OFFSET = 256;
const MAX_DATAGRAM = 16_384;

/** `name`: a path, or `@…` for an abstract name. Throws if it cannot be delivered now: nothing waits. */
export function sendUnixDatagram(libc: Libc, name: string, datagram: Uint8Array): void {
  const what = `a message to ${name}`;
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.length >= MAX_NAME_BYTES) throw new MisuseError(`${what}: the name is too long for a socket`);
  if (datagram.length > MAX_DATAGRAM) throw new MisuseError(`${what}: ${datagram.length} bytes are too many`);
  const { scratch } = libc;
  scratch.view.setUint16(0, LINUX.AF_UNIX, true);
  scratch.bytes.fill(0, PATH_OFFSET, PATH_OFFSET + MAX_NAME_BYTES);
  scratch.bytes.set(bytes, PATH_OFFSET);
  const isAbstract = name.startsWith('@');
  if (isAbstract) scratch.bytes[PATH_OFFSET] = 0;
  const length = PATH_OFFSET + bytes.length + (isAbstract ? 0 : 1);
  scratch.bytes.set(datagram, DATA_OFFSET);
  const fd = libc.socket(LINUX.AF_UNIX, LINUX.SOCK_DGRAM | LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError(what, libc.errno());
  try {
    if (libc.connect(fd, scratch.address(0), length) < 0) throw systemError(what, libc.errno());
    if (libc.send(fd, scratch.address(DATA_OFFSET), datagram.length, 0) < 0) throw systemError(what, libc.errno());
  } finally {
    libc.close(fd);
  }
}
