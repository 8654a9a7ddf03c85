/**
 * Bundles the commands for their start: one file with what a command begins with, at most one more with what it mostly goes on with, and more files for
 * what few need. Loading the files of `dist` one by one takes six times as long, which a command cannot afford; a library's user loads them once, and
 * sees the real files.
 */
import { hash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type OutputOptions, type Plugin, rolldown } from 'rolldown';

const root = path.resolve(import.meta.dirname, '..');

const folder = path.join(root, 'dist/bundle');

interface Entry {
  readonly file: string;
  /** Modules that are imported when they are needed, and mostly are: they share a file with all that they import. */
  readonly mostly?: readonly string[];
}

const ENTRIES: Readonly<Record<string, Entry>> = {
  ocserv: { file: 'dist/cli/ocserv/main.js' },
  openconnect: {
    file: 'dist/cli/openconnect/main.js',
    mostly: ['dist/cli/openconnect/command.js', 'dist/cli/openconnect/session-command.js', 'dist/core/protocols/anyconnect/client.js'],
  },
  sallyport: {
    file: 'dist/cli/sallyport/main.js',
    mostly: ['dist/cli/sallyport/connect-command.js', 'dist/core/protocols/anyconnect/client.js'],
  },
  occtl: { file: 'dist/cli/occtl/main.js' },
  'engine-thread': { file: 'dist/node/engine/engine-thread.js' },
  ocpasswd: { file: 'dist/cli/ocpasswd/main.js' },
  'gateway-auth': { file: 'dist/gateway/processes/gateway-auth.js' },
  'gateway-worker': { file: 'dist/gateway/processes/gateway-worker.js' },
  'pam-child': { file: 'dist/gateway/auth/pam-child.js' },
};

/** Processes of the gateway's own: Node runs their files itself, and what was compiled of them is not kept. */
const RUN_BY_NODE = /^(?:gateway-auth|gateway-worker|pam-child)\b/;

/**
 * Takes HTML's table of two thousand entities out, which takes milliseconds to unpack: we parse XML only (test/architecture.test.ts keeps it so), which
 * has five of its own. Whoever looked into it all the same would hear of it.
 */
const WITHOUT_HTML_ENTITIES: Plugin = {
  name: 'without-html-entities',
  load: {
    filter: { id: /\/entities\/dist\/generated\/decode-data-html\.js$/ },
    handler: () =>
      "export const htmlDecodeTree = new Proxy([], { get() { throw new Error('the table of HTML entities is not in this bundle'); } });",
  },
};

const LAZILY = 'const __lazily=(id)=>{let builtin;return new Proxy({},{get:(_,name)=>(builtin??=require(id))[name]})};';

/** In the place of src/node/engine/engine-worker.ts. */
const ENGINE_WORKER = `const code = require('../../bin/code-cache.js');
void code.load('engine-thread').runEngine(code.keepWarmCode).then(code.keepNewCode);
`;

rmSync(folder, { recursive: true, force: true });
// One after the other: what two of them share would else become files of its own, and each file costs a millisecond at the start.
for (const [name, entry] of Object.entries(ENTRIES)) await bundle(name, entry);

for (const name of readdirSync(folder)) {
  const file = path.join(folder, name);
  const code = inAscii(readFileSync(file, 'utf8'));
  if (RUN_BY_NODE.test(name)) writeFileSync(file, code);
  else writeFileSync(file, forLoader(/^(?:engine-thread|openconnect|sallyport)\b/.test(name) ? withLazyBuiltins(code) : code));
}
writeFileSync(path.join(folder, 'engine-worker.cjs'), ENGINE_WORKER);

/** For bin/code-cache.js: in the function that Node puts around a CommonJS module, after a digest. */
function forLoader(code: string): string {
  const wrapped = `(function (exports, require, module, __filename, __dirname) { ${code}\n})`;
  return `//${hash('sha256', wrapped)}\n${wrapped}`;
}

/** Node reads a file of ASCII as it is, any other through a decoder into twice the memory. */
function inAscii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Modules of Node's own that take it milliseconds to load come when something of them is first used, which may be never or while a peer is waited for. */
function withLazyBuiltins(code: string): string {
  const wanted = code.replace(
    /\b([\w$]+)=require\("node:(child_process|crypto|dgram|dns\/promises|fs\/promises|http|net|tls)"\)/g,
    // A variable that is set again is copied into a module's shape at once: there is nothing to copy yet.
    (now, variable, name) => (code.split(`${variable}=`).length === 2 ? `${variable}=__lazily("node:${name}")` : now),
  );
  return wanted === code ? code : `${LAZILY}\n${wanted}`;
}

async function bundle(name: string, { file, mostly = [] }: Entry): Promise<void> {
  const imports = new Map<string, readonly string[]>();
  const build = await rolldown({
    input: { [name]: path.join(root, file) },
    platform: 'node',
    external: [/^node:/, 'koffi', 'undici'],
    logLevel: 'warn',
    checks: { ineffectiveDynamicImport: false }, // a module that one command needs at once another one loads late: that is meant
    preserveEntrySignatures: 'allow-extension',
    plugins: [
      WITHOUT_HTML_ENTITIES,
      {
        name: 'imports',
        buildEnd() {
          for (const id of this.getModuleIds()) imports.set(id, this.getModuleInfo(id)?.importedIds ?? []);
        },
      },
    ],
  });
  const output: OutputOptions = {
    dir: folder,
    format: 'cjs',
    entryFileNames: '[name].cjs',
    chunkFileNames: `${name}-[name].cjs`,
    // Names stay as they are: an error's stack is for people.
    minify: {
      compress: { target: 'es2024', keepNames: { function: true, class: true } },
      mangle: false,
      codegen: { removeWhitespace: true },
    },
  };
  if (mostly.length === 0) {
    await build.write(output);
  } else {
    // What is imported is known once a first output was made.
    await build.generate(output);
    const first = reachable([file], imports);
    const then = reachable(mostly, imports);
    const group = (id: string) => (first.has(id) || id.startsWith('\0') ? 'first' : then.has(id) ? 'then' : null);
    await build.write({
      ...output,
      codeSplitting: { includeDependenciesRecursively: false, groups: [{ name: group, debugName: 'by need' }] },
    });
  }
  await build.close();
}

/** Modules and all that they import at their start. */
function reachable(files: readonly string[], imports: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const found = new Set(files.map((file) => path.join(root, file)));
  for (const id of found) for (const imported of imports.get(id) ?? []) found.add(imported);
  return found;
}
