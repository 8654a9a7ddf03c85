// The transcript of spec "Juniper NC", section 10, replayed by hand: by node:tls, node:dgram and node:crypto alone, with nothing of the project.
//
//   node nc-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway, by TLS
//   node nc-transcript.mjs gateway CERTIFICATE KEY       plays an appliance that answers by ESP, compressed; prints its port
import { strict as assert } from 'node:assert';
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { echo, hex, pong, Talk } from './talk.mjs';

const HELLO = '1300 0004000000 0600 6c6170746f70 bb0100000000';
const SETTINGS = '2400 000000000000012f 01000000010000000000 0010 0006 0000000a 0002 00000004 00000578';
const WELCOME = '/dana-na/auth/url_default/welcome.cgi';
const LOGIN = '/dana-na/auth/url_default/login.cgi';

/** With records as oNCP has them. */
class RecordTalk extends Talk {
  record() {
    return this.need((bytes) => (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16LE(0) ? 2 + bytes.readUInt16LE(0) : 0));
  }
  sendPacket(packet, constant) {
    const header = Buffer.concat([Buffer.alloc(2), hex('000000000000012c'), hex(constant), Buffer.alloc(2)]);
    header.writeUInt16LE(20 + packet.length, 0);
    header.writeUInt16BE(packet.length, 20);
    this.socket.write(Buffer.concat([header, packet]));
  }
}

const [, , role, ...rest] = process.argv;
await (role === 'client' ? client(...rest) : gateway(...rest));

