// The transcript of spec "GlobalProtect", section 16, replayed by hand: by node:tls, node:dgram and node:crypto alone, with nothing of the project.
//
//   node gp-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway, with the tunnel over TLS
//   node gp-transcript.mjs gateway CERTIFICATE KEY       plays an appliance that has the tunnel by ESP; prints its port
import { strict as assert } from 'node:assert';
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { echo, hex, pong, Talk } from './talk.mjs';

const PRELOGIN = 'prelogin.esp?tmp=tmp&clientVer=4100&clientos=Linux';
const NO_PORTAL = 'GlobalProtect portal does not exist';
const KEEPALIVE = hex('1a2b3c4d 0000 0000 00000000 00000000');

const [, , role, ...rest] = process.argv;
await (role === 'client' ? client(...rest) : gateway(...rest));

async function client(port, user, password) {
  const open = () =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false }, () => resolve(new Talk(socket)));
      socket.once('error', reject);
    });
  const lines = `Host: 127.0.0.1:${port}\r\nUser-Agent: PAN GlobalProtect\r\n`;
  const talk = await open();
  const ask = (path, body, on = talk) => {
    const pad = '0'.repeat(64 - ((body?.length ?? 0) % 64));
    const type = 'application/x-www-form-urlencoded';
    const more = body === undefined ? '' : `X-Pad: ${pad}\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n`;
    on.socket.write(`POST ${path} HTTP/1.1\r\n${lines}${more}\r\n${body ?? ''}`);
    return on.message();
  };
  for (const folder of ['global-protect', 'ssl-vpn']) {
    const prelogin = await ask(`/${folder}/${PRELOGIN}`);
    assert.match(prelogin, /^HTTP\/1\.1 200 [\s\S]*<prelogin-response>[\s\S]*<status>Success<\/status>/);
  }
  const words = (secret) =>
    `jnlpReady=jnlpReady&ok=Login&direct=yes&clientVer=4100&prot=https:&internal=no&ipv6-support=yes&clientos=Linux&os-version=linux-64&server=127.0.0.1&computer=vm&user=${user}&passwd=${secret}`;
  assert.match(await ask('/ssl-vpn/login.esp', words('wrong')), /^HTTP\/1\.1 512 [\s\S]*x-private-pan-globalprotect: auth-failed/i);
  const policy = await ask('/global-protect/getconfig.esp', words(password));
  assert.match(policy, /<policy>[\s\S]*<gateways><external><list><entry name="127\.0\.0\.1(:\d+)?">/);
  const [, pass] = /<portal-userauthcookie>([^<]{2,})<\/portal-userauthcookie>/.exec(policy);
  const withPass = `${words('')}&portal-userauthcookie=`;
  const forged = `${pass.startsWith('A') ? 'B' : 'A'}${pass.slice(1)}`;
  assert.match(await ask('/ssl-vpn/login.esp', withPass + encodeURIComponent(forged)), /^HTTP\/1\.1 512 /);
  const admission = await ask('/ssl-vpn/login.esp', withPass + encodeURIComponent(pass));
  const values = [...admission.matchAll(/<argument>([^<]*)<\/argument>|<argument\/>/g)].map(([, value = '']) => value);
  assert.ok(values.length >= 15);
  assert.deepEqual([values[4], values[7], values[12], values[14]], [user, '%28empty_domain%29', 'tunnel', '4100']);
  assert.match(values[1], /^[0-9a-f]{32,}$/);
  const cookie = `authcookie=${values[1]}&portal=${values[3]}&user=${user}&domain=${values[7]}&computer=vm`;
  const configuration = await ask(
    '/ssl-vpn/getconfig.esp',
    `client-type=1&protocol-version=p1&internal=no&app-version=5.1.5-8&ipv6-support=yes&clientos=Linux&os-version=linux-64&hmac-algo=sha1%2cmd5%2csha256&enc-algo=aes-128-cbc%2caes-256-cbc&${cookie}`,
  );
  assert.match(configuration, /<ssl-tunnel-url>\/ssl-tunnel-connect\.sslvpn<\/ssl-tunnel-url>/);
  const [, address] = /<ip-address>([\d.]+)<\/ip-address>/.exec(configuration);
  assert.ok(Number(/<timeout>(\d+)</.exec(configuration)[1]) > 60);
  const md5 = createHash('md5').update(`portal=${values[3]}&user=${user}&domain=${values[7]}&computer=vm`).digest('hex');
  const check = await ask('/ssl-vpn/hipreportcheck.esp', `client-role=global-protect-full&${cookie}&client-ip=${address}&md5=${md5}`);
  assert.match(check, /<hip-report-needed>(yes|no)<\/hip-report-needed>/);
  // No header lines at all, and an answer that is no HTTP.
  talk.socket.write(`GET /ssl-tunnel-connect.sslvpn?authcookie=${values[1]}&user=${user} HTTP/1.1\r\n\r\n`);
  assert.equal((await talk.need((bytes) => (bytes.length >= 12 ? 12 : 0))).toString(), 'START_TUNNEL');
  talk.socket.write(KEEPALIVE);
  assert.deepEqual(await frame(talk), KEEPALIVE);
  const own = Buffer.from(address.split('.').map(Number));
  talk.socket.write(framed(echo(own, hex('0a630001'), 8)));
  const answer = await frame(talk);
  assert.deepEqual(answer.subarray(0, 16), hex('1a2b3c4d 0800 0020 01000000 00000000'));
  assert.deepEqual([answer[36], answer.subarray(44).toString()], [0, 'abcd']);
  talk.socket.end();
  const last = await open();
  assert.match(await ask('/ssl-vpn/logout.esp', cookie, last), /<response status="success">/);
  assert.match(await ask('/ssl-vpn/getconfig.esp', cookie, last), /<error>Invalid authentication cookie<\/error>/);
  last.socket.end();
  console.log('all as in the transcript');
}

