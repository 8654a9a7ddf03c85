/** Other versions of Node than the one that runs the tests, by npm and whatever registry it is told to use. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Millis } from '../../src/core/tunnel/packet.ts';

/** The program alone, without the scripts by which the package `node` chooses it. */
const PACKAGE = `node-${process.platform}-${process.arch}`;

export const FETCH_LIMIT: Millis = 5 * 60_000;

/** Installs one in the folder. Its program; throws with npm's reason where it cannot be had. */
export function fetchNode(folder: string, version: string): string {
  npm(folder, ['install', '--ignore-scripts', '--prefix', folder, `${PACKAGE}@${version}`]);
  return path.join(folder, 'node_modules', PACKAGE, 'bin/node');
}

/** Runs npm in the folder; its standard output. */
export function npm(folder: string, [command = '', ...args]: readonly string[]): string {
  const words = [command, '--no-audit', '--no-fund', '--loglevel=error', ...args];
  return execFileSync('npm', words, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: FETCH_LIMIT });
}
