/** What the system says of a connection outside, in the NAT's words. */
import type { OuterFailure } from '../../core/nat/nat.ts';
import { systemErrorCode } from '../../node/system-error.ts';

const BY_CODE: Readonly<Record<string, OuterFailure>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'refused',
  EHOSTUNREACH: 'host-unreachable',
  EHOSTDOWN: 'host-unreachable',
  ENETUNREACH: 'network-unreachable',
  ENETDOWN: 'network-unreachable',
  EADDRNOTAVAIL: 'network-unreachable', // no address of that family to come from
  EAFNOSUPPORT: 'network-unreachable',
  EACCES: 'prohibited',
  EPERM: 'prohibited',
  ETIMEDOUT: 'timed-out',
};

/** Descriptors, memory: what this process lacks, and not the host outside. */
const OWN_LIMITS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

export function outerFailureOf(error: unknown): OuterFailure {
  return BY_CODE[systemErrorCode(error) ?? ''] ?? 'host-unreachable';
}

/** Whether this process has no more of what a socket needs. */
export function isOwnLimit(error: unknown): boolean {
  return OWN_LIMITS.has(systemErrorCode(error) ?? '');
}