async function client(port, user, password) {
  const open = () =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }, () =>
        resolve(new RecordTalk(socket)),
      );
      socket.once('error', reject);
    });
  const jar = new Map();
  const lines = () => {
    const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    return `Host: 127.0.0.1:${port}\r\nUser-Agent: Open AnyConnect VPN Agent v9.01-3\r\n${cookies === '' ? '' : `Cookie: ${cookies}\r\n`}NCP-Version: 3\r\n`;
  };
  const talk = await open();
  const ask = async (text, on = talk) => {
    on.socket.write(text);
    const answer = await on.message();
    for (const [, name, value] of answer.matchAll(/^Set-Cookie: (\w+)=([^;\r]*)/gm)) jar.set(name, value);
    return answer;
  };
  const get = (path, on) => ask(`GET ${path} HTTP/1.1\r\n${lines()}\r\n`, on);
  assert.match(await get('/'), /^HTTP\/1\.1 302 Found\r\n[\s\S]*Location: \/dana-na\/auth\/url_default\/welcome\.cgi\r\n/);
  const page = await get(WELCOME);
  assert.match(page, /<form name="frmLogin"[^>]*method="POST"/);
  const post = (form, secret) => {
    const [, step] = /name="sallyport_step" value="(\w+)"/.exec(form);
    const body = `tz_offset=&username=${user}&password=${secret}&realm=Users&sallyport_step=${step}&btnSubmit=Sign%20In`;
    return ask(
      `POST ${LOGIN} HTTP/1.1\r\n${lines()}X-Pad: 00\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  };
  const again = await post(page, 'wrong');
  assert.match(again, /^HTTP\/1\.1 200 OK\r\n[\s\S]*<form name="frmLogin"/);
  assert.ok(!jar.has('DSID'));
  assert.match(await post(again, password), /^HTTP\/1\.1 302 Found\r\n[\s\S]*Location: \/dana\/home\/starter0\.cgi\r\n/);
  assert.match(jar.get('DSID'), /^[0-9a-f]{32,}$/);
  assert.match(await get('/dana/home/starter0.cgi'), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n[\s\S]+$/);
  // No body, in spite of what it says; the tunnel is on the same connection.
  talk.socket.write(`POST /dana/js?prot=1&svc=4 HTTP/1.1\r\nConnection: close\r\n${lines()}Content-Length: 256\r\n\r\n`);
  assert.match(await talk.head(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*NCP-Version: 3\r\n/);
  talk.socket.write(hex(HELLO));
  assert.deepEqual(await talk.record(), hex('0100 00'));
  const configuration = await talk.record();
  assert.deepEqual(configuration.subarray(2, 20), hex('000000000000012d 01000000000000000000'));
  assert.equal(configuration.readUInt16BE(20), configuration.length - 22);
  assert.deepEqual(configuration.subarray(22, 38), hex('0006 0000000a 0002 00000004 00000578'));
  const at = configuration.indexOf(hex('0001 00000004 0a'));
  const own = configuration.subarray(at + 6, at + 10);
  talk.socket.write(hex(SETTINGS));
  talk.sendPacket(echo(own, hex('0a630001'), 8), '01000000010000000000');
  const answer = await talk.record();
  assert.deepEqual(answer.subarray(2, 20), hex('000000000000012c 01000000000000000000'));
  assert.deepEqual([answer[42], answer.subarray(50).toString()], [0, 'abcd']);
  talk.socket.end();
  const last = await open();
  assert.match(await get('/dana-na/auth/logout.cgi', last), /^HTTP\/1\.1 200 OK\r\n[\s\S]*Set-Cookie: DSID=;[\s\S]*\r\n\r\n[\s\S]+$/);
  last.socket.end();
  console.log('all as in the transcript');
}

async function gateway(certificate, key) {
  const server = tls.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => {
    serve(new RecordTalk(socket)).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

const FORM = `<html><form name="frmLogin" action="login.cgi" method="POST">
<input type="hidden" name="tz_offset" value=""><input type="text" name="username">
<input type="password" name="password"><input type="hidden" name="realm" value="Users">
<input type="submit" name="btnSubmit" value="Sign In"></form></html>`;

async function serve(talk) {
  const reply = (status, headers, body = '') =>
    talk.socket.write(
      `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  for (;;) {
    const head = await talk.head();
    const [, method, path] = /^(\w+) (\S+) HTTP\/1\.1\r\n/.exec(head);
    assert.match(head, /^NCP-Version: 3\r$/m);
    const isIn = () => assert.match(head, /^Cookie: .*DSID=0123456789abcdef0123456789abcdef/m);
    if (path === '/') reply('302 Found', [`Location: ${WELCOME}`]);
    else if (path === WELCOME) reply('200 OK', ['Content-Type: text/html'], FORM);
    else if (path === LOGIN && method === 'POST') {
      const length = Number(/^Content-Length: (\d+)\r$/m.exec(head)[1]);
      const body = (await talk.need((bytes) => (bytes.length >= length ? length : 0))).toString();
      assert.equal(body, 'tz_offset=&username=user&password=secret&realm=Users&btnSubmit=Sign%20In');
      assert.match(head, new RegExp(`^X-Pad: 0{${64 - (length % 64)}}\\r$`, 'm'));
      reply('302 Found', ['Location: /dana/home/starter0.cgi', 'Set-Cookie: DSID=0123456789abcdef0123456789abcdef; path=/; secure']);
    } else if (path === '/dana/home/starter0.cgi') {
      isIn();
      reply('403 Forbidden', [], 'no'); // the cookie is there: that is enough
    } else if (path === '/dana/js?prot=1&svc=4') {
      isIn();
      assert.match(head, /^POST .*\r\nConnection: close\r\n[\s\S]*\r\nContent-Length: 256\r\n\r\n$/);
      talk.socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nPragma: no-cache\r\nNCP-Version: 3\r\nConnection: close\r\n\r\n',
      );
      await tunnel(talk);
      return;
    } else if (path === '/dana-na/auth/logout.cgi') {
      isIn();
      console.log('logged out');
      reply('200 OK', ['Set-Cookie: DSID='], 'bye');
    } else reply('404 Not Found', []);
  }
}

