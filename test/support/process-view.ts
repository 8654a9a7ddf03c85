/**
 * What the kernel shows of a process: rights, descriptors, memory. And of a gateway: which of its processes is which.
 *
 * Read first: proc(5).
 */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import type { Namespace } from './namespaces.ts';

/** The processes of our gateway, by what they do. */
export interface GatewayPids {
  readonly main: number;
  readonly auth: number;
  readonly workers: readonly number[];
}

/** Throws unless exactly one gateway of ours runs in the namespace. */
export function gatewayPids(namespace: Namespace): GatewayPids {
  const processes = namespace.processes();
  const named = (name: string) => processes.filter(({ command }) => command.includes(name)).map(({ pid }) => pid);
  const [main, ...others] = named('sallyport-ocserv');
  const [auth] = named('gateway-auth');
  if (main === undefined || auth === undefined || others.length > 0) {
    throw new Error(`not one gateway runs in ${namespace.name}: ${processes.map(({ command }) => command).join('; ')}`);
  }
  return { main, auth, workers: named('gateway-worker') };
}

/** The lines of /proc/PID/status by their names; of one thread, if `thread` says which. */
export function statusOf(pid: number, thread: number = pid): ReadonlyMap<string, string> {
  const lines = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8').trim().split('\n');
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]));
}

export function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}

/** What each descriptor is: a path, `socket:[123]`, `pipe:[124]`, `anon_inode:[eventfd]`. */
export function descriptorsOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      return []; // closed meanwhile
    }
  });
}

/** A socket of the internet families, as the kernel lists it. */
export interface InternetSocket {
  readonly protocol: string;
  readonly isListening: boolean;
}

const TABLES = ['tcp', 'tcp6', 'udp', 'udp6', 'udplite', 'raw', 'raw6', 'icmp', 'icmp6'];
const TCP_LISTEN = '0A';

/** The process's sockets that a network can reach. */
export function internetSocketsOf(pid: number): InternetSocket[] {
  const own = new Set(descriptorsOf(pid).flatMap((what) => /^socket:\[(\d+)\]$/.exec(what)?.[1] ?? []));
  return TABLES.flatMap((protocol) => {
    const rows = linesOf(`/proc/${pid}/net/${protocol}`).slice(1);
    return rows.flatMap((row) => {
      const [, , , state, , , , , , inode = ''] = row.trim().split(/\s+/);
      return own.has(inode) ? [{ protocol, isListening: protocol.startsWith('tcp') && state === TCP_LISTEN }] : [];
    });
  });
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').trim().split('\n');
  } catch {
    return []; // a kernel without that protocol
  }
}

/** Resident memory at its highest, in KiB. */
export function peakMemoryOf(pid: number): number {
  return kibibytes(statusOf(pid).get('VmHWM'));
}

/** Resident memory in KiB; undefined: there is no such process any more. */
export function residentMemoryOf(pid: number): number | undefined {
  const [, resident] = /^VmRSS:\s+(\d+ kB)$/m.exec(linesOf(`/proc/${pid}/status`).join('\n')) ?? [];
  return resident === undefined ? undefined : kibibytes(resident);
}

/** Resident memory in KiB, pages that processes share divided among them. */
export function proportionalMemoryOf(pid: number): number {
  const [, pss] = /^Pss: +(\d+ kB)$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
  return kibibytes(pss);
}

function kibibytes(text: string | undefined): number {
  const [, number] = /^(\d+) kB$/.exec(text ?? '') ?? [];
  if (number === undefined) throw new Error(`the kernel does not say how much memory: ${text}`);
  return Number(number);
}

const READ_SIZE = 4 * 1024 * 1024;

/** Whether these bytes are somewhere in the process's own memory. Needs root. */
export function hasInMemory(pid: number, bytes: Buffer): boolean {
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  try {
    const piece = Buffer.alloc(READ_SIZE);
    for (const { from, to } of writableRegions(pid)) {
      // Pieces overlap, so that what lies across an end is found.
      for (let at = from; at < to; at += READ_SIZE - bytes.length) {
        const length = readOrNothing(memory, piece, Math.min(READ_SIZE, to - at), at);
        if (piece.subarray(0, length).includes(bytes)) return true;
      }
    }
    return false;
  } finally {
    closeSync(memory);
  }
}

function writableRegions(pid: number): { readonly from: number; readonly to: number }[] {
  return linesOf(`/proc/${pid}/maps`).flatMap((line) => {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    return from === undefined || to === undefined ? [] : [{ from: Number.parseInt(from, 16), to: Number.parseInt(to, 16) }];
  });
}

function readOrNothing(fd: number, into: Buffer, length: number, position: number): number {
  try {
    return readSync(fd, into, 0, length, position);
  } catch {
    return 0; // mapped, but not there: a device's memory, or unmapped meanwhile
  }
}
