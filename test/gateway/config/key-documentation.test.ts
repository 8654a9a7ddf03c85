import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { keyTables } from '../../../src/gateway/config/key-documentation.ts';

const FILE = path.resolve(import.meta.dirname, '../../../docs/ocserv-conf.md');

/** UPDATE_DOCS=1 writes the tables into the file. */
it('documents every key as the parser has it', () => {
  const text = readFileSync(FILE, 'utf8');
  const current = text.replace(
    /(<!-- keys -->\n).*(<!-- \/keys -->)/s,
    (_, start: string, end: string) => `${start}\n${keyTables()}\n${end}`,
  );
  if (process.env.UPDATE_DOCS === '1') writeFileSync(FILE, current);
  assert.equal(text.includes('<!-- keys -->'), true);
  assert.equal(readFileSync(FILE, 'utf8'), current, 'run this test with UPDATE_DOCS=1');
});
