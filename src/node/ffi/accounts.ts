/** Whether the system knows a user or a group by name, wherever it looks them up: files, LDAP. */
import { UnsupportedError } from '../../core/errors.ts';
import { nativeLibrary } from './koffi.ts';

const LOOK_UPS = { user: 'uintptr_t getpwnam(str)', group: 'uintptr_t getgrnam(str)' } as const;

/** Numbers need no name: any will do. Without koffi nobody can be asked, and whoever takes the name finds out. */
export function isKnownAccount(kind: 'user' | 'group', name: string): boolean {
  if (/^\d+$/.test(name)) return true;
  try {
    return Number(nativeLibrary('Looking up an account').func(LOOK_UPS[kind])(name)) !== 0;
  } catch (error) {
    if (error instanceof UnsupportedError) return true;
    throw error;
  }
}
