/**
 * The lock file names every package that another one in it wants, the builds for other platforms included.
 *
 * `npm ci` refuses a lock file that leaves one out, and `npm install` leaves out what it has not fetched: after an `npm install`, this test says
 * which entries went missing.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

interface Locked {
  readonly version?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

const text = readFileSync(path.join(import.meta.dirname, '..', 'package-lock.json'), 'utf8');
const { packages } = JSON.parse(text) as { readonly packages: Readonly<Record<string, Locked>> };

/** Where Node looks for `name` from the package at `from`: its own folder first, then those above it. */
function isLocked(from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
    const place = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[place]?.version !== undefined) return true;
    if (folder === '') return false;
  }
}

describe('the lock file', () => {
  it('names every package that another one wants', () => {
    const wanted = Object.entries(packages).flatMap(([from, entry]) =>
      Object.keys({ ...entry.dependencies, ...entry.optionalDependencies }).map((name) => ({ from, name })),
    );
    assert.ok(wanted.length > 20);
    assert.deepEqual(
      wanted.filter(({ from, name }) => !isLocked(from, name)),
      [],
    );
  });

  it('names no registry', () => {
    assert.equal(text.includes('"resolved"'), false);
  });
});
