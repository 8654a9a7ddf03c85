/** Listens at /dev/log, writes two lines to the system log and prints what arrived, as JSON. */
import { Arena } from '../../../src/node/ffi/arena.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { Syslog } from '../../../src/node/ffi/syslog.ts';

const c = libc('the test');
const arena = new Arena(65_536);
const socket = c.socket(LINUX.AF_UNIX, LINUX.SOCK_DGRAM, 0);
arena.view.setUint16(0, LINUX.AF_UNIX, true);
arena.bytes.write('/dev/log\0', 2, 'latin1');
if (c.bind(socket, arena.address(0), 110) < 0) throw new Error(`bind: errno ${c.errno()}`);

const log = new Syslog('openconnect');
log.write('info', '100%s done');
log.write('error', 'cut\0 here');

const lines = [0, 1].map(() => arena.bytes.toString('utf8', 1024, 1024 + c.recv(socket, arena.address(1024), 4096, 0)));
process.stdout.write(JSON.stringify(lines));
