// The transcript of spec "Fortinet", section 8, and the frames of spec "PPP", section 12.1, replayed by hand: by node:tls alone, with nothing of the project.
//
//   node fortinet-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway
//   node fortinet-transcript.mjs gateway CERTIFICATE KEY       plays a gateway; prints its port
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { hex, Talk } from './talk.mjs';

/** With frames as Fortinet has them. */
class FrameTalk extends Talk {
  /** A frame without its header: 6 bytes with two lengths and 50 50. */
  async frame() {
    const frame = await this.need((bytes) => (bytes.length >= 6 && bytes.length >= bytes.readUInt16BE(0) ? bytes.readUInt16BE(0) : 0));
    assert.deepEqual([frame.readUInt16BE(2), frame.readUInt16BE(4)], [0x5050, frame.length - 6]);
    return frame.subarray(6);
  }
  sendFrame(payload) {
    const header = Buffer.alloc(6);
    header.writeUInt16BE(payload.length + 6, 0);
    header.writeUInt16BE(0x5050, 2);
    header.writeUInt16BE(payload.length, 4);
    this.socket.write(Buffer.concat([header, payload]));
  }
}

const [, , role, ...rest] = process.argv;
await (role === 'client' ? client(...rest) : gateway(...rest));

async function client(port, user, password) {
  const open = () =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }, () =>
        resolve(new FrameTalk(socket)),
      );
      socket.once('error', reject);
    });
  const head = (path, cookie) =>
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: Mozilla/5.0 SV1\r\n${cookie ? `Cookie: ${cookie}\r\n` : ''}\r\n`;
  const talk = await open();
  const ask = async (text) => {
    talk.socket.write(text);
    return talk.message();
  };
  assert.match(await ask(head('/')), /^HTTP\/1\.1 302 Found\r\n[\s\S]*Location: \/remote\/login\?lang=en\r\n/);
  assert.match(await ask(head('/remote/login?lang=en')), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n[\s\S]+$/);
  const post = (body) =>
    `POST /remote/logincheck HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: Mozilla/5.0 SV1\r\nX-Pad: 00\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const refused = await ask(post(`username=${user}&credential=wrong&realm=&ajax=1&just_logged_in=1`));
  assert.match(refused, /^HTTP\/1\.1 405 /);
  assert.match(refused, /Permission denied/);
  const welcome = await ask(post(`username=${user}&credential=${password}&realm=&ajax=1&just_logged_in=1`));
  const [, cookie] =
    /^HTTP\/1\.1 200 OK\r\n[\s\S]*Set-Cookie: (SVPNCOOKIE=[\w-]{43}); path=\/; secure; httponly\r\n[\s\S]*\r\n\r\nret=1,redir=/.exec(
      welcome,
    );
  const xml = await ask(head('/remote/fortisslvpn_xml', cookie));
  assert.doesNotMatch(xml, /Set-Cookie/);
  const [, address] = /<assigned-addr ipv4="([\d.]+)"\/>/.exec(xml);
  const own = Buffer.from(address.split('.').map(Number));
  // Row 1, glued to the request: openconnect does not wait.
  const lcp = hex('ff 03 c0 21 01 01 00 0e 01 04 05 a5 05 06 11 22 33 44');
  const first = Buffer.concat([hex('00 18 50 50 00 12'), lcp]);
  talk.socket.write(Buffer.concat([Buffer.from(head('/remote/sslvpn-tunnel', cookie)), first]));
  const seen = new Set();
  let isUp = false;
  while (!isUp) {
    const frame = await talk.frame();
    const protocol = frame.readUInt16BE(0); // no FF 03 from a gateway
    const [code, id] = [frame[2], frame[3]];
    const data = frame.subarray(2, 2 + frame.readUInt16BE(4));
    const is = `${protocol.toString(16)} ${code}`;
    seen.add(is);
    const ack = () => talk.sendFrame(Buffer.concat([hex('ff 03'), frame.subarray(0, 2), Buffer.of(2), data.subarray(1)]));
    if (is === 'c021 1') {
      ack();
      talk.sendFrame(Buffer.concat([hex('ff 03 80 21 01 01 00 0a 03 06'), own])); // row 5
    } else if (is === 'c021 2') {
      assert.equal(id, 1);
      assert.deepEqual(data.subarray(1), lcp.subarray(5));
    } else if (is === '8021 1') {
      assert.deepEqual([...data.subarray(4)], [3, 6, 10, 99, 0, 1]); // row 6
      ack();
    } else if (is === '8057 1') {
      talk.sendFrame(Buffer.concat([hex('ff 03 c0 21 08 09'), Buffer.of(0, data.length + 6), hex('80 57'), data])); // no IPv6 here
    } else if (is === '8021 2') {
      assert.deepEqual([...data.subarray(4)], [3, 6, ...own]); // row 7
    }
    isUp = ['c021 1', 'c021 2', '8021 1', '8021 2'].every((step) => seen.has(step)) && talk.bytes.length === 0;
  }
  // Row 9 the other way round, and row 11: an echo of IPv4's.
  talk.sendFrame(hex('ff 03 c0 21 09 05 00 08 11 22 33 44'));
  const echo = await talk.frame();
  assert.deepEqual([...echo.subarray(0, 6)], [0xc0, 0x21, 0x0a, 5, 0, 8]);
  const ping = hex('45 00 00 20 00 00 00 00 40 01 00 00 00 00 00 00 0a 63 00 01  08 00 00 00 12 34 00 01 61 62 63 64');
  own.copy(ping, 12);
  ping.writeUInt16BE(checksum(ping.subarray(0, 20)), 10);
  ping.writeUInt16BE(checksum(ping.subarray(20)), 22);
  talk.sendFrame(Buffer.concat([hex('ff 03 00 21'), ping]));
  const pong = await talk.frame();
  assert.deepEqual([pong.readUInt16BE(0), pong[2 + 20], pong.subarray(2 + 28).toString()], [0x0021, 0, 'abcd']);
  talk.sendFrame(hex('ff 03 c0 21 05 02 00 04')); // row 13
  assert.deepEqual([...(await talk.frame())], [0xc0, 0x21, 6, 2, 0, 4]); // row 14
  talk.socket.end();
  const last = await open();
  last.socket.write(head('/remote/logout', cookie));
  assert.match(
    await last.message(),
    /^HTTP\/1\.1 200 OK\r\n[\s\S]*SVPNCOOKIE=; path=\/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure; httponly\r\n[\s\S]*\r\n\r\n[\s\S]+$/,
  );
  last.socket.write(head('/remote/sslvpn-tunnel', cookie));
  assert.match(await last.message(), /^HTTP\/1\.1 403 Forbidden\r\n/);
  last.socket.end();
  console.log('all as in the transcript');
}

