/**
 * Linux's TUN: a network interface whose packets a program reads and writes.
 *
 * Read first: the kernel's documentation "Universal TUN/TAP device driver".
 */
import { existsSync, readFileSync } from 'node:fs';
import { SallyportError } from '../../core/errors.ts';
import { checkInterfaceName, NAME_LENGTH } from '../interface-name.ts';
import { ERRNO, errnoName, systemError } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

const TUN_PATH = '/dev/net/tun';

/** struct ifreq: the name, then a union of which we use the first bytes. */
const IFREQ_LENGTH = 40;

/** IP packets, and nothing in front of them. */
const PLAIN = LINUX.IFF_TUN | LINUX.IFF_NO_PI;

/** What a TUN may be asked to do beyond one packet a read, and what it does. */
export interface TunOffloads {
  /** A virtio header stands in front of each packet; checksums and super-packets of TCP are ours to complete and to cut. */
  readonly hasHeader: boolean;
  /** The same for UDP. */
  readonly hasUdp: boolean;
}

export const NO_OFFLOADS: TunOffloads = { hasHeader: false, hasUdp: false };

export interface OpenedTun {
  /** What packets are written to. */
  readonly fd: number;
  /** What packets are read from: the same, or several queues. */
  readonly queues: readonly number[];
  readonly name: string;
  readonly offloads: TunOffloads;
  /** Why it does less than was wished, as an error number; 0: it does not. */
  readonly refusal: number;
}

/** struct virtio_net_hdr without the fields that only some devices have. */
export const VIRTIO_HEADER_LENGTH = 10;

/**
 * Opens a TUN interface: the named one, or `tunN` with the kernel's choice of N. An interface that was made before (`ip tuntap add … user …`)
 * opens without root for the user it was made for.
 *
 * One that is new has as many queues as are wanted, and packets are written to a descriptor beside them, so that the kernel puts each flow where its hash
 * says and leaves it there: it would follow what is written to a queue, and a flow that moves overtakes itself. Where it can have but one, packets are
 * written to that.
 *
 * @throws SallyportError in plain words; MisuseError for a name that no interface can have
 */
export function openTun(libc: Libc, name: string | undefined, wanted: TunOffloads = NO_OFFLOADS, queues = 1): OpenedTun {
  if (name !== undefined) checkInterfaceName(name);
  const [given, shown] = [name ?? 'tun%d', name ?? 'tunN']; // the kernel fills in the number
  const fd = openNode(libc);
  const flags = wanted.hasHeader ? PLAIN | LINUX.IFF_VNET_HDR : PLAIN;
  // Of one that is another program's, with queues, this would make one that both have.
  if (queues > 1 && attach(libc, fd, given, flags | LINUX.IFF_MULTI_QUEUE | LINUX.IFF_TUN_EXCL) === 0) {
    const made = attachedName(libc);
    return {
      fd,
      queues: openFlowQueues(libc, fd, made, flags | LINUX.IFF_MULTI_QUEUE, queues),
      name: made,
      ...setOffloads(libc, fd, wanted),
    };
  }
  let granted = wanted;
  let refusal = attach(libc, fd, given, flags);
  if (refusal === ERRNO.EINVAL && wanted.hasHeader) {
    // Perhaps it has no headers; perhaps something else is wrong, which shows now.
    refusal = attach(libc, fd, given, PLAIN);
    granted = NO_OFFLOADS;
  }
  if (refusal !== 0) {
    libc.close(fd);
    throw cannotCreate(shown, refusal === ERRNO.EINVAL && hasQueuesInUse(given) ? ERRNO.EBUSY : refusal);
  }
  const opened = attachedName(libc);
  // An interface that outlives its programs still does what one that was killed has asked for.
  if (!granted.hasHeader) clearOffloads(libc, fd);
  if (granted !== wanted) return { fd, queues: [fd], name: opened, offloads: NO_OFFLOADS, refusal: ERRNO.EINVAL };
  return { fd, queues: [fd], name: opened, ...setOffloads(libc, fd, wanted) };
}

/** A program has made the interface for itself alone, as we do: it is there because that program has it. */
function hasQueuesInUse(name: string): boolean {
  try {
    const flags = Number(readFileSync(`/sys/class/net/${name}/tun_flags`, 'latin1'));
    return (flags & LINUX.IFF_MULTI_QUEUE) !== 0 && (flags & LINUX.IFF_PERSIST) === 0;
  } catch {
    return false; // it is no TUN, or gone by now, or /sys is of another network namespace
  }
}

/** Queues in place of the first descriptor's; that one, if there cannot be more. */
function openFlowQueues(libc: Libc, first: number, name: string, flags: number, count: number): readonly number[] {
  const fds: number[] = [];
  try {
    while (fds.length < count) fds.push(openQueue(libc, name, name, flags).fd);
  } catch (error) {
    closeTun(libc, fds);
    if (!(error instanceof SallyportError)) throw error;
    return [first];
  }
  // Where it was renamed meanwhile, the others are queues of a new one that has its name.
  const isOne = libc.ioctl(first, LINUX.TUNGETIFF, libc.scratch.address(0)) >= 0 && attachedName(libc) === name;
  if (isOne && detachQueue(libc, first)) return fds;
  closeTun(libc, fds);
  return [first];
}

/** The kernel gives this queue no packets any more, and remembers no flows that are written by it. False: it does not know how. */
function detachQueue(libc: Libc, fd: number): boolean {
  libc.scratch.view.setUint16(NAME_LENGTH, LINUX.IFF_DETACH_QUEUE, true);
  return libc.ioctl(fd, LINUX.TUNSETQUEUE, libc.scratch.address(0)) >= 0;
}

