/**
 * What a network behind a gateway has: name server, web server with and without TLS, and somebody who calls back.
 * `inside-program.ts CERTIFICATE-FILE KEY-FILE ADDRESS`: the known names lead to ADDRESS.
 *
 *   53 UDP and TCP   `big.corp.test` only by TCP    8080, 8443   what was posted comes back    7   echo
 *   9990   says how much came, at its end    9999   calls the port that it is told
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer as createHttpServer, type RequestListener } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer } from 'node:net';
import { AUTHORITATIVE_ANSWER, decode, encode, type Packet, TRUNCATED_RESPONSE } from 'dns-packet';

const [, , certificate = '', key = '', address = ''] = process.argv;

const KNOWN = ['web.corp.test', 'big.corp.test'];

/** RFC 1035 §4.1.1. */
const NAME_ERROR = 3;

function answerTo(query: Buffer, isTcp: boolean): Buffer {
  const { id = 0, questions = [] } = decode(query);
  const [question] = questions;
  if (question === undefined) throw new Error('a query without a question');
  const isKnown = KNOWN.includes(question.name);
  const isCut = question.name === 'big.corp.test' && !isTcp;
  const answers: Packet['answers'] =
    isKnown && !isCut && question.type === 'A' ? [{ type: 'A', name: question.name, ttl: 60, data: address }] : [];
  const flags = AUTHORITATIVE_ANSWER | (isCut ? TRUNCATED_RESPONSE : 0) | (isKnown ? 0 : NAME_ERROR);
  return encode({ type: 'response', id, flags, questions, answers });
}

const dns = createSocket('udp4');
dns.on('message', (query, from) => {
  // First a forged one, with another id: it must not count.
  const forged = answerTo(query, false);
  forged.writeUInt16BE(forged.readUInt16BE(0) ^ 1, 0);
  dns.send(forged, from.port, from.address);
  dns.send(answerTo(query, false), from.port, from.address);
});
dns.bind(53, '0.0.0.0');

createServer((socket) => {
  socket.once('data', (bytes) => {
    const answer = answerTo(bytes.subarray(2), true);
    socket.end(Buffer.concat([Buffer.of(answer.length >>> 8, answer.length & 0xff), answer]));
  });
}).listen(53, '0.0.0.0');

const echo: RequestListener = (request, response) => {
  response.setHeader('x-host', request.headers.host ?? '');
  request.pipe(response);
};
createHttpServer(echo).listen(8080, '0.0.0.0');
createHttpsServer({ cert: readFileSync(certificate), key: readFileSync(key) }, echo).listen(8443, '0.0.0.0');
createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket)).listen(7, '0.0.0.0');
createServer((socket) => {
  socket.on('end', () => process.stdout.write(`took ${socket.bytesRead}\n`)).resume();
}).listen(9990, '0.0.0.0');
createServer((socket) => {
  socket.once('data', (port) => {
    const call = connect({ host: socket.remoteAddress ?? '', port: Number(port.toString()) }, () => call.end('hello from inside'));
    call.on('close', () => socket.end());
  });
}).listen(9999, '0.0.0.0', () => process.stdout.write('inside\n'));
