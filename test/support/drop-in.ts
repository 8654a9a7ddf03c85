/** Our drop-in for openconnect, as tests and benches start it: the built command, and whether it was built from these sources. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SCRIPT = path.join(ROOT, 'bin', 'sallyport-openconnect.js');

/** The program that replaces openconnect, run by the Node that runs the test. */
export const DROP_IN: readonly [string, ...string[]] = [process.execPath, SCRIPT];

/** The drop-in runs what was built. Throws if that is older than the sources. */
export function assertBuilt(): void {
  const [, entry = ''] = /require\('\.\.\/(dist\/[^']+)'\)/.exec(readFileSync(SCRIPT, 'utf8')) ?? [];
  const built = statSync(path.join(ROOT, entry), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const newest = Math.max(...sources.map((name) => statSync(path.join(ROOT, 'src', name)).mtimeMs));
  assert.ok(built >= newest, `${entry} is older than the sources: run "npm run build"`);
}
