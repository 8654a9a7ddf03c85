/** Takes a UDP socket from its parent, and tells the peer what it hears. */
import type { Socket } from 'node:dgram';
import type { Endpoint } from '../../src/core/wire/ip-address.ts';
import { PortableUdpSocket } from '../../src/node/udp-socket.ts';

process.on('message', async (remote: Endpoint, socket: Socket) => {
  const path = await PortableUdpSocket.adopt(socket, remote, Buffer.from('first'), () => undefined);
  path.start({
    datagram: (bytes) => path.send(Buffer.from(`I was given: ${Buffer.from(bytes)}`)),
    record: () => undefined,
    problem: () => process.exit(1),
  });
});
process.on('disconnect', () => process.exit());
