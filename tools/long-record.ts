/** What came of the long tests, of each file when it was last run: docs/test-long.json keeps it, docs/test-long.md is made of it. */

export interface FileResult {
  readonly date: string;
  /** Short, with a plus if files were changed. */
  readonly commit: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly seconds: number;
  /** What tests say of themselves: seeds, sizes, figures. */
  readonly notes: readonly string[];
}

/** More than this are only counted. */
const MAX_NAMED = 8;

/** By the file's path from the root of the project. */
export type LongRecord = Readonly<Record<string, FileResult>>;

/** The record with the newest result of each file; of files that are no more, nothing. */
export function withResults(record: LongRecord, news: LongRecord, files: readonly string[]): LongRecord {
  const all: LongRecord = { ...record, ...news };
  const known = files.flatMap((file) => (all[file] === undefined ? [] : [[file, all[file]] as const]));
  return Object.fromEntries(known);
}

/** JSON with a line for each file. */
export function renderRecord(record: LongRecord): string {
  const lines = Object.entries(record).map(([file, result]) => `${JSON.stringify(file)}: ${JSON.stringify(result)}`);
  return `{\n${lines.join(',\n')}\n}\n`;
}

/**
 * @param machine in a few words
 * @param missing files that were never run with their full sizes
 */
export function reportOf(record: LongRecord, machine: string, missing: readonly string[]): string {
  const sum = (count: (result: FileResult) => number) => Object.values(record).reduce((total, result) => total + count(result), 0);
  const rows = Object.entries(record).map(([file, { date, commit, passed, failed, skipped, seconds, notes }]) =>
    [file, date, commit, passed, failed, skipped, seconds, notes.map(cellText).join('<br>')].join(' | '),
  );
  const names = missing.length > MAX_NAMED ? `${missing.length} files` : missing.join(', ');
  const never = missing.length === 0 ? '' : `\nNever run with full sizes: ${names}.\n`;
  return `# The long tests

What \`npm run test:long\` last came to: every test with its full size. Written by \`tools/test-long.ts\`; a part of the files can be run again by itself.

- Machine: ${machine}
- Tests: ${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed, ${sum(({ skipped }) => skipped)} skipped
- Time: ${(sum(({ seconds }) => seconds) / 60).toFixed(0)} minutes, if the files ran one after the other
${never}
| file | date | commit | passed | failed | skipped | seconds | said |
| ---- | ---- | ------ | -----: | -----: | ------: | ------: | ---- |
${rows.map((row) => `| ${row} |`).join('\n')}
`;
}

function cellText(note: string): string {
  return note.replaceAll('|', '\\|').replaceAll(/\s+/g, ' ').trim();
}
