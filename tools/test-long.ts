/**
 * Runs all tests with their full sizes (soaks, 10,000 seeded runs, long fuzzing) and writes what came of it to docs/test-long.md.
 * With arguments, runs only those files and writes nothing.
 */
import { execFileSync } from 'node:child_process';
import { globSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const ROOT = path.resolve(import.meta.dirname, '..');
const REPORT = path.join(ROOT, 'docs/test-long.md');

/** As in the everyday run. The soaks, which leave a core time enough, begin, and all others run beside them: an hour instead of two. */
const CONCURRENCY = 2;
const SOAKS = ['test/e2e/soak.test.ts', 'test/bench/load.test.ts'];

const FILE_TIMEOUT_MS = 2 * 60 * 60 * 1000;

interface FileResult {
  passed: number;
  failed: number;
  skipped: number;
  milliseconds: number;
  /** What tests say of themselves: seeds, sizes, figures. */
  readonly notes: string[];
}

async function main(): Promise<void> {
  process.env.SALLYPORT_TEST_SIZE = 'long';
  const wanted = process.argv.slice(2);
  const files = (wanted.length > 0 ? wanted : everyFile()).map((file) => path.resolve(ROOT, file));
  const start = performance.now();
  const results = await runFiles(files);
  const minutes = (performance.now() - start) / 60_000;
  const hasFailed = [...results.values()].some(({ failed }) => failed > 0);
  if (wanted.length === 0) writeFileSync(REPORT, reportOf(results, minutes));
  process.exitCode = hasFailed ? 1 : 0;
}

function everyFile(): string[] {
  const others = globSync('test/**/*.test.ts', { cwd: ROOT, exclude: SOAKS }).sort();
  return [...SOAKS, ...others];
}

async function runFiles(files: readonly string[]): Promise<Map<string, FileResult>> {
  const results = new Map<string, FileResult>(
    files.map((file) => [file, { passed: 0, failed: 0, skipped: 0, milliseconds: 0, notes: [] }]),
  );
  const stream = run({ files: [...files], concurrency: CONCURRENCY, timeout: FILE_TIMEOUT_MS });
  const of = (file: string | undefined) => results.get(file ?? '');
  stream.on('test:pass', ({ file, skip, details }) => {
    const result = of(file);
    if (result === undefined || details.type === 'suite') return;
    if (skip === undefined || skip === false) result.passed++;
    else result.skipped++;
  });
  stream.on('test:fail', ({ file, details }) => {
    const result = of(file);
    if (result === undefined || details.type === 'suite') return;
    result.failed++;
  });
  stream.on('test:summary', ({ file, duration_ms: milliseconds }) => {
    const result = of(file);
    if (result !== undefined) result.milliseconds = milliseconds;
  });
  stream.on('test:diagnostic', ({ file, message }) => of(file)?.notes.push(message));
  const output = stream.compose(new spec());
  for await (const text of output) process.stdout.write(text);
  return results;
}

function reportOf(results: ReadonlyMap<string, FileResult>, minutes: number): string {
  const git = (...parameters: string[]) => execFileSync('git', parameters, { cwd: ROOT, encoding: 'utf8' }).trim();
  const sum = (count: (result: FileResult) => number) => [...results.values()].reduce((total, result) => total + count(result), 0);
  const rows = [...results].map(([file, { passed, failed, skipped, milliseconds, notes }]) => {
    const cells = [path.relative(ROOT, file), passed, failed, skipped, (milliseconds / 1000).toFixed(0), notes.join('<br>')];
    return `| ${cells.join(' | ')} |`;
  });
  return `# The long tests

What \`npm run test:long\` last came to: every test with its full size. Written by \`tools/test-long.ts\`.

- Date: ${new Date().toISOString().slice(0, 10)}
- Commit: ${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}
- Machine: ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}
- Time: ${minutes.toFixed(0)} minutes, ${CONCURRENCY} files at a time
- Tests: ${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed, ${sum(({ skipped }) => skipped)} skipped

| file | passed | failed | skipped | seconds | said |
| ---- | -----: | -----: | ------: | ------: | ---- |
${rows.join('\n')}
`;
}

await main();
