/**
 * A program for a script device: echoes each packet back with its first byte changed, and writes down how it was started and ended.
 *
 * Arguments: the file to write to; "hang" if it shall not end on SIGHUP.
 */
import { appendFileSync } from 'node:fs';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { libc } from '../../../src/node/ffi/libc.ts';

const [, , file = '', mode] = process.argv;
const fd = Number(process.env.VPNFD);
const c = libc('the test');
const arena = new Arena(65_536);
appendFileSync(file, `started ${process.env.REASON} ${process.env.LEAKED} ${process.env.TUNDEV}\n`);
if (mode === 'hang') process.on('SIGHUP', () => appendFileSync(file, 'hangs\n'));
else
  process.on('SIGHUP', () => {
    appendFileSync(file, 'SIGHUP\n');
    process.exit(0);
  });

// Node must see signals between packets, so it does not block in read for long.
arena.view.setInt32(1024, fd, true);
arena.view.setInt16(1028, 1, true);
setInterval(() => {
  while (c.poll(arena.address(1024), 1, 0) > 0) {
    const length = c.read(fd, arena.address(2048), 10_000);
    if (length <= 0) return;
    if (arena.bytes.toString('latin1', 2048, 2048 + length) === 'exit') process.exit(3);
    arena.bytes[2048] = (arena.bytes[2048] ?? 0) ^ 0xff;
    c.write(fd, arena.address(2048), length);
  }
}, 1);
