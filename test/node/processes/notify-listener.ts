/** Stands in for a service manager: listens for datagrams at the socket that its argument names (`@…`: abstract), and prints each as a line of JSON. */
import { Arena } from '../../../src/node/ffi/arena.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';

const [name = '', count = '1'] = process.argv.slice(2);
const c = libc('the test');
const arena = new Arena(65_536);
const socket = c.socket(LINUX.AF_UNIX, LINUX.SOCK_DGRAM, 0);
arena.view.setUint16(0, LINUX.AF_UNIX, true);
arena.bytes.write(name.replace(/^@/, '\0'), 2, 'utf8');
const length = 2 + Buffer.byteLength(name) + (name.startsWith('@') ? 0 : 1);
if (c.bind(socket, arena.address(0), length) < 0) throw new Error(`bind: errno ${c.errno()}`);
process.stdout.write('listening\n');
for (let i = 0; i < Number(count); i++) {
  const received = c.recv(socket, arena.address(1024), 16_384, 0);
  process.stdout.write(`${JSON.stringify(arena.bytes.toString('utf8', 1024, 1024 + received))}\n`);
}
