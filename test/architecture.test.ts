/**
 * The dependency rule, for what the compiler cannot see: layers, vendors, cycles, globals of the platform in core, and the length of files.
 * The compiler keeps `core` free of Node (its project has no types); this test keeps the arrows pointing down.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

const ROOT = path.resolve(import.meta.dirname, '..');
const SOURCE = path.join(ROOT, 'src');

/** Where code is besides. */
const OTHER_FOLDERS = ['test', 'tools', 'bench', 'examples', 'bin'];

/** What each layer may import of ours. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  kernels: ['kernels'],
  core: ['core'],
  node: ['core', 'node'],
  client: ['core', 'node', 'client'],
  gateway: ['core', 'node', 'gateway'],
  cli: ['core', 'node', 'client', 'gateway', 'cli'],
};

/** AssemblyScript, which wants the names of its files without extension. */
const COMPILED_BY_ASC = 'kernels';

/** What each layer may import of others, by package name. */
const CORE_PACKAGES = ['htmlparser2', 'domhandler', 'domutils', 'otpauth', 'pako'];

const MAX_LINES = 400;

/** Files that are longer, each with its reason. */
const LONGER_WITH_REASON: Readonly<Record<string, string>> = {};

interface SourceFile {
  readonly name: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const files: readonly SourceFile[] = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
  .map((name) => {
    const text = readFileSync(path.join(SOURCE, name), 'utf8');
    return { name, text, imports: importsOf(text) };
  });

function importsOf(text: string): string[] {
  const statement =
    /^\s*(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;
  return [...text.matchAll(statement)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

/** The file that a relative import names, below src. */
function resolved(file: SourceFile, specifier: string): string {
  return path.posix.join(path.posix.dirname(file.name), specifier);
}

const isRelative = (specifier: string) => specifier.startsWith('.');
const layerOf = (name: string) => name.split('/')[0] ?? '';
const vendorOf = (name: string) => /^core\/protocols\/([^/]+)\//.exec(name)?.[1];

describe('architecture', () => {
  it('finds the source files and their imports', () => {
    assert.ok(files.length > 10);
    assert.ok(files.some((file) => file.imports.length > 2));
    assert.deepEqual(
      importsOf("import type { A } from './a.ts';\nexport * from './b.ts';\nconst c = await import('./c.ts');\nimport './d.ts';"),
      ['./a.ts', './b.ts', './c.ts', './d.ts'],
    );
  });

  it('lets each layer import only what is below it', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => isRelative(specifier) && !MAY_IMPORT[layerOf(file.name)]?.includes(layerOf(resolved(file, specifier))))
        .map((specifier) => `${file.name} imports ${specifier}`),
    );
    assert.deepEqual(wrong, []);
  });

  it('lets core import only pure packages', () => {
    const wrong = files
      .filter((file) => layerOf(file.name) === 'core')
      .flatMap((file) =>
        file.imports
          .filter((specifier) => !isRelative(specifier) && !CORE_PACKAGES.includes(specifier))
          .map((specifier) => `${file.name} imports ${specifier}`),
      );
    assert.deepEqual(wrong, []);
  });

  it('keeps vendors apart', () => {
    const wrong = files.flatMap((file) =>
      file.imports.filter((specifier) => {
        const from = vendorOf(file.name);
        const to = isRelative(specifier) ? vendorOf(resolved(file, specifier)) : undefined;
        return from !== undefined && to !== undefined && from !== to;
      }),
    );
    assert.deepEqual(wrong, []);
  });

  it('keeps native memory and system calls in node/ffi', () => {
    const wrong = files.filter((file) => file.imports.includes('koffi') && !file.name.startsWith('node/ffi/')).map((file) => file.name);
    assert.deepEqual(wrong, []);
  });

  // tools/bundle.ts leaves the table of HTML's entities out of the commands.
  it('parses XML only', () => {
    const parsers = files.filter(({ imports }) => imports.includes('htmlparser2'));
    assert.ok(parsers.length > 0);
    for (const { name, text } of parsers) {
      const calls = text.match(/(?:new Parser|parseDocument)\(/g) ?? [];
      assert.equal(text.match(/\{ xmlMode: true/g)?.length, calls.length, name);
    }
  });

  it('has no import cycles', () => {
    assert.deepEqual(cycles(), []);
  });

  it('names every import with its extension', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((specifier) => isRelative(specifier) && !specifier.endsWith('.ts') && layerOf(file.name) !== COMPILED_BY_ASC)
        .map((specifier) => `${file.name}: ${specifier}`),
    );
    assert.deepEqual(wrong, []);
  });

  it(`keeps files under ${MAX_LINES} lines, or says why not`, () => {
    const sources = files.map(({ name, text }) => ({ name: `src/${name}`, text }));
    const long = [...sources, ...otherFiles()].filter(({ text }) => text.split('\n').length > MAX_LINES).map(({ name }) => name);
    assert.deepEqual(
      long.filter((name) => !(name in LONGER_WITH_REASON)),
      [],
    );
    assert.deepEqual(
      Object.keys(LONGER_WITH_REASON).filter((name) => !long.includes(name)),
      [],
      'a reason is listed for a file that needs none',
    );
  });
});

/** Tests, tools, benches, examples and the commands' first files. */
function otherFiles(): { readonly name: string; readonly text: string }[] {
  return OTHER_FOLDERS.flatMap((folder) =>
    readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(?:ts|js)$/.test(name))
      .map((name) => ({ name: `${folder}/${name}`, text: readFileSync(path.join(ROOT, folder, name), 'utf8') })),
  );
}

/** Each cycle once, as a chain of file names. Type-only imports count: they tie files together for the reader as well. */
function cycles(): string[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (name: string, trail: readonly string[]): void => {
    const at = trail.indexOf(name);
    if (at >= 0) found.push([...trail.slice(at), name].join(' → '));
    if (at >= 0 || done.has(name)) return;
    const file = byName.get(name);
    for (const specifier of file?.imports ?? []) {
      if (file !== undefined && isRelative(specifier)) visit(resolved(file, specifier), [...trail, name]);
    }
    done.add(name);
  };
  for (const file of files) visit(file.name, []);
  return found;
}
