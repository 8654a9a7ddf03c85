/** Starts programs that the user has named for us to run about a log-in, as the user that they are to be. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { systemErrorText } from './system-error.ts';

/** Who runs a program. */
export interface ProgramUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
  readonly home: string;
}

export interface UserProgram {
  readonly program: string;
  readonly parameters: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Ourselves by default. */
  readonly user: ProgramUser | undefined;
}

/** A text: why it could not be started, where Node says so at once, as of a user whom we may not become. Other reasons the child tells (`error`). */
export function startUserProgram(
  { program, parameters, environment, user }: UserProgram,
  options: Pick<SpawnOptions, 'stdio' | 'detached' | 'signal'>,
): ChildProcess | string {
  try {
    return spawn(program, parameters, {
      ...options,
      env: { ...process.env, ...environment, ...(user !== undefined && { HOME: user.home, USER: user.name }) },
      // Not every user has a home, and there is no program without a place to run in.
      ...(user !== undefined && { uid: user.uid, gid: user.gid, cwd: existsSync(user.home) ? user.home : '/' }),
    });
  } catch (error) {
    return systemErrorText(error);
  }
}
