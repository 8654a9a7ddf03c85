// Plays an appliance: spec "Pulse", sections 4, 6, 8 and 13.
import { strict as assert } from 'node:assert';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { Tunneled } from './pulse-eap-ttls.mjs';
import { EspEnd } from './pulse-esp.mjs';
import { AUTH, avp, CONVERSATION, JUNIPER, number, PacketTalk, Plain, TCG } from './pulse-packets.mjs';
import { hex, pong } from './talk.mjs';

const SWITCHED = ['Content-type: application/octet-stream', 'Pragma: no-cache', 'Upgrade: IF-T/TLS 1.0', 'Connection: Upgrade'];
const COOKIE = '0123456789abcdef0123456789abcdef';

export async function gateway(certificate, key, mode, fragment, innerCertificate = certificate, innerKey = key) {
  const of = (cert, itsKey) => ({ cert: readFileSync(cert), key: readFileSync(itsKey) });
  const identity = of(certificate, key);
  const hasTtls = mode?.startsWith('TLS') === true;
  const inner = hasTtls ? { ...of(innerCertificate, innerKey), minVersion: mode, maxVersion: mode } : {};
  const options = {
    hasEsp: mode === 'ESP',
    ttls: hasTtls ? { context: tls.createSecureContext(inner), fragment: Number(fragment) } : undefined,
  };
  const server = tls.createServer(identity, (socket) => {
    serve(new PacketTalk(socket), options).catch((error) => {
      if (error.code === 'ERR_ASSERTION') console.error(error.message);
      socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
}

async function serve(talk, { ttls, hasEsp }) {
  const head = await talk.head();
  assert.match(
    head,
    /^GET \/ HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nUser-Agent: .*\r\nContent-Type: EAP\r\nUpgrade: IF-T\/TLS 1\.0\r\nContent-Length: 0\r\n\r\n$/,
  );
  talk.sequence = 0x1f5;
  talk.socket.write(`HTTP/1.1 101 Switching Protocols\r\n${SWITCHED.join('\r\n')}\r\n\r\n`);
  await talk.expect(TCG, '1', '00010202');
  talk.send(TCG, '2', '00000002');
  assert.match((await talk.kind(JUNIPER, '88')).toString(), /^clientHostName=[\w.-]+ clientIp=127\.0\.0\.1\n\0$/);
  talk.send(TCG, '5', AUTH);
  const plain = new Plain(talk);
  assert.equal(await plain.hear(), '0201000e01616e6f6e796d6f7573');
  const inside = ttls && new Tunneled(talk, ttls);
  if (inside) console.log(`certificate of ${await inside.open()}`);
  const eap = inside ?? plain;
  // "SallyportTest", as section 6.1 has it.
  const server = '00000d49 80000010 00000583 00000004  00000d4a 80000010 00000583 00000001';
  await eap.say(`01 02 0048 ${CONVERSATION} ${server} 00000d56 80000019 00000583 53616c6c79706f727454657374 000000`);
  const said = await eap.hear();
  assert.match(said, /^0202....fe000a4c0000000100000d7080/);
  const held = said.includes(avp('0d53', COOKIE).replaceAll(' ', ''));
  if (!held) {
    await eap.say(`01030024 ${CONVERSATION} 0000004f40000015 0101000d fe000a4c00000002 01 000000`);
    const answer = '00000d6d 80000010 00000583 75736572  0000004f 4000001d 02010015 fe000a4c00000002 02 0208736563726574 000000';
    assert.equal(await eap.hear(), hex(`0203003c ${CONVERSATION} ${answer}`).toString('hex'));
  }
  await eap.say(`01040038 ${CONVERSATION} ${avp('0d53', COOKIE)}`);
  assert.equal(await eap.hear(), hex(`0204000c ${CONVERSATION}`).toString('hex'));
  talk.send(TCG, '7', `${AUTH} 03050004`);
  // Section 13, with an address that is pinged; packets that nobody knows between them.
  talk.send(JUNIPER, '96', '0102');
  const own = '0001 0004 0a000002  0002 0004 ffffff00';
  const container = (length, body) => `00000000000000000000000000000000 2c20f000 00000000 ${length} 2e00 0008 00000000 ${body}`;
  const esp = hasEsp && (await EspEnd.open(talk));
  if (esp) {
    const terms = `4010 0002 0005  4011 0002 0003  4014 0004 00000001  4016 0002 ${number(esp.port, 4)}  4017 0004 0000000f`;
    talk.send(JUNIPER, '1', container('00000066', `00000042 03000000  4005 0004 00000578  ${terms}  ${own}`));
    esp.offer('a1b2c3d4');
  } else talk.send(JUNIPER, '1', container('00000044', `00000020 03000000  4005 0004 00000578  ${own}`));
  talk.send(JUNIPER, '8f', '00000000');
  talk.send(JUNIPER, '96', '');
  for (;;) {
    const packet = await talk.packet();
    const kind = packet.subarray(0, 8).toString('hex');
    if (kind === `${JUNIPER}00000089`) {
      assert.equal(packet.length, 16);
      console.log('logged out');
      esp?.socket.close();
      return;
    }
    if (kind === `${JUNIPER}00000001` || kind === `${JUNIPER}00000005`) {
      esp.told(kind, packet.subarray(16));
      continue;
    }
    assert.equal(kind, `${JUNIPER}00000004`);
    const answer = pong(packet.subarray(16));
    if (answer !== undefined && !esp) talk.send(JUNIPER, '4', answer);
  }
}
