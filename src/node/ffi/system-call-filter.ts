/**
 * Takes system calls away from this process, from all its threads and for good: what code that an attacker has brought in would want next.
 *
 * Read first: seccomp(2), and linux/filter.h for the instructions.
 *
 *   another architecture's call ─► refused        one of {@link REFUSED} ─► refused
 *   socket(AF_INET …)           ─► refused, unless it dials out           anything else ─► allowed
 *
 * Refused is EPERM, not death: a library that merely tries something goes on without it. One way past it is known: libuv has an io_uring for each of its
 * loops from their start, and cannot do without; code that knows how can have it make a socket. New rings are refused.
 */
import { LINUX, type Libc } from './libc.ts';

interface Architecture {
  /** AUDIT_ARCH_…, of linux/audit.h. */
  readonly audit: number;
  readonly seccomp: number;
  readonly socket: number;
  readonly refused: readonly number[];
}

/** Calls by which a process starts programs, looks into others, loads code into the kernel, leaves its namespaces, or has the kernel do such things. */
const REFUSED = [
  ...['execve', 'execveat', 'ptrace', 'process_vm_readv', 'process_vm_writev', 'pidfd_getfd', 'open_by_handle_at'],
  ...['mount', 'umount2', 'pivot_root', 'chroot', 'unshare', 'setns', 'add_key', 'request_key', 'keyctl'],
  ...['bpf', 'perf_event_open', 'userfaultfd', 'init_module', 'finit_module', 'delete_module', 'kexec_load', 'kexec_file_load'],
  ...['io_uring_setup', 'io_uring_register'],
] as const;

type RefusedNumbers = Readonly<Record<(typeof REFUSED)[number], number>>;

/** The same everywhere: numbers of calls since 2019. */
const NEW_CALLS = { pidfd_getfd: 438, io_uring_setup: 425, io_uring_register: 427 } as const;

const X64: RefusedNumbers = {
  ...{ execve: 59, execveat: 322, ptrace: 101, process_vm_readv: 310, process_vm_writev: 311, open_by_handle_at: 304 },
  ...{ mount: 165, umount2: 166, pivot_root: 155, chroot: 161, unshare: 272, setns: 308, add_key: 248, request_key: 249, keyctl: 250 },
  ...{ bpf: 321, perf_event_open: 298, userfaultfd: 323, init_module: 175, finit_module: 313, delete_module: 176 },
  ...{ kexec_load: 246, kexec_file_load: 320, ...NEW_CALLS },
};

const ARM64: RefusedNumbers = {
  ...{ execve: 221, execveat: 281, ptrace: 117, process_vm_readv: 270, process_vm_writev: 271, open_by_handle_at: 265 },
  ...{ mount: 40, umount2: 39, pivot_root: 41, chroot: 51, unshare: 97, setns: 268, add_key: 217, request_key: 218, keyctl: 219 },
  ...{ bpf: 280, perf_event_open: 241, userfaultfd: 282, init_module: 105, finit_module: 273, delete_module: 106 },
  ...{ kexec_load: 104, kexec_file_load: 294, ...NEW_CALLS },
};

const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, Architecture>>> = {
  x64: { audit: 0xc000003e, seccomp: 317, socket: 41, refused: Object.values(X64) },
  arm64: { audit: 0xc00000b7, seccomp: 277, socket: 198, refused: Object.values(ARM64) },
};

/** Instructions: load a word of struct seccomp_data, jump if equal or if at least, return. */
const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const RETURN = 0x06;

/** Offsets in struct seccomp_data. */
const NUMBER = 0;
const ARCHITECTURE = 4;
const FIRST_ARGUMENT = 16;

const ALLOW = 0x7fff0000;
const REFUSE = 0x00050001; // SECCOMP_RET_ERRNO with EPERM

/** x86-64's second table of calls (x32) begins here: the same calls under other numbers. Elsewhere no number is so high. */
const OTHER_TABLE = 0x40000000;

/** Of sockets that any process may make. Netlink: that is how it learns of its interfaces. */
const LOCAL_FAMILIES: readonly number[] = [LINUX.AF_UNIX, LINUX.AF_NETLINK];

const SET_MODE_FILTER = 1;
/** For all threads; they lose the way to new privileges with it (kernel/seccomp.c takes the caller's no_new_privs over to them). */
const ALL_THREADS = 1;

/** PR_SET_NO_NEW_PRIVS comes first, else only root may do this. False: this kernel or architecture cannot. */
export function refuseSystemCalls(libc: Libc, { allowsInternet = false }: { readonly allowsInternet?: boolean } = {}): boolean {
  const architecture = ARCHITECTURES[process.arch];
  if (architecture === undefined) return false;
  const program = programOf(architecture, allowsInternet ? [...LOCAL_FAMILIES, LINUX.AF_INET, LINUX.AF_INET6] : LOCAL_FAMILIES);
  const { scratch } = libc;
  // struct sock_fprog { unsigned short count; struct sock_filter *program }, and the program behind it.
  scratch.view.setUint16(0, program.length, true);
  scratch.view.setBigUint64(8, BigInt(scratch.address(16)), true);
  for (const [i, { code, ifTrue = 0, ifFalse = 0, value }] of program.entries()) {
    const at = 16 + 8 * i;
    scratch.view.setUint16(at, code, true);
    scratch.view.setUint8(at + 2, ifTrue);
    scratch.view.setUint8(at + 3, ifFalse);
    scratch.view.setUint32(at + 4, value, true);
  }
  return libc.syscall(architecture.seccomp, SET_MODE_FILTER, ALL_THREADS, scratch.address(0)) === 0;
}

interface Instruction {
  readonly code: number;
  /** Instructions to skip. */
  readonly ifTrue?: number;
  readonly ifFalse?: number;
  readonly value: number;
}

/** @param families of sockets that may be made */
function programOf({ audit, socket, refused }: Architecture, families: readonly number[]): Instruction[] {
  const tail: Instruction[] = [
    { code: JUMP_EQUAL, value: socket, ifFalse: families.length + 1 },
    { code: LOAD, value: FIRST_ARGUMENT },
    // The last one goes to the refusal where it does not match.
    ...families.slice(0, -1).map((value, i) => ({ code: JUMP_EQUAL, value, ifTrue: families.length - 1 - i })),
    ...families.slice(-1).map((value) => ({ code: JUMP_EQUAL, value, ifFalse: 1 })),
    { code: RETURN, value: ALLOW },
    { code: RETURN, value: REFUSE },
  ];
  const toRefusal = (left: number) => left + tail.length - 1;
  return [
    { code: LOAD, value: ARCHITECTURE },
    { code: JUMP_EQUAL, value: audit, ifFalse: toRefusal(refused.length + 2) },
    { code: LOAD, value: NUMBER },
    { code: JUMP_AT_LEAST, value: OTHER_TABLE, ifTrue: toRefusal(refused.length) },
    ...refused.map((value, i) => ({ code: JUMP_EQUAL, value, ifTrue: toRefusal(refused.length - 1 - i) })),
    ...tail,
  ];
}
