/**
 * The C library's calls that Sallyport uses, bound once a thread: raw, cheap, without an opinion. They answer -1 and set `errno`.
 *
 * Rules of this file: integers and addresses only on the packet path (a call costs about 40 ns that way), and results as C's `int`. Lengths here
 * stay far below 2 GiB, a small integer allocates nothing in JavaScript, and so nothing runs between the call and the look at `errno`.
 */
import { UnsupportedError } from '../../core/errors.ts';
import { Arena } from './arena.ts';
import { koffi, nativeLibrary } from './koffi.ts';

/** `address` is always of an {@link Arena} that the caller holds. */
export interface Libc {
  /** errno of the last call in this thread. Look before any other call. */
  readonly errno: () => number;
  readonly open: (path: string, flags: number) => number;
  readonly close: (fd: number) => number;
  readonly read: (fd: number, address: number, length: number) => number;
  readonly write: (fd: number, address: number, length: number) => number;
  /** An ioctl whose argument is a structure. */
  readonly ioctl: (fd: number, request: number, address: number) => number;
  /** fcntl with an integer argument. */
  readonly fcntl: (fd: number, command: number, value: number) => number;
  readonly poll: (address: number, count: number, timeoutMillis: number) => number;
  readonly eventfd: (initial: number, flags: number) => number;
  /** See {@link EventPoll}. */
  readonly epollCreate: (flags: number) => number;
  readonly epollControl: (epoll: number, operation: number, fd: number, address: number) => number;
  readonly epollWait: (epoll: number, address: number, count: number, timeoutMillis: number) => number;
  readonly socket: (family: number, type: number, protocol: number) => number;
  /** Writes the two descriptors, 4 bytes each, to the address. */
  readonly socketpair: (family: number, type: number, protocol: number, address: number) => number;
  readonly bind: (fd: number, address: number, length: number) => number;
  readonly connect: (fd: number, address: number, length: number) => number;
  /** The length at `lengthAddress` is room before the call and use after it. */
  readonly getsockname: (fd: number, address: number, lengthAddress: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, address: number, length: number) => number;
  readonly getsockopt: (fd: number, level: number, name: number, address: number, lengthAddress: number) => number;
  readonly send: (fd: number, address: number, length: number, flags: number) => number;
  readonly recv: (fd: number, address: number, length: number, flags: number) => number;
  /** The length at `lengthAddress` is room before the call and use after it. */
  readonly recvfrom: (fd: number, address: number, length: number, flags: number, fromAddress: number, lengthAddress: number) => number;
  /** A table of messages in one call: see {@link MessageTable}. */
  readonly sendmmsg: (fd: number, address: number, count: number, flags: number) => number;
  readonly recvmmsg: (fd: number, address: number, count: number, flags: number, timeoutAddress: number) => number;
  /** Pieces of memory as one packet: `count` times struct iovec. */
  readonly writev: (fd: number, address: number, count: number) => number;
  /** Lets others who wait for this processor have it first. */
  readonly schedYield: () => number;
  readonly nanosleep: (address: number, remainderAddress: number) => number;
  /** 0: there is no interface of that name. */
  readonly ifNameToIndex: (name: string) => number;
  readonly prctl: (option: number, a: number, b: number, c: number, d: number) => number;
  readonly chroot: (folder: string) => number;
  readonly chdir: (folder: string) => number;
  /** A call that the library has no function for, by its number, with two numbers and an address. */
  readonly syscall: (number: number, a: number, b: number, address: number) => number;
  readonly setns: (fd: number, kind: number) => number;
  readonly listen: (fd: number, backlog: number) => number;
  readonly shutdown: (fd: number, how: number) => number;
  /** Room for the arguments of set-up calls: written and read by one call at a time, never kept. */
  readonly scratch: Arena;
}

/**
 * Values of Linux's interface (uapi headers). The same on every architecture that koffi has a build for: all of them use the kernel's generic
 * numbers.
 */
