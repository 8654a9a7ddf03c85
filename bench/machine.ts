/** What the figures were measured on: the machine and the programs, without a name that only its owner knows. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpus, loadavg, release } from 'node:os';
import path from 'node:path';

export interface Circumstances {
  /** YYYY-MM-DD */
  readonly date: string;
  /** Short hash; says so where files differ from it. */
  readonly commit: string;
  readonly kernel: string;
  readonly processor: string;
  readonly cores: number;
  /** Names with versions. */
  readonly programs: readonly string[];
  /** How many processes wanted a core on average, in the minute before. */
  readonly load: number;
}

const ROOT = path.resolve(import.meta.dirname, '..');

/** Each peer with how it says its version; the first line that has one counts. */
const PEERS: readonly (readonly [name: string, command: string])[] = [
  ['openconnect', '/usr/sbin/openconnect'],
  ['ocserv', '/usr/sbin/ocserv'],
  ['iperf3', 'iperf3'],
];

/** @param reports The files that figures go to: that they change is no difference from the commit. */
export function circumstances(...reports: readonly string[]): Circumstances {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--', '.', ...reports.map((report) => `:!${report}`)) !== '';
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`,
    kernel: `Linux ${release()}`,
    processor: cpus()[0]?.model ?? 'unknown processor',
    cores: cpus().length,
    programs: [`Node ${process.versions.node}`, ...PEERS.map(([name, command]) => `${name} ${versionOf(command)}`)],
    load: loadavg()[0] ?? Number.NaN,
  };
}

function versionOf(command: string): string {
  const { stdout, stderr } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  return /\bv?(\d+\.\d+[\w.-]*)/.exec(stdout + stderr)?.[1] ?? 'of an unknown version';
}
