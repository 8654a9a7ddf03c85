/** The configuration that a start uses, and the test of it: `-t`. */
import { accessSync, constants } from 'node:fs';
import { ConfigError, formatNotice } from '../../gateway/config/config-report.ts';
import type { ConfigNotice } from '../../gateway/config/gateway-config.ts';
import { type LoadedConfig, loadOcservConfig } from '../../gateway/config/ocserv-conf.ts';

/** In the order in which they are tried. */
export const USUAL_FILES: readonly string[] = ['/etc/ocserv/ocserv.conf', '/etc/ocserv.conf'];

/** The file to read: the one that was named, or the first that is there; undefined if it cannot be read. */
export function configFileOf(named: string | undefined): string | undefined {
  return (named === undefined ? USUAL_FILES : [named]).find(isReadable);
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false; // whatever the reason: it is said that it cannot be accessed
  }
}

/** What ocserv says then, and ends with status 1. */
export function noConfigText(named: string | undefined, programName: string): string {
  return [
    `error: cannot access config file: ${named ?? USUAL_FILES[0]}`,
    `Usage: ${programName} -c [config]`,
    `Use ${programName} --help for more information.`,
    '',
  ].join('\n');
}

/** Everything that there is to say about a configuration, for standard error. */
export function noticesText(notices: readonly ConfigNotice[]): string {
  return notices.map((notice) => `${formatNotice(notice)}\n`).join('');
}

export interface ConfigTest {
  /** The exit status of `-t`. */
  readonly status: 0 | 1;
  /** For standard error. */
  readonly text: string;
}

/** Reads a configuration as a start would, and says what it would. `load`: how the file is read; default: as ocserv.conf. */
export async function testConfig(file: string, load: (file: string) => Promise<LoadedConfig> = loadOcservConfig): Promise<ConfigTest> {
  try {
    const { notices } = await load(file);
    return { status: 0, text: noticesText(notices) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { status: 1, text: noticesText(error.notices) };
  }
}
