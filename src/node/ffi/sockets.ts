/**
 * Datagram sockets by system call: connected UDP flows as the engine wants them, and the socket pair of a script device.
 *
 * Read first: ip(7), ipv6(7), unix(7).
 */
import { type Endpoint, formatEndpoint, sameIp } from '../../core/wire/ip-address.ts';
import type { Arena } from './arena.ts';
import { ERRNO, networkError, systemError } from './errno.ts';
import { LINUX, type Libc } from './libc.ts';

export interface UdpOptions {
  readonly remote: Endpoint;
  /** The local port; 0 or absent: the kernel's choice. */
  readonly localPort?: number;
}

export interface UdpSocket {
  readonly fd: number;
  readonly local: Endpoint;
  /** The largest IP packet that the kernel would send to the peer now, in bytes. */
  readonly pathMtu: number | undefined;
}

/** struct sockaddr_in6, the longer of the two. */
const SOCKADDR_LENGTH = 28;
const SOCKADDR_IN_LENGTH = 16;

/**
 * Wanted in each direction, because the peer sends in bursts while this machine looks away; the kernel's usual 208 KiB holds 92 full datagrams.
 * Without root the kernel caps it at net.core.rmem_max, which is fine.
 */
const SOCKET_BUFFER = 2 * 1024 * 1024;

/**
 * A connected, non-blocking UDP socket with don't-fragment set.
 *
 * PMTUDISC_PROBE, not DO: both set DF and both report an ICMP "too big", but with DO the kernel then refuses larger datagrams by itself, on the word
 * of a packet that nobody authenticated. Here the tunnel measures its MTU with authenticated probes (RFC 8899 §3 asks for exactly this), so the
 * kernel shall send what it is given; only what exceeds the interface's own MTU is refused with EMSGSIZE.
 *
 * @throws NetworkError if there is no route, SallyportError if the port is taken or not allowed
 */
