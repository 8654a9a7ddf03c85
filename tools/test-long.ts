/**
 * Runs all tests with their full sizes (soaks, 10,000 seeded runs, long fuzzing) and writes what came of it to docs/test-long.md.
 * With arguments, runs only those files and writes nothing, or with --write what came of them in the place of what is there.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { parseArgs } from 'node:util';
import { type FileResult, type LongRecord, renderRecord, reportOf, withResults } from './long-record.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const RECORD = path.join(ROOT, 'docs/test-long.json');
const REPORT = path.join(ROOT, 'docs/test-long.md');

/** As in the everyday run. The soaks, which leave a core time enough, begin, and all others run beside them: an hour instead of two. */
const CONCURRENCY = 2;
const SOAKS = ['test/e2e/soak.test.ts', 'test/bench/load.test.ts'];

const FILE_TIMEOUT_MS = 2 * 60 * 60 * 1000;

type Counts = { -readonly [Key in 'passed' | 'failed' | 'skipped' | 'seconds']: FileResult[Key] } & { readonly notes: string[] };

async function main(): Promise<void> {
  process.env.SALLYPORT_TEST_SIZE = 'long';
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { write: { type: 'boolean', default: false } } });
  const every = everyFile();
  const files = positionals.length > 0 ? positionals.map((file) => path.relative(ROOT, path.resolve(file))) : every;
  const unknown = files.filter((file) => !every.includes(file));
  if (unknown.length > 0) {
    process.stderr.write(`There is no such test file: ${unknown.join(', ')}. They end with .test.ts and lie below test/.\n`);
    process.exitCode = 2;
    return;
  }
  const writes = values.write || positionals.length === 0;
  const failed = await runFiles(files, (results) => {
    if (writes) writeResults(results, every);
  });
  process.exitCode = failed > 0 ? 1 : 0;
}

function everyFile(): string[] {
  const others = globSync('test/**/*.test.ts', { cwd: ROOT, exclude: SOAKS }).sort();
  return [...SOAKS, ...others];
}

/** How many tests failed. @param ended told of each file as it ends, so that an hour's results do not wait for its end */
async function runFiles(files: readonly string[], ended: (results: LongRecord) => void): Promise<number> {
  const counts = new Map<string, Counts>();
  const of = (file = ''): Counts => {
    const name = path.relative(ROOT, file);
    const known = counts.get(name) ?? { passed: 0, failed: 0, skipped: 0, seconds: 0, notes: [] };
    counts.set(name, known);
    return known;
  };
  const state = { date: new Date().toISOString().slice(0, 10), commit: commitOf() }; // of the start: that is what runs
  const stream = run({ files: files.map((file) => path.join(ROOT, file)), concurrency: CONCURRENCY, timeout: FILE_TIMEOUT_MS });
  stream.on('test:summary', ({ file, counts: { tests, passed, skipped }, duration_ms: milliseconds }) => {
    if (file === undefined) return;
    Object.assign(of(file), { passed, skipped, failed: tests - passed - skipped, seconds: Math.round(milliseconds / 1000) });
    ended({ [path.relative(ROOT, file)]: { ...state, ...of(file) } });
  });
  stream.on('test:diagnostic', ({ file, message }) => of(file).notes.push(message));
  const output = stream.compose(new spec());
  for await (const text of output) process.stdout.write(text);
  return [...counts.values()].reduce((total, { failed }) => total + failed, 0);
}

function commitOf(): string {
  const git = (...parameters: string[]) => execFileSync('git', parameters, { cwd: ROOT, encoding: 'utf8' }).trim();
  const isChanged = git('status', '--porcelain', '--', ':!docs/test-long.*') !== '';
  return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '+' : ''}`;
}

function writeResults(results: LongRecord, every: readonly string[]): void {
  const before = existsSync(RECORD) ? (JSON.parse(readFileSync(RECORD, 'utf8')) as LongRecord) : {};
  const record = withResults(before, results, every);
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`;
  writeFileSync(RECORD, renderRecord(record));
  writeFileSync(
    REPORT,
    reportOf(
      record,
      machine,
      every.filter((file) => record[file] === undefined),
    ),
  );
}

await main();
