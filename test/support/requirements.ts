/**
 * What a test needs of the machine. Where it is missing the test is skipped with the reason; with CI=true a skip is a failure.
 *
 * @example describe('tunnel to ocserv', { skip: missing('root', 'netns', 'ocserv') }, () => { … });
 */
import { accessSync, constants, existsSync } from 'node:fs';
import path from 'node:path';

/** `root`, `netns` and `tun` are capabilities; everything else is the name of a program. */
export type Requirement = 'root' | 'netns' | 'tun' | (string & {});

/** The reason to skip, or false if everything is there. Throws instead of giving a reason when CI=true. */
export function missing(...requirements: readonly Requirement[]): string | false {
  const lacking = requirements.filter((requirement) => !isThere(requirement));
  if (lacking.length === 0) return false;
  const reason = `needs ${lacking.join(', ')}: run "npm run test:setup" as root on Debian`;
  if (process.env.CI === 'true') throw new Error(`with CI=true nothing may be skipped, but this ${reason}`);
  return reason;
}

function isThere(requirement: Requirement): boolean {
  switch (requirement) {
    case 'root':
      return process.getuid?.() === 0;
    case 'netns':
      return process.platform === 'linux' && isProgram('ip');
    case 'tun':
      return existsSync('/dev/net/tun');
    default:
      return isProgram(requirement);
  }
}

function isProgram(name: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(path.join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false; // not in this folder
    }
  });
}
