/** What the system's error numbers mean, as errors with the number's name and a sentence that a person can act on. */
import { constants } from 'node:os';
import { getSystemErrorMessage, getSystemErrorName } from 'node:util';
import { NetworkError, SallyportError } from '../../core/errors.ts';

/** The error numbers of this platform by name. */
export const ERRNO: Readonly<typeof constants.errno> = constants.errno;

/** Linux: the descriptor's device is gone. Not in Node's table. */
export const EBADFD = 77;

/** `ECONNREFUSED`; `errno 77` for a number that has no name here. */
export function errnoName(errno: number): string {
  if (errno === EBADFD) return 'EBADFD';
  const name = getSystemErrorName(-errno);
  return name.startsWith('Unknown') ? `errno ${errno}` : name;
}

/** Names that blame the path to the peer rather than this machine or the caller. */
const NETWORK: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ETIMEDOUT',
  'EMSGSIZE',
  'EADDRNOTAVAIL',
  'EPERM',
]);

/**
 * The error of a system call on a socket or a device. Its `code` is the number's name (`ECONNREFUSED`).
 *
 * @param what what was being done, as the start of a sentence: `sending to 192.0.2.1:443`
 */
export function systemError(what: string, errno: number): SallyportError {
  return new SallyportError(errnoName(errno), sentence(what, errno));
}

/** The same on a network path: {@link NetworkError} where the number blames the network. */
export function networkError(what: string, errno: number): SallyportError {
  const name = errnoName(errno);
  return NETWORK.has(name) ? new NetworkError(sentence(what, errno), { code: name }) : systemError(what, errno);
}

function sentence(what: string, errno: number): string {
  const name = errnoName(errno);
  const words = errno === EBADFD ? 'the device is gone' : getSystemErrorMessage(-errno);
  return `${what}: ${words} (${name})`;
}
