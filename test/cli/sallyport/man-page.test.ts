import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { EXIT_MEANINGS } from '../../../src/cli/sallyport/exit-codes.ts';
import { manPage } from '../../../src/cli/sallyport/man-page.ts';
import { sallyportProgram } from '../../../src/cli/sallyport/program.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const MANUAL = readFileSync(path.join(ROOT, 'docs/manual.md'), 'utf8');

const program = sallyportProgram({ version: '', out: () => undefined, err: () => undefined });
const options = program.commands.flatMap((command) => command.options);

describe('the manual page of sallyport', () => {
  it('is what the table makes: "node tools/man-pages.ts" writes it', () => {
    assert.equal(readFileSync(path.join(ROOT, 'docs/man/sallyport.1'), 'utf8'), manPage());
  });

  it('names every command, option and exit code', () => {
    const page = manPage().replaceAll('\\-', '-');
    for (const command of program.commands) assert.match(page, new RegExp(`^\\.SS sallyport ${command.name()}\\b`, 'm'));
    for (const { flags } of options) assert.ok(page.includes(`\n.B ${flags}\n`), flags);
    for (const [code, meaning] of EXIT_MEANINGS) assert.ok(page.includes(`\n.B ${code}\n${meaning}\n`), meaning);
  });

  it('has no text that the formatter would take for a command', () => {
    const macros = new Set(manPage().match(/^[.']\S*/gm));
    assert.deepEqual([...macros].toSorted(), ['.B', '.BR', '.I', '.PP', '.RE', '.RI', '.RS', '.SH', '.SS', '.TH', '.TP', '.fi', '.nf']);
  });
});

describe('the manual', () => {
  it('names every command and option of sallyport, and every exit code', () => {
    for (const command of program.commands) assert.ok(MANUAL.includes(`sallyport ${command.name()}`), command.name());
    for (const { long } of options) assert.ok(long !== undefined && MANUAL.includes(`\`${long}`), long ?? '');
    for (const [code] of EXIT_MEANINGS) assert.match(MANUAL, new RegExp(`^\\| ${code} +\\|`, 'm'));
  });

  it('names every event', () => {
    const schema = JSON.parse(readFileSync(path.join(ROOT, 'docs/sallyport-events.schema.json'), 'utf8'));
    for (const { properties } of schema.oneOf) assert.ok(MANUAL.includes(`\`${properties.event.const}\``), properties.event.const);
  });
});
