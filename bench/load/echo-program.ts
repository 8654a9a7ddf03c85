/** Sends each UDP packet back to where it came from. Arguments: address and port. Says `echoing`. */
import { createSocket } from 'node:dgram';

const [address = '', port = ''] = process.argv.slice(2);

/** For the moments in which this program is not scheduled. */
const RECEIVE_BUFFER = 4 * 1024 * 1024;

const socket = createSocket({ type: 'udp4', recvBufferSize: RECEIVE_BUFFER });
socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
socket.bind(Number(port), address, () => console.log('echoing'));
