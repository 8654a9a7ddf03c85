/** Our drop-in for openconnect, as tests and benches start it: the built command, and whether commands were built from these sources. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import type { Command } from './openconnect.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** Its file: a program by itself where Node is in the PATH. */
export const DROP_IN_FILE: string = path.join(ROOT, 'bin', 'sallyport-openconnect.js');

/** The program that replaces openconnect, run by the Node that runs the test. */
export const DROP_IN: Command = [process.execPath, DROP_IN_FILE];

/** Our commands run what was built. Throws if that is older than the sources. Other people's programs are as they are. */
export function assertBuilt([, script = '']: Command = DROP_IN): void {
  if (!script.startsWith(ROOT)) return;
  const [, name = ''] = /\.load\('([^']+)'\)/.exec(readFileSync(script, 'utf8')) ?? [];
  const entry = `dist/bundle/${name}.cjs`;
  const built = statSync(path.join(ROOT, entry), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const newest = Math.max(...sources.map((name) => statSync(path.join(ROOT, 'src', name)).mtimeMs));
  assert.ok(built >= newest, `${entry} is older than the sources: run "npm run build"`);
}