export interface OpenedQueues {
  readonly fds: readonly number[];
  /** What packets are written by, where there is one beside the queues. */
  readonly writer?: number;
  readonly name: string;
  /** Of all queues: headers stand in front of the packets of each, or of none. */
  readonly offloads: TunOffloads;
}

/**
 * Makes the first free interface of a prefix (`vpns` → `vpns0`) with so many queues, one descriptor each: whoever reads one gets the flows that the
 * kernel has put there. The interface is gone when the last descriptor is closed, by {@link closeTun} or by the end of its processes.
 *
 * @param wantsWriter what is written shall not move a flow to another queue, as for {@link openTun}: where one program reads all queues
 * @throws SallyportError in plain words; MisuseError for a prefix of no interface
 */
export function openTunQueues(
  libc: Libc,
  prefix: string,
  queues: number,
  wanted: TunOffloads = NO_OFFLOADS,
  wantsWriter = false,
): OpenedQueues {
  checkInterfaceName(`${prefix}0`);
  const flags = PLAIN | LINUX.IFF_MULTI_QUEUE | (wanted.hasHeader ? LINUX.IFF_VNET_HDR : 0);
  const { fd, name } = openQueue(libc, `${prefix}%d`, `${prefix}N`, flags);
  const fds = [fd];
  try {
    while (fds.length < queues + (wantsWriter ? 1 : 0)) fds.push(openQueue(libc, name, name, flags).fd);
    const { offloads } = setOffloads(libc, fd, wanted);
    if (!wantsWriter) return { fds, name, offloads };
    if (detachQueue(libc, fd)) return { fds: fds.slice(1), writer: fd, name, offloads };
    closeTun(libc, fds.splice(-1));
    return { fds, name, offloads };
  } catch (error) {
    closeTun(libc, fds);
    throw error;
  }
}

/** Closes descriptors of an interface's queues. */
export function closeTun(libc: Libc, fds: readonly number[]): void {
  for (const fd of fds) libc.close(fd);
}

/** @param shown The name as people know it. */
function openQueue(libc: Libc, name: string, shown: string, flags: number): { readonly fd: number; readonly name: string } {
  const fd = openNode(libc);
  const refusal = attach(libc, fd, name, flags);
  if (refusal !== 0) {
    libc.close(fd);
    throw cannotCreate(shown, refusal);
  }
  return { fd, name: attachedName(libc) };
}

function openNode(libc: Libc): number {
  const fd = libc.open(TUN_PATH, LINUX.O_RDWR | LINUX.O_NONBLOCK | LINUX.O_CLOEXEC);
  if (fd < 0) throw cannotOpenNode(libc.errno());
  return fd;
}

/** Attaches the descriptor to the interface of that name. 0, or the error number. */
function attach(libc: Libc, fd: number, name: string, flags: number): number {
  writeInterfaceRequest(libc, name);
  libc.scratch.view.setUint16(NAME_LENGTH, flags, true);
  return libc.ioctl(fd, LINUX.TUNSETIFF, libc.scratch.address(0)) < 0 ? libc.errno() : 0;
}

/** What the kernel has made of the name. */
function attachedName({ scratch }: Libc): string {
  return scratch.bytes.toString('latin1', 0, scratch.bytes.indexOf(0));
}

/** Tells the TUN what it may give, as much of it as it knows. With a header and nothing else it gives plain packets, which is fine too. */
function setOffloads(libc: Libc, fd: number, wanted: TunOffloads): Pick<OpenedTun, 'offloads' | 'refusal'> {
  if (!wanted.hasHeader) return { offloads: NO_OFFLOADS, refusal: 0 };
  libc.scratch.view.setInt32(0, VIRTIO_HEADER_LENGTH, true);
  // Its length is this one unless somebody asked for another before, on an interface that outlives its programs.
  libc.ioctl(fd, LINUX.TUNSETVNETHDRSZ, libc.scratch.address(0));
  const tcp = LINUX.TUN_F_CSUM | LINUX.TUN_F_TSO4 | LINUX.TUN_F_TSO6 | LINUX.TUN_F_TSO_ECN;
  const udp = LINUX.TUN_F_USO4 | LINUX.TUN_F_USO6;
  if (wanted.hasUdp && libc.ioctl(fd, LINUX.TUNSETOFFLOAD, tcp | udp) >= 0) return { offloads: wanted, refusal: 0 };
  const refusal = wanted.hasUdp ? libc.errno() : 0;
  if (libc.ioctl(fd, LINUX.TUNSETOFFLOAD, tcp) >= 0) return { offloads: { hasHeader: true, hasUdp: false }, refusal };
  return { offloads: { hasHeader: true, hasUdp: false }, refusal: libc.errno() };
}

/** Takes back what {@link openTun} asked for: an interface that outlives this program may be another's next, who asks for nothing. */
export function clearOffloads(libc: Libc, fd: number): void {
  libc.ioctl(fd, LINUX.TUNSETOFFLOAD, 0);
}

/** The same where no program lives to do it. What is no TUN, or not ours to open, is left alone. */
export function resetTun(libc: Libc, name: string): void {
  if (!existsSync(`/sys/class/net/${name}/tun_flags`)) return; // opening it would make it
  try {
    libc.close(openTun(libc, name).fd);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error; // another program has it by now
  }
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
    case ERRNO.EINVAL: {
      // Without a mount of its own after `unshare --net`, /sys does not know what is in this namespace.
      const what = existsSync(`/sys/class/net/${name}`) ? 'exists and is not' : 'is in use by another program, or is not';
      return new SallyportError(code, `The interface ${name} ${what} a TUN interface of one queue (${code}). Choose another name.`);
    }
    default:
      return systemError(`making the TUN interface ${name}`, errno);
  }
}
