/**
 * Bundles the commands for their start: one file with what a connection needs, more files for what few need. Loading the files of `dist` one by one
 * takes six times as long, which a command cannot afford; a library's user loads them once, and sees the real files.
 */
import path from 'node:path';
import { build } from 'rolldown';

const root = path.resolve(import.meta.dirname, '..');

await build({
  input: {
    openconnect: path.join(root, 'dist/cli/openconnect/main.js'),
    sallyport: path.join(root, 'dist/cli/sallyport/main.js'),
    'engine-worker': path.join(root, 'dist/node/engine/engine-worker.js'),
  },
  platform: 'node',
  external: [/^node:/, 'koffi'],
  output: { dir: path.join(root, 'dist/bundle'), format: 'esm', cleanDir: true, minify: 'dce-only' },
  logLevel: 'warn',
});
