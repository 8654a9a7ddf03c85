/**
 * A proxy that says who is behind it (PROXY protocol, version 1) and carries the connection on, as a program for a namespace.
 * Arguments: the port to listen on, of all addresses of IPv4, and the port to go to, of 127.0.0.1. It says `proxying`.
 */
import net from 'node:net';

const [port = 0, targetPort = 0] = process.argv.slice(2, 4).map(Number);

const server = net.createServer((near) => {
  const { remoteAddress, localAddress, remotePort, localPort } = near;
  const far = net.connect(targetPort, '127.0.0.1', () => {
    far.write(`PROXY TCP4 ${remoteAddress} ${localAddress} ${remotePort} ${localPort}\r\n`);
    near.pipe(far).pipe(near);
  });
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
});
server.listen(port, '0.0.0.0', () => console.log('proxying'));