function frame(talk) {
  return talk.need((bytes) => (bytes.length >= 16 && bytes.length >= 16 + bytes.readUInt16BE(6) ? 16 + bytes.readUInt16BE(6) : 0));
}

function framed(packet) {
  const header = hex('1a2b3c4d 0800 0000 01000000 00000000');
  header.writeUInt16BE(packet.length, 6);
  return Buffer.concat([header, packet]);
}

// ---- the other end

const COOKIE = '0123456789abcdef0123456789abcdef';
const bytesFrom = (first, count) => Buffer.from(Array.from({ length: count }, (_, i) => first + i));
/** Section 18.1. */
const C2S = { spi: hex('11223344'), key: bytesFrom(0x00, 16), macKey: bytesFrom(0x80, 20) };
const S2C = { spi: hex('55667788'), key: bytesFrom(0x40, 16), macKey: bytesFrom(0xc0, 20) };
/** Section 18.2. */
const PROBE = hex('4500002c474740004001cf700a0908070a09080108000b08474700016d6f6e69746f72000070616e20686120');

async function gateway(certificate, key) {
  const udp = dgram.createSocket('udp4');
  await new Promise((resolve) => {
    udp.bind(0, '127.0.0.1', resolve);
  });
  let received = 0;
  let sent = 0;
  udp.on('message', (datagram, from) => {
    const packet = opened(datagram);
    if (received === 0) assert.deepEqual([datagram.readUInt32BE(4), packet], [0, PROBE]);
    received++;
    const answer = pong(packet);
    if (answer !== undefined) udp.send(sealed(answer, sent++), from.port, from.address);
  });
  const server = tls.createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, (socket) => {
    serve(new Talk(socket), udp.address().port).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

async function serve(talk, udpPort) {
  const reply = (body) =>
    talk.socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/xml; charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  for (;;) {
    const message = await talk.message();
    const [head, body = ''] = message.split('\r\n\r\n');
    const [, path] = /^POST (\S+) HTTP\/1\.1\r\n/.exec(head);
    assert.match(head, /^User-Agent: PAN GlobalProtect\r?$/m);
    const [, computer] = /&computer=([^&]*)/.exec(body) ?? [];
    const names = `portal=GW-N&user=user&domain=%28empty_domain%29`;
    const cookie = `authcookie=${COOKIE}&${names}&preferred-ip=10.9.8.7&computer=${computer}`;
    switch (path) {
      case `/global-protect/${PRELOGIN}`:
        reply(`<prelogin-response><status>Error</status><msg>${NO_PORTAL}</msg></prelogin-response>`);
        break;
      case `/ssl-vpn/${PRELOGIN}`:
        reply('<prelogin-response><status>Success</status><ccusername></ccusername><region>XX</region></prelogin-response>');
        break;
      case '/ssl-vpn/login.esp':
        assert.match(
          body,
          /^jnlpReady=jnlpReady&ok=Login&direct=yes&clientVer=4100&prot=https(:|%3A)&internal=no&ipv6-support=yes&clientos=Linux&os-version=linux-64&server=127\.0\.0\.1%3A\d+&computer=[^&]+&user=user&passwd=secret$/,
        );
        reply(admission());
        break;
      case '/ssl-vpn/getconfig.esp':
        assert.match(
          body,
          /^client-type=1&protocol-version=p1&internal=no&app-version=[^&]+&ipv6-support=yes&clientos=Linux&os-version=linux-64&hmac-algo=[^&]*sha1[^&]*&enc-algo=[^&]*aes-128-cbc&/,
        );
        assert.ok(body.endsWith(`&${cookie}`));
        reply(configuration(udpPort));
        break;
      case '/ssl-vpn/hipreportcheck.esp': {
        const md5 = createHash('md5').update(`${names}&computer=${computer}`).digest('hex');
        assert.equal(body, `client-role=global-protect-full&${cookie}&client-ip=10.9.8.7&md5=${md5}`);
        reply('<response><hip-report-needed>no</hip-report-needed></response>');
        break;
      }
      case '/ssl-vpn/logout.esp':
        assert.equal(body, cookie);
        console.log('logged out');
        reply('<response status="success"><portal>GW-N</portal></response>');
        break;
      default:
        assert.fail(`there is no ${path}: the tunnel is by ESP`);
    }
  }
}

function admission() {
  const values = ['(null)', COOKIE, '0'.repeat(40), 'GW-N', 'user', 'LDAP-auth', 'vsys1', '%28empty_domain%29', '(null)', '', '', ''];
  const all = [...values, 'tunnel', '-1', '4100', '10.9.8.7', '', '', ''].map((value) => `<argument>${value}</argument>`).join('');
  return `<?xml version="1.0" encoding="utf-8"?>\n<jnlp><application-desc>${all}</application-desc></jnlp>`;
}

function configuration(udpPort) {
  const key = (name, bytes) => `<${name}><bits>${8 * bytes.length}</bits><val>${bytes.toString('hex')}</val></${name}>`;
  return `<response status="success"><need-tunnel>yes</need-tunnel><ssl-tunnel-url>/ssl-tunnel-connect.sslvpn</ssl-tunnel-url>
<portal>GW-N</portal><user>user</user><lifetime>86400</lifetime><timeout>7200</timeout>
<disconnect-on-idle>3600</disconnect-on-idle><gw-address>10.9.8.1</gw-address><ip-address>10.9.8.7</ip-address>
<netmask>255.255.255.255</netmask><dns><member>10.9.8.53</member></dns><wins></wins><mtu>1400</mtu>
<dns-suffix><member>corp.example</member></dns-suffix><access-routes><member>10.0.0.0/8</member></access-routes>
<ipsec><udp-port>${udpPort}</udp-port><ipsec-mode>esp-tunnel</ipsec-mode><enc-algo>aes-128-cbc</enc-algo>
<hmac-algo>sha1</hmac-algo><c2s-spi>0x11223344</c2s-spi><s2c-spi>0x55667788</s2c-spi>
${key('akey-s2c', S2C.macKey)}${key('ekey-s2c', S2C.key)}${key('akey-c2s', C2S.macKey)}${key('ekey-c2s', C2S.key)}</ipsec></response>`;
}

/** RFC 4303 with AES-128-CBC and HMAC-SHA1-96. */
function opened(datagram) {
  const end = datagram.length - 12;
  assert.deepEqual(datagram.subarray(0, 4), C2S.spi);
  assert.deepEqual(createHmac('sha1', C2S.macKey).update(datagram.subarray(0, end)).digest().subarray(0, 12), datagram.subarray(end));
  const decipher = createDecipheriv('aes-128-cbc', C2S.key, datagram.subarray(8, 24)).setAutoPadding(false);
  const plain = Buffer.concat([decipher.update(datagram.subarray(24, end)), decipher.final()]);
  const [padding, nextHeader] = plain.subarray(-2);
  assert.equal(nextHeader, 4);
  assert.deepEqual(plain.subarray(plain.length - 2 - padding, -2), bytesFrom(1, padding));
  return plain.subarray(0, plain.length - 2 - padding);
}

function sealed(packet, sequence) {
  const padding = 15 - ((packet.length + 1) % 16);
  const iv = randomBytes(16);
  const cipher = createCipheriv('aes-128-cbc', S2C.key, iv).setAutoPadding(false);
  const number = Buffer.alloc(4);
  number.writeUInt32BE(sequence);
  const head = Buffer.concat([S2C.spi, number, iv]);
  const body = Buffer.concat([head, cipher.update(Buffer.concat([packet, bytesFrom(1, padding), Buffer.of(padding, 4)])), cipher.final()]);
  return Buffer.concat([body, createHmac('sha1', S2C.macKey).update(body).digest().subarray(0, 12)]);
}
