// The transcript of spec "F5", section 8, and the frames of spec "PPP", section 12.3, replayed by hand: by node:tls alone, with nothing of the project.
//
//   node f5-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway
//   node f5-transcript.mjs gateway CERTIFICATE KEY       plays a BIG-IP; prints its port
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { hex, Talk } from './talk.mjs';

/** With frames as F5 has them. */
class FrameTalk extends Talk {
  /** A PPP frame: protocol, and what follows it, whichever of the four headers it has. */
  async frame() {
    const whole = (bytes) => (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt16BE(2) ? 4 + bytes.readUInt16BE(2) : 0);
    const frame = await this.need(whole);
    assert.equal(frame.readUInt16BE(0), 0xf500);
    const ppp = frame[4] === 0xff && frame[5] === 0x03 ? frame.subarray(6) : frame.subarray(4);
    const isShort = (ppp[0] & 1) === 1;
    return { protocol: isShort ? ppp[0] : ppp.readUInt16BE(0), packet: ppp.subarray(isShort ? 1 : 2), hasAddress: frame[4] === 0xff };
  }
  sendFrame(text, ...more) {
    const payload = Buffer.concat([hex(text), ...more]);
    const header = Buffer.of(0xf5, 0, payload.length >>> 8, payload.length & 0xff);
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
  const jar = new Map();
  const cookies = () => [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
  const head = (path, hasCookies = true) =>
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: Open AnyConnect VPN Agent v9.01-3\r\n${hasCookies && jar.size > 0 ? `Cookie: ${cookies()}\r\n` : ''}\r\n`;
  const talk = await open();
  const ask = async (text) => {
    talk.socket.write(text);
    const answer = await talk.message();
    for (const [, name, value] of answer.matchAll(/^Set-Cookie: (\w+)=([^;\r]*)/gm)) jar.set(name, value);
    return answer;
  };
  assert.match(await ask(head('/')), /^HTTP\/1\.1 302 Found\r\n[\s\S]*Location: \/my\.policy\r\n/);
  assert.ok(jar.has('MRHSession') && !jar.has('F5_ST'));
  const page = await ask(head('/my.policy'));
  assert.match(page, /<form id="auth_form"[^>]* method="post" action="\/my\.policy"/);
  const hidden = (html) =>
    [...html.matchAll(/type="hidden" name="(\w+)" value="(\w+)"/g)].map(([, name, value]) => `&${name}=${value}`).join('');
  const post = (body) =>
    `POST /my.policy HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: Open AnyConnect VPN Agent v9.01-3\r\nCookie: ${cookies()}\r\nX-Pad: 00\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const again = await ask(post(`username=${user}&password=wrong${hidden(page)}`));
  assert.match(again, /^HTTP\/1\.1 200 OK\r\n[\s\S]*<form id="auth_form"[\s\S]*<td id="credentials_table_postheader">[^<]+</);
  assert.ok(!jar.has('F5_ST'));
  assert.match(
    await ask(post(`username=${user}&password=${password}${hidden(again)}`)),
    /^HTTP\/1\.1 302 Found\r\n[\s\S]*Location: (\/vdesk\/webtop\.eui\S*)\r\n/,
  );
  assert.match(jar.get('MRHSession'), /^[0-9a-f]{32,}$/);
  assert.match(jar.get('F5_ST'), /^\d+z\d+z\d+z\d{10}z\d+$/);
  assert.match(await ask(head('/vdesk/webtop.eui?webtop=/Common/wt&webtop_type=webtop_full')), /^HTTP\/1\.1 200 OK\r\n/);
  const [, params] = /<favorites type="VPN"[\s\S]*<params>([^<]+)<\/params>/.exec(
    await ask(head('/vdesk/vpn/index.php3?outform=xml&client_version=2.0')),
  );
  const options = await ask(head(`/vdesk/vpn/connect.php3?${params}&outform=xml&client_version=2.0`));
  const option = (name) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(options)[1];
  assert.equal(option('IPV4_0'), '1');
  const request = (z) => `/myvpn?sess=${option('Session_ID')}&hdlc_framing=no&ipv4=yes&ipv6=no&Z=${z}&hostname=dm0=`;
  const wrong = await open();
  wrong.socket.write(head(request('0000'), false));
  assert.match(await wrong.message(), /^HTTP\/1\.1 504 /);
  const answer = await ask(head(request(option('ur_Z')), false));
  const [, address] = /^HTTP\/1\.1 200 OK\r\n[\s\S]*X-VPN-client-IP: ([\d.]+)\r\n/.exec(answer);
  const own = Buffer.from(address.split('.').map(Number));
  talk.sendFrame('ff 03 c0 21 01 01 00 12 01 04 05 aa 05 06 11 22 33 44 07 02 08 02'); // row 1
  const seen = new Set();
  while (!['c021 1', 'c021 2', '8021 1', '8021 2'].every((step) => seen.has(step))) {
    const { protocol, packet, hasAddress } = await talk.frame();
    const is = `${protocol.toString(16)} ${packet[0]}`;
    const ack = (prefix) => talk.sendFrame(prefix, Buffer.of(2), packet.subarray(1));
    if (is === 'c021 1') {
      // Row 2: MRU, ACCM of zero, magic, PFC, ACFC, in this order.
      assert.ok(hasAddress);
      assert.deepEqual(
        [packet[4], packet[8], ...packet.subarray(10, 15), packet[20], packet[22], packet.length],
        [1, 2, 0, 0, 0, 0, 5, 7, 8, 24],
      );
      ack('ff 03 c0 21');
    } else if (is === 'c021 2') {
      assert.deepEqual([...packet], [...hex('02 01 00 12 01 04 05 aa 05 06 11 22 33 44 07 02 08 02')]); // row 3
      talk.sendFrame('80 21 01 01 00 0a 03 06', own); // no FF 03 any more
    } else if (is === '8021 1') {
      assert.deepEqual([packet[4], packet[5]], [3, 6]); // row 6
      ack('80 21');
    } else if (is === '8021 2') {
      assert.deepEqual([...packet.subarray(4)], [3, 6, ...own]);
    }
    seen.add(is);
  }
  const ping = hex('45 00 00 20 00 00 00 00 40 01 00 00 00 00 00 00 0a 63 00 01  08 00 00 00 12 34 00 01 61 62 63 64');
  own.copy(ping, 12);
  ping.writeUInt16BE(checksum(ping.subarray(0, 20)), 10);
  ping.writeUInt16BE(checksum(ping.subarray(20)), 22);
  talk.sendFrame('21', ping); // row 17
  const pong = await talk.frame();
  assert.deepEqual([pong.protocol, pong.packet[20], pong.packet.subarray(28).toString(), pong.hasAddress], [0x21, 0, 'abcd', false]);
  talk.sendFrame('80 fd 01 01 00 04'); // CCP
  assert.deepEqual([...(await talk.frame()).packet.subarray(4)], [...hex('80 fd 01 01 00 04')]); // row 18
  talk.sendFrame('ff 03 c0 21 05 03 00 04');
  assert.deepEqual([...(await talk.frame()).packet], [6, 3, 0, 4]);
  talk.socket.end();
  const last = await open();
  last.socket.write(head('/vdesk/hangup.php3?hangup_error=1'));
  assert.match(await last.message(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*Set-Cookie: MRHSession=; path=\/; expires=[\s\S]*\r\n\r\n[\s\S]+$/);
  last.socket.write(head('/vdesk/vpn/index.php3?outform=xml&client_version=2.0'));
  assert.match(await last.message(), /^HTTP\/1\.1 403 /);
  last.socket.end();
  console.log('all as in the transcript');
}

async function gateway(certificate, key) {
  const server = tls.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => {
    serve(new FrameTalk(socket)).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

const FORM = `<html><body><form id="auth_form" name="e1" method="post" action="/my.policy" autocomplete="off">
<table><tr><td id="credentials_table_header">Secure Logon</td></tr>
<tr><td id="credentials_table_postheader"></td></tr></table>
<input type="text" name="username"/>
<input type="password" name="password"/>
<input type="hidden" name="vhost" value="standard"/>
<input type="submit" value="Logon"/>
</form></body></html>`;

const RESOURCES =
  '<?xml version="1.0" encoding="utf-8"?><favorites type="VPN" limited="YES"><favorite id="/Common/na"><caption>na</caption><name>/Common/na</name><params>resourcename=/Common/na</params></favorite></favorites>';

const OPTIONS =
  '<?xml version="1.0" encoding="UTF-8" ?><favorite><object ID="ur_Host"><ur_Z>zz11</ur_Z><Session_ID>sess22</Session_ID><IPV4_0>1</IPV4_0><IPV6_0>0</IPV6_0><tunnel_dtls>0</tunnel_dtls><UseDefaultGateway0>0</UseDefaultGateway0><LAN0>10.0.0.0/8</LAN0><hdlc_framing>no</hdlc_framing></object></favorite>';

async function serve(talk) {
  const reply = (status, headers, body = '') =>
    talk.socket.write(
      `HTTP/1.1 ${status}\r\n${headers.map((line) => `${line}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  const SESSION = 'MRHSession=0123456789abcdef0123456789abcdef; F5_ST=1z1z1z1795436305z604800';
  for (;;) {
    const request = await talk.message();
    const [, method, path] = /^(\w+) (\S+) HTTP\/1\.1\r\n/.exec(request);
    const cookie = /^Cookie: (.*)\r$/m.exec(request)?.[1];
    const isIn = () =>
      assert.equal(
        cookie
          ?.split('; ')
          .filter((each) => !each.startsWith('Last'))
          .join('; '),
        SESSION,
      );
    if (path === '/') {
      reply('302 Found', [
        'Location: /my.policy',
        'Set-Cookie: LastMRH_Session=a1b2c3d4;path=/;secure',
        'Set-Cookie: MRHSession=pre0000;path=/;secure',
      ]);
    } else if (path === '/my.policy' && method === 'GET') {
      assert.equal(cookie, 'LastMRH_Session=a1b2c3d4; MRHSession=pre0000');
      reply('200 OK', ['Content-Type: text/html'], FORM);
    } else if (path === '/my.policy') {
      assert.equal(request.split('\r\n\r\n')[1], 'username=user&password=secret&vhost=standard');
      assert.match(request, /^X-Pad: 0{20}\r$/m);
      const [id, timing] = SESSION.split('; ');
      reply('302 Found', [
        'Location: /vdesk/webtop.eui?webtop=/Common/wt&webtop_type=webtop_full',
        `Set-Cookie: ${id};path=/;secure`,
        `Set-Cookie: ${timing};path=/;secure`,
      ]);
    } else if (path.startsWith('/myvpn?')) {
      assert.equal(cookie, undefined);
      assert.match(path, /^\/myvpn\?sess=sess22&hdlc_framing=no&ipv4=yes&ipv6=no&Z=zz11&hostname=[A-Za-z0-9+/]+=*$/);
      reply('200 OK', []);
      await tunnel(talk);
      return;
    } else {
      isIn();
      if (path.startsWith('/vdesk/webtop.eui')) reply('200 OK', ['Content-Type: text/html'], '<html>webtop</html>');
      else if (path === '/vdesk/vpn/index.php3?outform=xml&client_version=2.0') reply('200 OK', ['Content-Type: text/xml'], RESOURCES);
      else if (path === '/vdesk/vpn/connect.php3?resourcename=/Common/na&outform=xml&client_version=2.0')
        reply('200 OK', ['Content-Type: text/xml'], OPTIONS);
      else if (path === '/vdesk/hangup.php3?hangup_error=1') {
        console.log('logged out');
        reply('200 OK', ['Set-Cookie: MRHSession=; path=/; expires=Sun, 11 Mar 1984 12:00:00 GMT'], 'bye');
      }
    }
  }
}

/** Rows 2 to 12, everything asked through PPP, then data and the end. */
async function tunnel(talk) {
  talk.sendFrame('ff 03 c0 21 01 01 00 18 01 04 05 aa 02 06 00 00 00 00 05 06 a1 b2 c3 d4 07 02 08 02');
  for (;;) {
    const { protocol, packet, hasAddress } = await talk.frame();
    if (protocol === 0x21) {
      const answer = Buffer.from(packet);
      packet.copy(answer, 12, 16, 20);
      packet.copy(answer, 16, 12, 16);
      answer[20] = 0; // an echo's answer
      answer.writeUInt16BE(0, 22);
      answer.writeUInt16BE(checksum(answer.subarray(20)), 22);
      talk.sendFrame('21', answer);
    } else if (protocol === 0xc021 && packet[0] === 1) {
      assert.ok(hasAddress);
      talk.sendFrame('ff 03 c0 21 02', packet.subarray(1));
    } else if (protocol === 0x8021 && packet[0] === 1) {
      ipcp(talk, packet);
    } else if (protocol === 0xc021 && packet[0] === 5) {
      talk.sendFrame('ff 03 c0 21 06', packet.subarray(1, 2), hex('00 04'));
    }
  }
}

function ipcp(talk, packet) {
  const id = packet.subarray(1, 2);
  const asked = packet.subarray(4).toString('hex');
  if (asked === '030600000000810600000000820600000000830600000000840600000000') {
    talk.sendFrame('ff 03 80 21 01 02 00 0a 03 06 0a 00 00 01'); // row 6
    talk.sendFrame('ff 03 80 21 04', id, hex('00 16 82 06 00 00 00 00 83 06 00 00 00 00 84 06 00 00 00 00')); // row 7
  } else if (asked === '030600000000810600000000') {
    talk.sendFrame('ff 03 80 21 03', id, hex('00 10 03 06 0a 00 00 02 81 06 0a 00 00 35')); // row 10
  } else {
    assert.equal(asked, '03060a000002');
    talk.sendFrame('ff 03 80 21 02', packet.subarray(1)); // row 12
  }
}

function checksum(bytes) {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
