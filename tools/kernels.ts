/** Builds the byte kernels of src/kernels: AssemblyScript to one small WebAssembly module. */
import path from 'node:path';
import asc from 'assemblyscript/asc';

const root = path.resolve(import.meta.dirname, '..');

const { error, stderr } = await asc.main([
  'src/kernels/packets.ts',
  ...['--baseDir', root],
  ...['--outFile', 'dist/kernels/packets.wasm'],
  '--optimize',
  '--noAssert',
  // Nothing is allocated: the memory is the engine's arena, and every byte of it is spoken for.
  ...['--runtime', 'stub'],
  ...['--enable', 'simd'],
  '--importMemory',
  '--noExportMemory',
]);
if (error !== null) {
  process.stderr.write(stderr.toString());
  process.exit(1);
}
