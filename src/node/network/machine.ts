/**
 * What the configurator needs of the machine it changes: programs and a few files. Tests hand in one that lives in memory and fails on demand.
 */
import { accessSync, constants, readlinkSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { UnsupportedError } from '../../core/errors.ts';
import { type CommandRunner, programFolders, runProgram } from '../processes/run-program.ts';
import { discardTemporary, readTextFile, replaceTextFile, resolveLinks } from './text-file.ts';

export interface Machine {
  readonly run: CommandRunner;
  /** Where the program is, symbolic links followed; undefined if it is nowhere on the PATH. */
  findProgram(name: string): Promise<string | undefined>;
  /** The file that a path means once all symbolic links are followed, whether or not it exists. */
  resolveLinks(file: string): Promise<string>;
  /** A file's bytes as Latin-1, so that whatever they are they can be written back; null if there is no such file. */
  readFile(file: string): Promise<string | null>;
  /** Puts other content in a file's place; null removes the file. `tag` names the temporary file, so that it can be found after a crash. */
  replaceFile(file: string, content: string | null, tag: string): Promise<void>;
  /** Removes what a {@link replaceFile} with this tag left behind when it was cut short. */
  discardTemporary(file: string, tag: string): Promise<void>;
  /**
   * Whether system services (systemd-resolved, NetworkManager) see the same network as we do. In another network namespace they do not: told
   * about our `tun0` they would change theirs, or whichever device has its number.
   */
  sharesNetworkWithServices(): Promise<boolean>;
  /** Takes back what a program has asked of a TUN that outlives it: the next one gets packets as they are on a wire. */
  resetDevice(name: string): Promise<void>;
}

/** This machine. */
export const thisMachine: Machine = {
  run: runProgram,
  findProgram: async (name) => {
    const found = programFolders()
      .map((folder) => path.join(folder, name))
      .find(isExecutable);
    return found === undefined ? undefined : await realpath(found);
  },
  resolveLinks,
  readFile: readTextFile,
  replaceFile: replaceTextFile,
  discardTemporary,
  sharesNetworkWithServices: async () => {
    try {
      return readlinkSync('/proc/1/ns/net') === readlinkSync('/proc/self/ns/net');
    } catch {
      return true; // not allowed to know: we are not root, or in a container whose services are its own
    }
  },
  resetDevice: async (name) => {
    try {
      // Rarely needed, and it takes a while to load.
      const [{ libc }, { resetTun }] = await Promise.all([import('../ffi/libc.ts'), import('../ffi/tun.ts')]);
      resetTun(libc('Opening a TUN'), name);
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error; // without koffi nothing was asked of it
    }
  },
};

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // not in this folder
  }
}
