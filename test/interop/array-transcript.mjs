// The transcript of spec "Array", section 8, and the bytes of its section 12, replayed by hand: by node:tls and OpenSSL's command, with nothing of the project.
//
//   node array-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway
//   node array-transcript.mjs gateway CERTIFICATE KEY       plays an appliance; prints its port
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { hex, Talk } from './talk.mjs';

const PAGES = '/prx/000/http/localhost';
const OPTIONS_REQUEST = hex('50000000 00000000 00000000 00000000');
const SETTINGS_REQUEST = hex('54000000 00000000 00000000 20000000 01000000 0a00020f 00000000 00000000 00000000 00000000 525400de a2a60000');
const KEEPALIVE = hex('45000014 00000000 00ff0000 00010000 00000000');

process.on('SIGTERM', () => process.exit());

const [, , role, ...rest] = process.argv;
await (role === 'client' ? client(...rest) : gateway(...rest));

/** A packet of IP, by its own length. */
function packet(talk) {
  return talk.need((bytes) => (bytes.length >= 20 && bytes.length >= bytes.readUInt16BE(2) ? bytes.readUInt16BE(2) : 0));
}

async function client(port, user, password) {
  const open = async () => {
    const socket = tls.connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return new Talk(socket);
  };
  const common = `Host: 127.0.0.1:${port}\r\nUser-Agent: Open AnyConnect VPN Agent v9.01\r\n`;
  const post = (secret) => {
    const body = `method=&uname=${user}&pwd=${secret}`;
    return `POST ${PAGES}/login HTTP/1.1\r\n${common}X-Pad: 000000\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
  const talk = await open();
  talk.socket.write(post('wrong'));
  const refused = await talk.message();
  assert.match(refused, /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n[\s\S]+$/);
  assert.doesNotMatch(refused, /Set-Cookie/);
  talk.socket.write(post(password));
  const [, cookie] = /^HTTP\/1\.1 200 OK\r\nSet-Cookie: (ANsession\w*=[\w-]+); path=\/; secure; HttpOnly[\s\S]*\r\n\r\n[\s\S]+$/.exec(
    await talk.message(),
  );
  const id = '86C74593-AA49-B019-6F32-125E464018A5';
  const request = (session) =>
    `GET /vpntunnel HTTP/1.1\r\n${common}Cookie: ${session}\r\nappid: SSPVPN\r\nclientid: ${id}\r\ncpuid: ${id}\r\nhostname: laptop\r\npayload-ip-version: 6\r\nx-devtype: 6\r\n\r\n`;
  const stranger = await open();
  stranger.socket.write(request(`ANsession1=${'0'.repeat(64)}`));
  assert.match(await stranger.message(), /^HTTP\/1\.1 401 /);

  let address;
  // Again as after a loss: the same cookie and id, the same address.
  for (const stream of [talk, await open()]) {
    stream.socket.write(request(cookie));
    assert.match(await stream.head(), /^HTTP\/1\.1 200 OK\r\nContent-Length: 0\r\n\r\n$/);
    stream.socket.write(OPTIONS_REQUEST);
    const options = await answer(stream, 0x51);
    assert.deepEqual(options, { allow_speed_tunnel: 0, speed_tunnel_encryption: 0, keepalive_interval: 10 });
    stream.socket.write(SETTINGS_REQUEST);
    const settings = await answer(stream, 0x55);
    assert.equal(settings.client_ipv4_mask, 16777215);
    assert.deepEqual(settings.include_network_resource, { ipv4: [{ ip: 10 + 256 * 99, mask: 16777215 }] });
    assert.equal(address ?? settings.client_ipv4, settings.client_ipv4);
    address = settings.client_ipv4;
    stream.socket.write(KEEPALIVE);
    assert.deepEqual(await packet(stream), KEEPALIVE);
    // Asked for UDP all the same: an answer of 20 bytes is a no.
    stream.socket.write(Buffer.concat([hex('45000034 00000000 00ff0000 00040000'), Buffer.from(id)]));
    assert.deepEqual(await packet(stream), hex('45000014 00000000 00ff0000 00040000 00000000'));
    const ping = hex('45 00 00 20 00 00 00 00 40 01 00 00 00 00 00 00 0a 63 00 01  08 00 00 00 12 34 00 01 61 62 63 64');
    ping.writeUInt32LE(address, 12);
    ping.writeUInt16BE(checksum(ping.subarray(0, 20)), 10);
    ping.writeUInt16BE(checksum(ping.subarray(20)), 22);
    // Two packets in one record, the second in two.
    stream.socket.write(Buffer.concat([ping, ping.subarray(0, 9)]));
    stream.socket.write(ping.subarray(9));
    for (let pongs = 0; pongs < 2; pongs++) {
      const pong = await packet(stream);
      assert.deepEqual([pong[9], pong[20], pong.readUInt32LE(16), pong.subarray(28).toString()], [1, 0, address, 'abcd']);
    }
  }
  const last = await open();
  const logOut = `GET ${PAGES}/logout HTTP/1.1\r\n${common}Cookie: ${cookie}\r\n\r\n`;
  for (let times = 0; times < 2; times++) {
    last.socket.write(logOut);
    assert.match(await last.message(), /^HTTP\/1\.1 200 OK\r\nSet-Cookie: ANsession\w*=; [\s\S]*\r\n\r\n[\s\S]+$/);
  }
  last.socket.write(request(cookie));
  assert.match(await last.message(), /^HTTP\/1\.1 401 /);
  for (const { socket } of [talk, stranger, last]) socket.end();
  console.log('all as in the transcript');
  process.exit();
}

/** One answer, as openconnect reads it: in one record, with an object from its 17th byte on. */
async function answer(talk, type) {
  const bytes = await talk.need((all) => all.length);
  assert.deepEqual(bytes.subarray(0, 12), Buffer.concat([Buffer.of(type), Buffer.alloc(11)]));
  assert.equal(bytes.readUInt32LE(12), bytes.length - 16);
  return JSON.parse(bytes.subarray(16).toString());
}

const SESSION = 'ANsession0123456789=abcdef0123';

async function gateway(certificate, key) {
  const udp = { port: await freePort(), certificate, key };
  const server = tls.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => {
    serve(new Talk(socket), udp).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

async function freePort() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

async function serve(talk, udp) {
  const reply = (status, headers, body = '') =>
    talk.socket.write(
      `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  for (;;) {
    const request = await talk.message();
    const [, method, path] = /^(\w+) (\S+) HTTP\/1\.1\r\n/.exec(request);
    const cookie = /^Cookie: (.*)\r$/m.exec(request)?.[1];
    if (path === `${PAGES}/login` && method === 'POST') {
      assert.equal(request.split('\r\n\r\n')[1], 'method=&uname=user&pwd=secret');
      // As appliances do it: success is a redirect.
      reply('302 Found', [`Set-Cookie: ${SESSION}; path=/; secure; HttpOnly`, `Location: ${PAGES}/welcome`]);
    } else {
      assert.equal(cookie, SESSION);
      if (path === `${PAGES}/welcome`) reply('200 OK', [], '<html>ok</html>');
      else if (path === `${PAGES}/logout`) {
        console.log('logged out');
        reply('200 OK', [], 'bye');
      } else if (path === '/vpntunnel') {
        const head = [
          'appid: SSPVPN',
          'clientid: ([0-9A-F-]{36})',
          'cpuid: \\1',
          'hostname: [\\w.-]+',
          'payload-ip-version: 6',
          'x-devtype: 6',
        ];
        assert.match(request, new RegExp(`\r\n${head.join('\r\n')}\r\n\r\n$`));
        reply('201 Created', []);
        await tunnel(talk, udp, /^clientid: (.*)\r$/m.exec(request)[1]);
        return;
      }
    }
  }
}

/** Answers in two records each, the second with a header of nonsense and a packet right behind it; then echoes, in pieces. */
async function tunnel(talk, udp, id) {
  const say = (head, text, more = Buffer.alloc(0)) => {
    talk.socket.write(Buffer.concat([head, Buffer.from(text.slice(0, 7))]));
    talk.socket.write(Buffer.concat([Buffer.from(text.slice(7)), more]));
  };
  assert.deepEqual(await talk.need((bytes) => (bytes.length >= 16 ? 16 : 0)), OPTIONS_REQUEST);
  say(hex('51000000 00000000 00000000 4c000000'), '{"allow_speed_tunnel":1,"speed_tunnel_encryption":0,"keepalive_interval":10}');
  assert.deepEqual(await talk.need((bytes) => (bytes.length >= 48 ? 48 : 0)), SETTINGS_REQUEST);
  // 10.0.0.2/24; all of 10.0.0.0/8 is inside.
  const settings =
    '{"client_ipv4":33554442,"client_ipv4_mask":16777215,"include_network_resource":{"ipv4":[{"ip":10,"mask":255}]},"proxy_script":{}}';
  say(Buffer.alloc(16, 0xff), settings, KEEPALIVE);
  const asked = Buffer.concat([hex('45000034 00000000 00ff0000 00040000'), Buffer.from(id)]);
  const answered = hex('45000025 00000000 00ff0000 00040000 0000 0000 44544c53 20535045 45442054 554e4e45 4c');
  answered.writeUInt16BE(udp.port, 18);
  for (;;) {
    const received = await packet(talk);
    if (received.equals(KEEPALIVE)) {
      talk.socket.write(KEEPALIVE);
    } else if (received.equals(asked)) {
      speedTunnel(udp, id).catch((error) => console.log(String(error)));
      talk.socket.write(answered);
    } else {
      const echo = echoOf(received);
      talk.socket.write(Buffer.concat([KEEPALIVE, echo.subarray(0, 13)]));
      talk.socket.write(echo.subarray(13));
    }
  }
}

/** DTLS 1.0 by OpenSSL: the id, the word that it is known, then packets. What is written to it is a record, what it prints are records in a row. */
async function speedTunnel({ port, certificate, key }, id) {
  const openssl = spawn(
    'openssl',
    [
      ...['s_server', '-quiet', '-listen', '-dtls1', '-cipher', 'ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA@SECLEVEL=0'],
      ...['-accept', `127.0.0.1:${port}`, '-cert', certificate, '-key', key],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  process.on('exit', () => openssl.kill());
  const talk = new Talk(openssl.stdout);
  assert.equal((await talk.need((bytes) => (bytes.length >= 38 ? 38 : 0))).toString(), `${id}13`);
  openssl.stdin.write('200 OK');
  for (let isFirst = true; ; ) {
    const received = await packet(talk);
    if (received.equals(KEEPALIVE)) {
      openssl.stdin.write(KEEPALIVE);
      continue;
    }
    if (isFirst) console.log('by UDP');
    isFirst = false;
    openssl.stdin.write(echoOf(received));
  }
}

function echoOf(received) {
  const echo = Buffer.from(received);
  received.copy(echo, 12, 16, 20);
  received.copy(echo, 16, 12, 16);
  echo[20] = 0; // an echo's answer
  echo.writeUInt16BE(0, 22);
  echo.writeUInt16BE(checksum(echo.subarray(20)), 22);
  return echo;
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  if (bytes.length % 2 === 1) sum += bytes[bytes.length - 1] << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
