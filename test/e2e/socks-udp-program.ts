/** Asks a name server by UDP through a SOCKS 5 proxy, and prints the address: `socks-udp-program.ts PORT SERVER NAME`. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { decodeDatagram, encodeDatagram, encodeGreeting, encodeRequest } from '../../src/core/socks/socks5.ts';

const [, , port = '', server = '', name = ''] = process.argv;

const control = connect(Number(port), '127.0.0.1');
control.write(encodeGreeting([0]));
await once(control, 'data');
control.write(encodeRequest('udp-associate', { host: '0.0.0.0', port: 0 }));
const [reply] = (await once(control, 'data')) as [Buffer];
const socket = createSocket('udp4');
const query = encode({ type: 'query', id: 1, flags: RECURSION_DESIRED, questions: [{ type: 'A', name, class: 'IN' }] });
socket.send(encodeDatagram({ host: server, port: 53 }, query), reply.readUInt16BE(8), '127.0.0.1');
let address: unknown;
// The server of these tests forges an answer first.
while (address === undefined) {
  const [message] = (await once(socket, 'message')) as [Buffer];
  const answer = decode(Buffer.from(decodeDatagram(message)?.payload ?? []));
  const [record] = answer.id === 1 ? (answer.answers ?? []) : [];
  if (record !== undefined && 'data' in record) address = record.data;
}
console.log(address);
socket.close();
control.destroy();
