/** Receives the system's log and prints it, line by line. */
import { openLogSocket } from '../support/log-socket.ts';

const socket = openLogSocket();
console.log('listening');
for (;;) console.log(socket.receive());
