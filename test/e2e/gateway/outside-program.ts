/**
 * What a network outside a gateway has, on every address of this machine, of both families: `outside-program.ts`. Says `outside`, and for each TCP
 * connection where it came from, and how it ended if not well.
 *
 *   7007 TCP   what came is sent back, after the end of the client's side too      7007 UDP   the same of datagrams
 *   7008 TCP   a number of bytes is asked for, and comes: its SHA-256 first
 */
import { createHash, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import { pipeline } from 'node:stream';

createServer({ allowHalfOpen: true }, (socket) => {
  process.stdout.write(`from ${socket.remoteAddress}\n`);
  pipeline(socket, socket, (error) => error && process.stdout.write(`ended by ${(error as NodeJS.ErrnoException).code}\n`));
}).listen(7007, '::');

createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', (request) => {
    const bytes = randomBytes(Number(request.toString()));
    socket.write(createHash('sha256').update(bytes).digest());
    socket.end(bytes);
  });
}).listen(7008, '::');

const udp = createSocket({ type: 'udp6', ipv6Only: false });
udp.on('message', (bytes, from) => udp.send(bytes, from.port, from.address));
udp.bind(7007, '::', () => process.stdout.write('outside\n'));
