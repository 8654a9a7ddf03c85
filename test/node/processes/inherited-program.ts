/** Prints the sockets that it was started with and what is left of the variables, then what a program of its own would inherit. */
import { execFileSync } from 'node:child_process';
import { inheritedSockets } from '../../../src/node/processes/socket-activation.ts';

const sockets = inheritedSockets();
const left = Object.keys(process.env).filter((name) => name.startsWith('LISTEN_'));
const child = execFileSync('sh', ['-c', 'readlink /proc/self/fd/3 || echo none'], { encoding: 'utf8' }).trim();
process.stdout.write(`${JSON.stringify({ sockets, left, child: child.startsWith('socket:') })}\n`);
process.exit(0);