export const LINUX = {
  O_RDWR: 0x2,
  O_NONBLOCK: 0x800,
  O_CLOEXEC: 0x80000,
  F_SETFD: 2,
  F_SETFL: 4,
  F_DUPFD_CLOEXEC: 1030,
  FD_CLOEXEC: 1,
  AF_UNIX: 1,
  AF_INET: 2,
  AF_INET6: 10,
  AF_NETLINK: 16,
  SOCK_STREAM: 1,
  SOCK_DGRAM: 2,
  SOCK_NONBLOCK: 0x800,
  SOCK_CLOEXEC: 0x80000,
  EFD_NONBLOCK: 0x800,
  EFD_CLOEXEC: 0x80000,
  EPOLL_CLOEXEC: 0x80000,
  EPOLL_CTL_ADD: 1,
  EPOLL_CTL_DEL: 2,
  EPOLL_CTL_MOD: 3,
  MSG_NOSIGNAL: 0x4000,
  /** Of poll and epoll alike. */
  POLLIN: 0x1,
  POLLOUT: 0x4,
  POLLERR: 0x8,
  POLLHUP: 0x10,
  MSG_DONTWAIT: 0x40,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  PR_SET_NO_NEW_PRIVS: 38,
  CLONE_NEWNET: 0x40000000,
  O_RDONLY: 0,
  SO_TYPE: 3,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_SNDBUFFORCE: 32,
  SO_RCVBUFFORCE: 33,
  IPPROTO_IP: 0,
  IP_TOS: 1,
  IP_MTU_DISCOVER: 10,
  IP_MTU: 14,
  IPPROTO_IPV6: 41,
  IPV6_MTU_DISCOVER: 23,
  IPV6_MTU: 24,
  IPV6_TCLASS: 67,
  SOL_UDP: 17,
  UDP_SEGMENT: 103,
  UDP_GRO: 104,
  /** The same value for both families. */
  PMTUDISC_PROBE: 3,
  TUNSETIFF: 0x400454ca,
  TUNSETQUEUE: 0x400454d9,
  TUNGETIFF: 0x800454d2,
  IFF_TUN: 0x1,
  IFF_MULTI_QUEUE: 0x100,
  IFF_DETACH_QUEUE: 0x400,
  IFF_PERSIST: 0x800,
  IFF_TUN_EXCL: 0x8000,
  IFF_NO_PI: 0x1000,
  IFF_VNET_HDR: 0x4000,
  TUNSETOFFLOAD: 0x400454d0,
  TUNSETVNETHDRSZ: 0x400454d8,
  TUN_F_CSUM: 0x1,
  TUN_F_TSO4: 0x2,
  TUN_F_TSO6: 0x4,
  TUN_F_TSO_ECN: 0x8,
  TUN_F_USO4: 0x20,
  TUN_F_USO6: 0x40,
  PR_SET_TIMERSLACK: 29,
  SHUT_WR: 1,
  SIOCSIFMTU: 0x8922,
  /** Bytes of a TCP connection that are sent and not acknowledged, or wait to be sent. */
  SIOCOUTQ: 0x5411,
} as const;

const SCRATCH_SIZE = 65_536;

let bound: Libc | undefined;

/**
 * The C library.
 *
 * @param purpose what could not be done without it, as the subject of a sentence: `A TUN device`
 * @throws UnsupportedError without koffi, and on systems other than Linux, whose numbers and structures differ
 */
export function libc(purpose: string): Libc {
  if (bound !== undefined) return bound;
  if (process.platform !== 'linux') throw new UnsupportedError(`${purpose}: not yet on ${process.platform}, only on Linux`);
  const library = nativeLibrary(purpose);
  const { errno } = koffi(purpose);
  // Variadic in C, so the calling convention wants to hear the type of what follows.
  const ioctl = library.func('int ioctl(int, unsigned long, ...)');
  const open = library.func('int open(str, int, ...)');
  const fcntl = library.func('int fcntl(int, int, ...)');
  const syscall = library.func('int syscall(long, ...)');
  bound = {
    errno: () => errno(),
    open: (path, flags) => open(path, flags, 'int', 0),
    close: library.func('int close(int)'),
    read: library.func('int read(int, uintptr_t, size_t)'),
    write: library.func('int write(int, uintptr_t, size_t)'),
    ioctl: (fd, request, address) => ioctl(fd, request, 'uintptr_t', address),
    fcntl: (fd, command, value) => fcntl(fd, command, 'int', value),
    poll: library.func('int poll(uintptr_t, unsigned long, int)'),
    eventfd: library.func('int eventfd(uint32_t, int)'),
    epollCreate: library.func('int epoll_create1(int)'),
    epollControl: library.func('int epoll_ctl(int, int, int, uintptr_t)'),
    epollWait: library.func('int epoll_wait(int, uintptr_t, int, int)'),
    socket: library.func('int socket(int, int, int)'),
    socketpair: library.func('int socketpair(int, int, int, uintptr_t)'),
    bind: library.func('int bind(int, uintptr_t, uint32_t)'),
    connect: library.func('int connect(int, uintptr_t, uint32_t)'),
    getsockname: library.func('int getsockname(int, uintptr_t, uintptr_t)'),
    setsockopt: library.func('int setsockopt(int, int, int, uintptr_t, uint32_t)'),
    getsockopt: library.func('int getsockopt(int, int, int, uintptr_t, uintptr_t)'),
    send: library.func('int send(int, uintptr_t, size_t, int)'),
    recv: library.func('int recv(int, uintptr_t, size_t, int)'),
    recvfrom: library.func('int recvfrom(int, uintptr_t, size_t, int, uintptr_t, uintptr_t)'),
    sendmmsg: library.func('int sendmmsg(int, uintptr_t, uint32_t, int)'),
    recvmmsg: library.func('int recvmmsg(int, uintptr_t, uint32_t, int, uintptr_t)'),
    writev: library.func('int writev(int, uintptr_t, int)'),
    schedYield: library.func('int sched_yield()'),
    nanosleep: library.func('int nanosleep(uintptr_t, uintptr_t)'),
    ifNameToIndex: library.func('int if_nametoindex(str)'),
    prctl: library.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)'),
    chroot: library.func('int chroot(str)'),
    chdir: library.func('int chdir(str)'),
    syscall: (number, a, b, address) => syscall(number, 'ulong', a, 'ulong', b, 'uintptr_t', address),
    setns: library.func('int setns(int, int)'),
    listen: library.func('int listen(int, int)'),
    shutdown: library.func('int shutdown(int, int)'),
    scratch: new Arena(SCRATCH_SIZE),
  };
  return bound;
}