async function tunnel(talk) {
  const hello = await talk.record();
  assert.deepEqual(hello.subarray(2, 7), hex('0004000000'));
  assert.equal(hello.readUInt16LE(7), hello.length - 15);
  assert.deepEqual(hello.subarray(-6), hex('bb0100000000'));
  const udp = createSocket('udp4');
  await new Promise((resolve) => udp.bind(0, '127.0.0.1', resolve));
  talk.socket.once('close', () => udp.close());
  const port = Buffer.alloc(2);
  port.writeUInt16BE(udp.address().port);
  const c2s = { spi: hex('a1b2c3d4'), block: Buffer.from(Array.from({ length: 64 }, (_, i) => i)), next: 0 };
  talk.socket.write(hex('0100 00'));
  talk.socket.write(
    hex(`ba00 000000000000012d 01000000000000000000 00a6 0006 0000000a 0002 00000004 00000578
      0001 00000014 0001 00000004 0a000002 0002 00000004 ffffff00
      0008 00000020 0001 00000001 02 0002 00000001 02 0004 00000002 ${port.toString('hex')} 000a 00000004 00000001
      0007 00000050 0001 00000004 a1b2c3d4 0002 00000040 ${c2s.block.toString('hex')}`),
  );
  // Settings and keys in one record (spec 6.5).
  const answer = await talk.record();
  assert.deepEqual(answer.subarray(0, 2), hex('8e00'));
  assert.deepEqual(answer.subarray(2, 38), hex(SETTINGS).subarray(2));
  assert.deepEqual(answer.subarray(38, 70), hex('000000000000012e 01000000010000000000 0056 0007 00000050 0001 00000004'));
  const s2c = { spi: answer.subarray(70, 74), block: answer.subarray(80), next: 0 };
  const payloads = [];
  let wake = () => {};
  udp.on('message', (datagram, from) => {
    payloads.push({ ...opened(datagram, c2s), from });
    wake();
  });
  const payload = async () => {
    while (payloads.length === 0) await new Promise((resolve) => (wake = resolve));
    return payloads.shift();
  };
  let from;
  for (let probe = 0; probe < 2; probe++) {
    const asked = await payload();
    assert.deepEqual([asked.sequence, asked.nextHeader, asked.payload], [probe, 4, hex('00')]);
    from = asked.from;
    udp.send(sealed(hex('00'), 4, s2c), from.port, from.address);
  }
  // A ping waits until the client wants packets by ESP (spec 6.7), and comes back compressed (spec "ESP", section 6).
  let held;
  for (;;) {
    const record = await talk.record();
    if (record.equals(hex('2100 000000000000012f 01000000010000000000 000d 0006 00000007 0001 00000001 01'))) break;
    assert.deepEqual(record.subarray(2, 20), hex('000000000000012c 01000000010000000000'));
    held = record.subarray(22);
    assert.equal(record.readUInt16BE(20), held.length);
  }
  for (;;) {
    const packet = held ?? (await payload()).payload;
    held = undefined;
    const echoed = pong(packet);
    if (echoed === undefined) continue;
    const literals = Buffer.concat([Buffer.from([17 + echoed.length]), echoed, hex('110000')]);
    assert.ok(echoed.length < 238);
    udp.send(sealed(literals, 5, s2c), from.port, from.address);
  }
}

/** RFC 4303 with AES-128-CBC and HMAC-SHA1-96; the keys lie side by side in the block. */
function opened(datagram, { spi, block }) {
  const end = datagram.length - 12;
  assert.deepEqual(datagram.subarray(0, 4), spi);
  assert.deepEqual(
    createHmac('sha1', block.subarray(16, 36)).update(datagram.subarray(0, end)).digest().subarray(0, 12),
    datagram.subarray(end),
  );
  const decipher = createDecipheriv('aes-128-cbc', block.subarray(0, 16), datagram.subarray(8, 24)).setAutoPadding(false);
  const plain = Buffer.concat([decipher.update(datagram.subarray(24, end)), decipher.final()]);
  const padding = plain[plain.length - 2];
  const payload = plain.subarray(0, plain.length - 2 - padding);
  for (let i = 0; i < padding; i++) assert.equal(plain[payload.length + i], i + 1);
  return { sequence: datagram.readUInt32BE(4), nextHeader: plain[plain.length - 1], payload };
}

function sealed(payload, nextHeader, sa) {
  const padding = 15 - ((payload.length + 1) % 16);
  const plain = Buffer.concat([payload, Buffer.from(Array.from({ length: padding }, (_, i) => i + 1)), Buffer.from([padding, nextHeader])]);
  const sequence = Buffer.alloc(4);
  sequence.writeUInt32BE(sa.next++);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-128-cbc', sa.block.subarray(0, 16), iv).setAutoPadding(false);
  const body = Buffer.concat([sa.spi, sequence, iv, cipher.update(plain), cipher.final()]);
  return Buffer.concat([body, createHmac('sha1', sa.block.subarray(16, 36)).update(body).digest().subarray(0, 12)]);
}
