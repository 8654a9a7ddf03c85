/**
 * A proxy that says who is behind it (PROXY protocol, version 1) and carries the connection on, as a program for a namespace.
 * Arguments: the port to listen on and the port to go to, both of 127.0.0.1, and the client's address. It says `proxying`.
 */
import net from 'node:net';

const [port = 0, targetPort = 0] = process.argv.slice(2, 4).map(Number);
const client = process.argv[4] ?? '192.0.2.2';

const server = net.createServer((near) => {
  const far = net.connect(targetPort, '127.0.0.1', () => {
    far.write(`PROXY TCP4 ${client} 127.0.0.1 ${near.remotePort} ${targetPort}\r\n`);
    near.pipe(far).pipe(near);
  });
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
});
server.listen(port, '127.0.0.1', () => console.log('proxying'));