async function gateway(certificate, key) {
  const server = tls.createServer(
    { cert: readFileSync(certificate), key: readFileSync(key) },
    (socket) => void serve(new FrameTalk(socket)).catch(() => socket.destroy()),
  );
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

async function serve(talk) {
  const reply = (status, headers, body = '') =>
    talk.socket.write(
      `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  for (;;) {
    const request = await talk.message();
    const [, method, path] = /^(\w+) (\S+) HTTP\/1\.1\r\n/.exec(request);
    assert.match(request, /^User-Agent: Mozilla\/5\.0 SV1\r$/m);
    if (path === '/') reply('302 Found', ['Location: /remote/login?lang=en']);
    else if (path === '/remote/login?lang=en') reply('200 OK', ['Content-Type: text/html'], '<html>login</html>');
    else if (method === 'POST') {
      const [, body] = request.split('\r\n\r\n');
      assert.equal(body, 'username=user&credential=secret&realm=&ajax=1&just_logged_in=1');
      assert.match(request, /^X-Pad: 00\r$/m);
      reply(
        '200 OK',
        ['Content-Type: text/plain', 'Set-Cookie: SVPNCOOKIE=abcDEF123; path=/; secure; httponly'],
        'ret=1,redir=/remote/fortisslvpn_xml',
      );
    } else {
      assert.match(request, /^Cookie: SVPNCOOKIE=abcDEF123\r$/m);
      if (path.startsWith('/remote/fortisslvpn_xml')) {
        reply(
          '200 OK',
          ['Content-Type: text/xml'],
          '<sslvpn-tunnel ver="2" dtls="0" patch="1"><ipv4><dns ip="10.0.0.53"/><assigned-addr ipv4="10.0.0.2"/></ipv4></sslvpn-tunnel>',
        );
      } else if (path === '/remote/logout') {
        console.log('logged out');
        reply('200 OK', ['Set-Cookie: SVPNCOOKIE=; path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT; secure; httponly'], 'bye');
      } else if (path === '/remote/sslvpn-tunnel') {
        return tunnel(talk);
      }
    }
  }
}

/** In FortiGate's style: no MRU, no FF 03 (rows 2, 3, 6, 7, 12 and 14). */
async function tunnel(talk) {
  talk.sendFrame(hex('c0 21 01 01 00 0a 05 06 a1 b2 c3 d4'));
  for (;;) {
    const frame = await talk.frame();
    assert.deepEqual([frame[0], frame[1]], [0xff, 0x03]); // a client sends it, always
    const payload = frame.subarray(2);
    const protocol = payload.readUInt16BE(0);
    const packet = payload.subarray(2);
    if (protocol === 0x0021) {
      const answer = Buffer.from(packet);
      packet.copy(answer, 12, 16, 20);
      packet.copy(answer, 16, 12, 16);
      answer[20] = 0; // an echo's answer
      answer.writeUInt16BE(0, 22);
      answer.writeUInt16BE(checksum(answer.subarray(20)), 22);
      talk.sendFrame(Buffer.concat([hex('00 21'), answer]));
    } else if (packet[0] === 1) {
      if (protocol === 0xc021) assert.deepEqual([packet[4], packet[8], packet.length], [1, 5, 14]); // MRU, magic
      if (protocol === 0x8021) {
        assert.deepEqual([...packet.subarray(4)], [3, 6, 10, 0, 0, 2]);
        talk.sendFrame(hex('80 21 01 02 00 0a 03 06 0a 00 00 01'));
      }
      talk.sendFrame(Buffer.concat([payload.subarray(0, 2), Buffer.of(2), packet.subarray(1)]));
    } else if (packet[0] === 5) {
      talk.sendFrame(Buffer.concat([hex('c0 21 06'), packet.subarray(1, 2), hex('00 04')]));
    }
  }
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
