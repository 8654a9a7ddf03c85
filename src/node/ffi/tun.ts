/**
 * Linux's TUN: a network interface whose packets a program reads and writes.
 *
 * Read first: the kernel's documentation "Universal TUN/TAP device driver".
 */
import { MisuseError, SallyportError } from '../../core/errors.ts';
import { ERRNO, errnoName, systemError } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

const TUN_PATH = '/dev/net/tun';

/** IFNAMSIZ, with the zero at the end. */
const NAME_LENGTH = 16;

/** struct ifreq: the name, then a union of which we use the first bytes. */
const IFREQ_LENGTH = 40;

/**
 * Opens a TUN interface: the named one, or `tunN` with the kernel's choice of N. An interface that was made before (`ip tuntap add … user …`)
 * opens without root for the user it was made for.
 *
 * @throws SallyportError in plain words; MisuseError for a name that no interface can have
 */
export function openTun(libc: Libc, name: string | undefined): { readonly fd: number; readonly name: string } {
  if (name !== undefined) checkInterfaceName(name);
  return openQueue(libc, name ?? 'tun%d', name ?? 'tunN', LINUX.IFF_TUN | LINUX.IFF_NO_PI); // the kernel fills in the number
}

/**
 * Makes the first free interface of a prefix (`vpns` → `vpns0`) with so many queues, one descriptor each: whoever reads one gets the flows that the
 * kernel has put there. The interface is gone when the last descriptor is closed, by {@link closeTun} or by the end of its processes.
 *
 * @throws SallyportError in plain words; MisuseError for a prefix of no interface
 */
export function openTunQueues(libc: Libc, prefix: string, queues: number): { readonly fds: readonly number[]; readonly name: string } {
  checkInterfaceName(`${prefix}0`);
  const flags = LINUX.IFF_TUN | LINUX.IFF_NO_PI | LINUX.IFF_MULTI_QUEUE;
  const { fd, name } = openQueue(libc, `${prefix}%d`, `${prefix}N`, flags);
  const fds = [fd];
  try {
    while (fds.length < queues) fds.push(openQueue(libc, name, name, flags).fd);
  } catch (error) {
    closeTun(libc, fds);
    throw error;
  }
  return { fds, name };
}

/** Closes descriptors of an interface's queues. */
export function closeTun(libc: Libc, fds: readonly number[]): void {
  for (const fd of fds) libc.close(fd);
}

/** @param shown The name as people know it. */
function openQueue(libc: Libc, name: string, shown: string, flags: number): { readonly fd: number; readonly name: string } {
  const fd = libc.open(TUN_PATH, LINUX.O_RDWR | LINUX.O_NONBLOCK | LINUX.O_CLOEXEC);
  if (fd < 0) throw cannotOpenNode(libc.errno());
  const { scratch } = libc;
  writeInterfaceRequest(libc, name);
  scratch.view.setUint16(NAME_LENGTH, flags, true);
  if (libc.ioctl(fd, LINUX.TUNSETIFF, scratch.address(0)) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    throw cannotCreate(shown, errno);
  }
  return { fd, name: scratch.bytes.toString('latin1', 0, scratch.bytes.indexOf(0)) };
}

/** Sets an interface's MTU in bytes. Needs the right to administer the network (CAP_NET_ADMIN). */
export function setInterfaceMtu(libc: Libc, name: string, mtu: number): void {
  checkInterfaceName(name);
  // Any socket of the network namespace will do to carry the request.
  const fd = libc.socket(LINUX.AF_INET, LINUX.SOCK_DGRAM | LINUX.SOCK_CLOEXEC, 0);
  const what = `setting the MTU of ${name} to ${mtu}`;
  if (fd < 0) throw systemError(what, libc.errno());
  try {
    writeInterfaceRequest(libc, name);
    libc.scratch.view.setInt32(NAME_LENGTH, mtu, true);
    if (libc.ioctl(fd, LINUX.SIOCSIFMTU, libc.scratch.address(0)) < 0) throw systemError(what, libc.errno());
  } finally {
    libc.close(fd);
  }
}

/** The kernel's rule for names (dev_valid_name), without the `%` of patterns. Throws {@link MisuseError}. */
export function checkInterfaceName(name: string): void {
  if (name.length === 0 || name.length >= NAME_LENGTH || name === '.' || name === '..' || !/^[!-~]+$/.test(name) || /[/:%]/.test(name)) {
    throw new MisuseError(
      `"${name}" cannot be the name of an interface: 1 to ${NAME_LENGTH - 1} printable ASCII characters without blanks, "/", ":" and "%"`,
    );
  }
}

function writeInterfaceRequest(libc: Libc, name: string): void {
  libc.scratch.bytes.fill(0, 0, IFREQ_LENGTH);
  libc.scratch.bytes.write(name, 0, NAME_LENGTH - 1, 'latin1');
}

function cannotOpenNode(errno: number): SallyportError {
  const code = errnoName(errno);
  switch (errno) {
    case ERRNO.ENOENT:
    case ERRNO.ENODEV:
    case ERRNO.ENXIO:
      return new SallyportError(
        code,
        `There is no TUN device on this machine (${TUN_PATH}, ${code}). Load the kernel module with "modprobe tun", or give the container the device.`,
      );
    case ERRNO.EACCES:
    case ERRNO.EPERM:
      return new SallyportError(code, `This user may not open ${TUN_PATH} (${code}). Run as root.`);
    default:
      return systemError(`opening ${TUN_PATH}`, errno);
  }
}

function cannotCreate(name: string, errno: number): SallyportError {
  const code = errnoName(errno);
  switch (errno) {
    case ERRNO.EPERM:
      return new SallyportError(
        code,
        `This user may not make the TUN interface ${name} (${code}). Run as root, or let root prepare it once: "ip tuntap add ${name} mode tun user USER".`,
      );
    case ERRNO.EBUSY:
      return new SallyportError(code, `The interface ${name} is in use by another program (${code}). Choose another name.`);
    case ERRNO.EINVAL:
      return new SallyportError(
        code,
        `The interface ${name} exists and is not a TUN interface of one queue (${code}). Choose another name.`,
      );
    default:
      return systemError(`making the TUN interface ${name}`, errno);
  }
}
