/** The system's log as a program that receives it sees it: /dev/log, a datagram socket. For a mount namespace of the test's own. */
import { Arena } from '../../src/node/ffi/arena.ts';
import { LINUX, libc } from '../../src/node/ffi/libc.ts';

const ROOM = 4096;
const AT = 1024;

export interface LogSocket {
  /** Waits for the next line, and blocks the process meanwhile. */
  receive(): string;
}

export function openLogSocket(): LogSocket {
  const c = libc('the test');
  const arena = new Arena(AT + ROOM);
  const socket = c.socket(LINUX.AF_UNIX, LINUX.SOCK_DGRAM, 0);
  arena.view.setUint16(0, LINUX.AF_UNIX, true);
  arena.bytes.write('/dev/log\0', 2, 'latin1');
  if (c.bind(socket, arena.address(0), 110) < 0) throw new Error(`bind: errno ${c.errno()}`);
  return { receive: () => arena.bytes.toString('utf8', AT, AT + c.recv(socket, arena.address(AT), ROOM, 0)) };
}
