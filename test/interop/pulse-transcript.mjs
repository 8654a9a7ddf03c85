// The transcript of spec "Pulse", section 13, and the bytes of its sections 4 and 6, replayed by hand: by node:tls alone, with nothing of the project.
//
//   node pulse-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway
//   node pulse-transcript.mjs gateway CERTIFICATE KEY       plays an appliance; prints its port
//   … gateway CERTIFICATE KEY ESP                           the same, by ESP (sections 8.4, 8.5 and 10): pings by UDP alone, under two pairs of keys
//   … gateway CERTIFICATE KEY TLSv1.2|TLSv1.3 FRAGMENT [CERTIFICATE KEY]
//                                                           the same, which wants a client's certificate by EAP-TTLS (section 7); its own may differ there
import { strict as assert } from 'node:assert';
import { once } from 'node:events';
import tls from 'node:tls';
import { gateway } from './pulse-appliance.mjs';
import { AUTH, avp, CONVERSATION, JUNIPER, number, PacketTalk, TCG } from './pulse-packets.mjs';
import { echo, hex } from './talk.mjs';

const [, , role, ...rest] = process.argv;
await (role === 'client' ? client(...rest) : gateway(...rest));

async function client(port, user, password) {
  const open = async () => {
    const socket = tls.connect({ port: Number(port), host: '127.0.0.1', rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    return new PacketTalk(socket);
  };
  const agent = '4f70656e20416e79436f6e6e6563742056504e204167656e742076392e30312d33';
  /** Up to what is said of the client: bytes of section 4, 6.1 and 6.2. */
  const begin = async (cookie) => {
    const talk = await open();
    talk.socket.write(
      `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: Open AnyConnect VPN Agent v9.01-3\r\nContent-Type: EAP\r\nUpgrade: IF-T/TLS 1.0\r\nContent-Length: 0\r\n\r\n`,
    );
    assert.match(
      await talk.head(),
      /^HTTP\/1\.1 101 Switching Protocols\r\n(?=[\s\S]*Upgrade: IF-T\/TLS 1\.0\r\n)[\s\S]*Connection: Upgrade\r\n\r\n$/,
    );
    talk.send(TCG, '1', '00010202');
    await talk.expect(TCG, '2', '00000002');
    talk.send(JUNIPER, '88', Buffer.from('clientHostName=laptop clientIp=127.0.0.1\n\0'));
    await talk.expect(TCG, '5', AUTH);
    talk.send(TCG, '6', `${AUTH} 0201000e01616e6f6e796d6f7573`);
    const { id, avps } = await asked(talk);
    assert.equal(avps.slice(0, 64), '00000d49800000100000058300000004'.concat('00000d4a800000100000058300000001'));
    assert.equal(avps.slice(64, 72), '00000d56');
    const known = cookie === undefined ? '' : avp('0d53', cookie);
    answer(talk, id, `00000d70 8000002d 00000583 ${agent} 000000 ${known}`);
    return talk;
  };
  const talk = await begin();
  // Wrong, then right: the name is in each answer.
  for (const [code, secret] of [
    ['01', 'wrong'],
    ['81', password],
  ]) {
    const { id, avps } = await asked(talk);
    assert.match(avps, new RegExp(`^0000004f4000001501(..)000dfe000a4c00000002${code}000000$`));
    answer(talk, id, `${avp('0d6d', user)} ${passwordAvp(avps.slice(18, 20), secret)}`);
  }
  const cookie = await finish(talk);
  const own = await configured(talk);
  await ping(talk, own);
  // Two packets in one record, and a third in two.
  await ping(talk, own, writeCut);
  talk.socket.destroy(); // lost
  const again = await begin(cookie);
  assert.equal(await finish(again), cookie);
  assert.deepEqual(await configured(again), own);
  await ping(again, own);
  again.send(JUNIPER, '89', '');
  await once(again.socket, 'close');
  const last = await open();
  last.socket.write(`GET /dana-na/auth/logout.cgi HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nCookie: DSID=${cookie}\r\n\r\n`);
  assert.match(await last.message(), /^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\n[\s\S]+$/);
  last.socket.end();
  // A cookie of no session is asked for a password, at which openconnect gives up.
  const dead = await begin(cookie);
  assert.match((await asked(dead)).avps, /^0000004f4000001501/);
  dead.socket.destroy();
  console.log('all as in the transcript');
  process.exit();
}

/** One question, whose lengths agree. */
async function asked(talk) {
  const payload = (await talk.kind(TCG, '5')).toString('hex');
  const [, id, length, avps] = new RegExp(`^${AUTH}01(..)(....)${CONVERSATION.replace(' ', '')}(.*)$`).exec(payload);
  assert.equal(Number.parseInt(length, 16), payload.length / 2 - 4);
  return { id, avps };
}

function answer(talk, id, avps) {
  talk.send(TCG, '6', `${AUTH} 02 ${id} ${number(12 + hex(avps).length, 4)} ${CONVERSATION} ${avps}`);
}

/** Section 6.8; the cookie. */
async function finish(talk) {
  const { id, avps } = await asked(talk);
  const [, length] = /^00000d5380(......)00000583/.exec(avps);
  const cookie = Buffer.from(avps.slice(24, 2 * Number.parseInt(length, 16)), 'hex').toString();
  assert.match(cookie, /^[\w-]{32,}$/);
  answer(talk, id, '');
  const success = (await talk.kind(TCG, '7')).toString('hex');
  assert.match(success, /^000a4c0103..0004$/);
  return cookie;
}

/** The configuration, checked as section 8 has it; the address. */
async function configured(talk) {
  const main = await talk.kind(JUNIPER, '1');
  assert.equal(main.subarray(0, 24).toString('hex'), `${'0'.repeat(32)}2c20f00000000000`);
  assert.equal(main.readUInt32BE(24), main.length);
  assert.equal(main.readUInt16BE(28), 0x2e00);
  assert.equal(main.readUInt16BE(30), 8 + 16 * main[32]);
  let at = 28 + main.readUInt16BE(30);
  assert.equal(main.readUInt32BE(at), main.length - at);
  assert.equal(main.readUInt32BE(at + 4), 0x03000000);
  const attributes = new Map();
  for (at += 8; at < main.length; at += 4 + main.readUInt16BE(at + 2)) {
    attributes.set(main.readUInt16BE(at), main.subarray(at + 4, at + 4 + main.readUInt16BE(at + 2)));
  }
  assert.equal(attributes.get(0x4005).readUInt32BE(0), 1400);
  await talk.expect(JUNIPER, '8f', '00000000');
  const packets = talk.records.slice(1); // behind the answer of HTTP
  assert.ok(packets.includes(16 + main.length) && packets.includes(20), 'one packet is one record');
  return attributes.get(1);
}

function writeWhole(talk, bytes) {
  talk.socket.write(bytes);
  return 1;
}

function writeCut(talk, bytes) {
  talk.socket.write(Buffer.concat([bytes, bytes, bytes.subarray(0, 13)]));
  talk.socket.write(bytes.subarray(13));
  return 3;
}

/** `write` says how many pings it has written. */
async function ping(talk, own, write = writeWhole) {
  const packet = echo(own, hex('0a630001'), 8);
  const header = hex(`${JUNIPER} 00000004 ${number(16 + packet.length, 8)} 00000007`);
  const pings = write(talk, Buffer.concat([header, packet]));
  for (let pongs = 0; pongs < pings; pongs++) {
    const answer = await talk.kind(JUNIPER, '4');
    assert.deepEqual([answer[9], answer[20], answer.subarray(28).toString()], [1, 0, 'abcd']);
    assert.deepEqual(answer.subarray(16, 20), own);
  }
}

function passwordAvp(innerId, secret) {
  const data = Buffer.from(secret).toString('hex');
  const inner = `02 ${innerId} ${number(15 + secret.length, 4)} fe000a4c00000002 02 02${number(2 + secret.length, 2)}${data}`;
  const length = hex(inner).length;
  return `0000004f 40${number(8 + length, 6)} ${inner} ${'00'.repeat(-length & 3)}`;
}