export function openUdpSocket(libc: Libc, options: UdpOptions): UdpSocket {
  const { remote } = options;
  const what = `UDP to ${formatEndpoint(remote)}`;
  const fd = newUdpSocket(libc, remote.address.family, what);
  try {
    const { scratch } = libc;
    if (options.localPort !== undefined && options.localPort !== 0) {
      const any: Endpoint = {
        address: { family: remote.address.family, bytes: new Uint8Array(remote.address.bytes.length) },
        port: options.localPort,
      };
      const length = writeSockaddr(scratch, 0, any);
      if (libc.bind(fd, scratch.address(0), length) < 0) throw systemError(`${what} from local port ${options.localPort}`, libc.errno());
    }
    const length = writeSockaddr(scratch, 0, remote);
    if (libc.connect(fd, scratch.address(0), length) < 0) throw networkError(what, libc.errno());
    return { fd, local: localEndpoint(libc, fd, what), pathMtu: kernelPathMtu(libc, fd, remote.address.family) };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/**
 * A UDP socket like {@link openUdpSocket}'s, but not connected yet: bound to an address and port that other sockets have too (SO_REUSEADDR). The kernel
 * gives a datagram to the one that is connected to its sender, else to the one that was bound most precisely.
 *
 * @throws SallyportError if the port is taken or not allowed
 */
export function openSharedUdpSocket(libc: Libc, local: Endpoint): number {
  const what = `UDP from ${formatEndpoint(local)}`;
  const fd = newUdpSocket(libc, local.address.family, what);
  const length = writeSockaddr(libc.scratch, 8, local);
  if (setIntOption(libc, fd, LINUX.SOL_SOCKET, LINUX.SO_REUSEADDR, 1) < 0 || libc.bind(fd, libc.scratch.address(8), length) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    throw systemError(what, errno);
  }
  return fd;
}

/**
 * Connects a bound socket of another thread's, or process's, to its peer. `fd` is a descriptor of our own for it.
 *
 * @throws NetworkError if there is no route
 */
export function connectUdpSocket(libc: Libc, theirs: number, remote: Endpoint): UdpSocket {
  const what = `UDP to ${formatEndpoint(remote)}`;
  const fd = libc.fcntl(theirs, LINUX.F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw systemError(what, libc.errno());
  try {
    const length = writeSockaddr(libc.scratch, 0, remote);
    if (libc.connect(fd, libc.scratch.address(0), length) < 0) throw networkError(what, libc.errno());
    return { fd, local: localEndpoint(libc, fd, what), pathMtu: kernelPathMtu(libc, fd, remote.address.family) };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** More than a socket's buffer holds of datagrams worth keeping; after it is connected only the peer can add to them. */
const MAX_EARLY = 256;

/** Where an address, its length and a datagram lie in the scratch arena. */
const FROM_AT = 0;
const FROM_LENGTH_AT = 32;
const DATAGRAM_AT = 64;
const MAX_DATAGRAM = 65_408;

/** What came to a socket before and while it was connected: the peer's datagrams, and those of others, which are not its. */
export function takeEarly(
  libc: Libc,
  fd: number,
  remote: Endpoint,
): { readonly early: Uint8Array[]; readonly strays: { readonly datagram: Uint8Array; readonly from: Endpoint }[] } {
  const { scratch } = libc;
  const early: Uint8Array[] = [];
  const strays: { readonly datagram: Uint8Array; readonly from: Endpoint }[] = [];
  for (let tries = 0; tries < MAX_EARLY; tries++) {
    scratch.view.setInt32(FROM_LENGTH_AT, SOCKADDR_LENGTH, true);
    const length = libc.recvfrom(
      fd,
      scratch.address(DATAGRAM_AT),
      MAX_DATAGRAM,
      LINUX.MSG_DONTWAIT,
      scratch.address(FROM_AT),
      scratch.address(FROM_LENGTH_AT),
    );
    if (length < 0) {
      if (libc.errno() === ERRNO.EAGAIN) break;
      continue; // a router's word about nothing that was sent here
    }
    const datagram = Uint8Array.from(scratch.bytes.subarray(DATAGRAM_AT, DATAGRAM_AT + length));
    const from = readSockaddr(scratch, FROM_AT);
    if (from.port === remote.port && sameIp(from.address, remote.address)) early.push(datagram);
    else strays.push({ datagram, from });
  }
  return { early, strays };
}

/**
 * A listening TCP socket, for node:net to take over by its descriptor. The address of all zeros of IPv6 is that of IPv4 as well.
 *
 * @throws SallyportError if the port is taken or not allowed
 */
export function openTcpListener(libc: Libc, local: Endpoint, backlog: number): number {
  const what = `listening on TCP ${formatEndpoint(local)}`;
  const family = local.address.family === 6 ? LINUX.AF_INET6 : LINUX.AF_INET;
  const fd = libc.socket(family, LINUX.SOCK_STREAM | LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError(what, libc.errno());
  const length = writeSockaddr(libc.scratch, 8, local);
  const isOpen =
    setIntOption(libc, fd, LINUX.SOL_SOCKET, LINUX.SO_REUSEADDR, 1) === 0 &&
    libc.bind(fd, libc.scratch.address(8), length) === 0 &&
    libc.listen(fd, backlog) === 0;
  if (isOpen) return fd;
  const errno = libc.errno();
  libc.close(fd);
  throw systemError(what, errno);
}

/** With don't-fragment and large buffers. */
function newUdpSocket(libc: Libc, family: 4 | 6, what: string): number {
  const isIpv6 = family === 6;
  const fd = libc.socket(isIpv6 ? LINUX.AF_INET6 : LINUX.AF_INET, LINUX.SOCK_DGRAM | LINUX.SOCK_NONBLOCK | LINUX.SOCK_CLOEXEC, 0);
  if (fd < 0) throw systemError(what, libc.errno());
  const level = isIpv6 ? LINUX.IPPROTO_IPV6 : LINUX.IPPROTO_IP;
  if (setIntOption(libc, fd, level, isIpv6 ? LINUX.IPV6_MTU_DISCOVER : LINUX.IP_MTU_DISCOVER, LINUX.PMTUDISC_PROBE) < 0) {
    const errno = libc.errno();
    libc.close(fd);
    throw systemError(`${what}, don't-fragment`, errno);
  }
  enlargeBuffers(libc, fd);
  return fd;
}

/** Sets the byte that outer packets carry from now on; -1 and errno if refused. Cheap enough to follow the inner packets with. */
export function setTypeOfService(libc: Libc, fd: number, family: 4 | 6, tos: number): number {
  return family === 6
    ? setIntOption(libc, fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_TCLASS, tos)
    : setIntOption(libc, fd, LINUX.IPPROTO_IP, LINUX.IP_TOS, tos);
}

/** Has the kernel hand runs of datagrams over as one (UDP_GRO). 0, or the error number. */
export function receiveRuns(libc: Libc, fd: number): number {
  return setIntOption(libc, fd, LINUX.SOL_UDP, LINUX.UDP_GRO, 1) < 0 ? libc.errno() : 0;
}

/** Whether the kernel cuts runs of datagrams (UDP_SEGMENT): 0, or the error number. Changes nothing: each call says how long its datagrams are. */
export function canSendRuns(libc: Libc, fd: number): number {
  return setIntOption(libc, fd, LINUX.SOL_UDP, LINUX.UDP_SEGMENT, 0) < 0 ? libc.errno() : 0;
}

/** What the kernel believes a connected socket's path carries, in bytes of IP packet; it learns from ICMP. */
export function kernelPathMtu(libc: Libc, fd: number, family: 4 | 6): number | undefined {
  const { scratch } = libc;
  scratch.view.setInt32(16, 4, true);
  const result =
    family === 6
      ? libc.getsockopt(fd, LINUX.IPPROTO_IPV6, LINUX.IPV6_MTU, scratch.address(0), scratch.address(16))
      : libc.getsockopt(fd, LINUX.IPPROTO_IP, LINUX.IP_MTU, scratch.address(0), scratch.address(16));
  return result < 0 ? undefined : scratch.view.getInt32(0, true);
}

export interface SocketPair {
  readonly ours: number;
  readonly theirs: number;
}

/** Two connected sockets of this machine, for datagrams unless a stream is wanted: `ours`, which never blocks, and `theirs` for a program to inherit. */
export function openSocketPair(libc: Libc, type: number = LINUX.SOCK_DGRAM): SocketPair {
  const { scratch } = libc;
  if (libc.socketpair(LINUX.AF_UNIX, type | LINUX.SOCK_CLOEXEC, 0, scratch.address(0)) < 0) {
    throw systemError('socket pair for the script', libc.errno());
  }
  const pair = { ours: scratch.view.getInt32(0, true), theirs: scratch.view.getInt32(4, true) };
  // Only our end: the program at the other expects a socket that blocks.
  if (libc.fcntl(pair.ours, LINUX.F_SETFL, LINUX.O_NONBLOCK) < 0) {
    const errno = libc.errno();
    libc.close(pair.ours);
    libc.close(pair.theirs);
    throw systemError('socket pair for the script', errno);
  }
  return pair;
}

function setIntOption(libc: Libc, fd: number, level: number, name: number, value: number): number {
  libc.scratch.view.setInt32(0, value, true);
  return libc.setsockopt(fd, level, name, libc.scratch.address(0), 4);
}

function enlargeBuffers(libc: Libc, fd: number): void {
  for (const [force, ask] of [
    [LINUX.SO_RCVBUFFORCE, LINUX.SO_RCVBUF],
    [LINUX.SO_SNDBUFFORCE, LINUX.SO_SNDBUF],
  ] as const) {
    // A wish: with neither the socket works with the kernel's default.
    if (setIntOption(libc, fd, LINUX.SOL_SOCKET, force, SOCKET_BUFFER) < 0) setIntOption(libc, fd, LINUX.SOL_SOCKET, ask, SOCKET_BUFFER);
  }
}

function localEndpoint(libc: Libc, fd: number, what: string): Endpoint {
  const { scratch } = libc;
  scratch.view.setInt32(64, SOCKADDR_LENGTH, true);
  if (libc.getsockname(fd, scratch.address(0), scratch.address(64)) < 0) throw systemError(what, libc.errno());
  return readSockaddr(scratch, 0);
}

/**
 * Writes a struct sockaddr_in or sockaddr_in6 and returns its length.
 *
 *   0        2      4                8            24       28
 *   +--------+------+----------------+------------+---------+
 *   | family | port | IPv4 address   | zeros (8)  |            AF_INET, 16 bytes
 *   | family | port | flow info      | IPv6 address | scope |  AF_INET6, 28 bytes
 *   +--------+------+----------------+------------+---------+
 *   family in the machine's byte order (little endian wherever koffi runs), port in the network's
 */
export function writeSockaddr(arena: Arena, offset: number, endpoint: Endpoint): number {
  const { family, bytes } = endpoint.address;
  arena.bytes.fill(0, offset, offset + SOCKADDR_LENGTH);
  arena.view.setUint16(offset, family === 6 ? LINUX.AF_INET6 : LINUX.AF_INET, true);
  arena.view.setUint16(offset + 2, endpoint.port);
  arena.bytes.set(bytes, offset + (family === 6 ? 8 : 4));
  return family === 6 ? SOCKADDR_LENGTH : SOCKADDR_IN_LENGTH;
}

/** Reads what {@link writeSockaddr} writes, into memory of its own. */
export function readSockaddr(arena: Arena, offset: number): Endpoint {
  const isIpv6 = arena.view.getUint16(offset, true) === LINUX.AF_INET6;
  const at = offset + (isIpv6 ? 8 : 4);
  return {
    address: { family: isIpv6 ? 6 : 4, bytes: Uint8Array.from(arena.bytes.subarray(at, at + (isIpv6 ? 16 : 4))) },
    port: arena.view.getUint16(offset + 2),
  };
}
