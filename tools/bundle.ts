/**
 * Bundles the commands for their start: one file with what a connection needs, more files for what few need. Loading the files of `dist` one by one
 * takes six times as long, which a command cannot afford; a library's user loads them once, and sees the real files.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'rolldown';

const root = path.resolve(import.meta.dirname, '..');

const folder = path.join(root, 'dist/bundle');

const ENTRIES = {
  ocserv: 'dist/cli/ocserv/main.js',
  openconnect: 'dist/cli/openconnect/main.js',
  sallyport: 'dist/cli/sallyport/main.js',
  occtl: 'dist/cli/occtl/main.js',
  'engine-worker': 'dist/node/engine/engine-worker.js',
  ocpasswd: 'dist/cli/ocpasswd/main.js',
  'gateway-auth': 'dist/gateway/processes/gateway-auth.js',
  'gateway-worker': 'dist/gateway/processes/gateway-worker.js',
  'pam-child': 'dist/gateway/auth/pam-child.js',
};

rmSync(folder, { recursive: true, force: true });
// One after the other: what two of them share would else become files of its own, and each file costs a millisecond at the start.
for (const [name, file] of Object.entries(ENTRIES)) {
  await build({
    input: { [name]: path.join(root, file) },
    platform: 'node',
    external: [/^node:/, 'koffi'],
    output: {
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
    },
    logLevel: 'warn',
  });
}

// Node reads a file of ASCII as it is, any other through a decoder into twice the memory.
for (const name of readdirSync(folder)) {
  const file = path.join(folder, name);
  const code = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  );
}
