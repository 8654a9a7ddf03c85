/**
 * Sends some bytes by TCP and ends at once, with status 7, when the system has taken them: `last-words-program.ts HOST PORT BYTES`. Goes through the HTTP
 * proxy of its environment, if one is named. Says its process id first.
 */
import { once } from 'node:events';
import { connect } from 'node:net';

const [, , host = '', port = '', bytes = ''] = process.argv;
const proxy = process.env.HTTP_PROXY;
process.stdout.write(`process ${process.pid}\n`);

const socket = proxy === undefined ? connect(Number(port), host) : connect(Number(new URL(proxy).port), new URL(proxy).hostname);
await once(socket, 'connect');
if (proxy !== undefined) {
  socket.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`);
  await once(socket, 'data');
}
socket.end(Buffer.alloc(Number(bytes)), () => process.exit(7));
