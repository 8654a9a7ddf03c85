/** The words of the C library for errors of the system, as other programs print them: `No such file or directory`. */
import { getSystemErrorMap } from 'node:util';

/** Where libuv, whose words Node has, says it differently from the C library in more than the first letter. */
const C_WORDS: Readonly<Record<string, string>> = {
  EISDIR: 'Is a directory',
  ENOTDIR: 'Not a directory',
  ELOOP: 'Too many levels of symbolic links',
  EMFILE: 'Too many open files',
  EIO: 'Input/output error',
  ENAMETOOLONG: 'File name too long',
  EROFS: 'Read-only file system',
  ECONNREFUSED: 'Connection refused',
  ECONNRESET: 'Connection reset by peer',
  ETIMEDOUT: 'Connection timed out',
  ENETUNREACH: 'Network is unreachable',
  EHOSTUNREACH: 'No route to host',
  EADDRINUSE: 'Address already in use',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EPIPE: 'Broken pipe',
  EPERM: 'Operation not permitted',
};

/** `error` is what a call of Node's threw; of anything else this is its message. */
export function systemErrorText(error: unknown): string {
  const code = systemErrorCode(error);
  const known = code === undefined ? undefined : C_WORDS[code];
  const words = known ?? [...getSystemErrorMap().values()].find(([name]) => name === code)?.[1];
  if (words !== undefined) return words.charAt(0).toUpperCase() + words.slice(1);
  return error instanceof Error ? error.message : String(error);
}

/** `ENOENT` and its like. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
