// The transcript of spec "Pulse", section 13, and the bytes of its sections 4 and 6, replayed by hand: by node:tls alone, with nothing of the project.
//
//   node pulse-transcript.mjs client PORT USER PASSWORD     plays openconnect 9.01 to a gateway
//   node pulse-transcript.mjs gateway CERTIFICATE KEY       plays an appliance; prints its port
//   … gateway CERTIFICATE KEY ESP                           the same, by ESP (sections 8.4, 8.5 and 10): pings by UDP alone, under two pairs of keys
//   … gateway CERTIFICATE KEY TLSv1.2|TLSv1.3 FRAGMENT [CERTIFICATE KEY]
//                                                           the same, which wants a client's certificate by EAP-TTLS (section 7); its own may differ there
import { strict as assert } from 'node:assert';
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import { echo, hex, pong, Talk } from './talk.mjs';

const TCG = '00005597';
const JUNIPER = '00000a4c';
const CONVERSATION = 'fe000a4c 00000001';
const AUTH = '000a4c01';
const SWITCHED = ['Content-type: application/octet-stream', 'Pragma: no-cache', 'Upgrade: IF-T/TLS 1.0', 'Connection: Upgrade'];
const COOKIE = '0123456789abcdef0123456789abcdef';

/** With IF-T packets; what was heard of each TLS record is kept, as a client of openconnect's drops what is no packet by itself. */
class PacketTalk extends Talk {
  sequence = 0;
  records = [];
  constructor(socket) {
    super(socket);
    socket.on('data', (chunk) => this.records.push(chunk.length));
  }
  packet() {
    return this.need((bytes) => (bytes.length >= 16 && bytes.length >= bytes.readUInt32BE(8) ? bytes.readUInt32BE(8) : 0));
  }
  /** Vendor and type, and what is behind the sequence number. */
  async kind(vendor, type) {
    const packet = await this.packet();
    assert.equal(packet.subarray(0, 8).toString('hex'), `${vendor}${type.padStart(8, '0')}`);
    return packet.subarray(16);
  }
  async expect(vendor, type, payload) {
    assert.equal((await this.kind(vendor, type)).toString('hex'), hex(payload).toString('hex'));
  }
  send(vendor, type, payload) {
    const body = Buffer.isBuffer(payload) ? payload : hex(payload);
    const header = hex(`${vendor} ${type.padStart(8, '0')} 00000000 00000000`);
    header.writeUInt32BE(16 + body.length, 8);
    header.writeUInt32BE(this.sequence++, 12);
    this.socket.write(Buffer.concat([header, body]));
  }
}

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

async function gateway(certificate, key, mode, fragment, innerCertificate = certificate, innerKey = key) {
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

/** EAP packets as they stand in IF-T. */
class Plain {
  constructor(talk) {
    this.talk = talk;
  }
  async say(eap) {
    this.talk.send(TCG, '5', `${AUTH} ${eap}`);
  }
  async hear() {
    const payload = (await this.talk.kind(TCG, '6')).toString('hex');
    assert.ok(payload.startsWith(AUTH));
    return payload.slice(AUTH.length);
  }
}

/** The same inside TLS inside EAP-TTLS, in fragments. */
class Tunneled {
  id = 0x40;
  records = [];
  heard = Buffer.alloc(0);
  constructor(talk, { context, fragment }) {
    this.plain = new Plain(talk);
    this.fragment = fragment;
    this.carrier = new Duplex({
      read() {},
      write: (chunk, _encoding, done) => {
        this.records.push(chunk);
        done();
      },
    });
    this.tls = new tls.TLSSocket(this.carrier, { isServer: true, secureContext: context, requestCert: true, rejectUnauthorized: false });
    this.tls.on('data', (bytes) => {
      this.heard = Buffer.concat([this.heard, bytes]);
    });
  }
  async open() {
    await this.#feed(await this.#ask('20'));
    while (!this.tls.getPeerCertificate()?.subject) await this.#feed(await this.#send());
    assert.equal(await this.hear(), '0201000e01616e6f6e796d6f7573');
    return this.tls.getPeerCertificate().subject.CN;
  }
  async say(eap) {
    const packet = hex(eap);
    this.tls.write(Buffer.concat([hex(`0000004f 40 ${number(8 + packet.length, 6)}`), packet]));
  }
  /** What the client says inside: in one record, without padding. */
  async hear() {
    while (this.heard.length === 0) await this.#feed(await this.#send());
    const bytes = this.heard;
    this.heard = Buffer.alloc(0);
    assert.equal(bytes.subarray(0, 8).toString('hex'), `0000004f00${number(bytes.length, 6)}`);
    return bytes.subarray(8).toString('hex');
  }
  async #ask(data) {
    this.id = (this.id + 1) % 256;
    await this.plain.say(`01 ${number(this.id, 2)} ${number(5 + data.length / 2, 4)} 15 ${data}`);
    const answer = await this.plain.hear();
    const [, rest] = new RegExp(`^02${number(this.id, 2)}${number(answer.length / 2, 4)}15(.*)$`).exec(answer);
    return rest;
  }
  /** All that TLS has to say, in fragments that are acknowledged; the answer. */
  async #send() {
    await quiet();
    const message = Buffer.concat(this.records.splice(0)).toString('hex');
    const size = 2 * this.fragment;
    if (message.length <= size) return this.#ask(`00${message}`);
    for (let at = 0; ; at += size) {
      const data = message.slice(at, at + size);
      if (at + size >= message.length) return this.#ask(`00${data}`);
      const first = at === 0 ? `c0${number(message.length / 2, 8)}` : '40';
      assert.equal(await this.#ask(first + data), '00', 'an acknowledgement');
    }
  }
  async #feed(data) {
    assert.match(data, /^00/, 'short enough for one packet');
    if (data.length > 2) this.carrier.push(hex(data.slice(2)));
    await quiet();
  }
}

async function quiet() {
  for (let turns = 0; turns < 8; turns++) await new Promise(setImmediate);
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

/** A gateway's ESP: AES-256-CBC and HMAC-SHA-256 (spec "ESP", section 2). */
class EspEnd {
  /** Spec 8.4: what the client sends with, whatever its SPI. */
  block = Buffer.from(Array.from({ length: 64 }, (_, i) => i));
  said = new Set();
  static async open(talk) {
    const end = new EspEnd();
    end.talk = talk;
    end.socket = createSocket('udp4');
    end.socket.bind(0, '127.0.0.1');
    await once(end.socket, 'listening');
    end.port = end.socket.address().port;
    end.socket.on('message', (datagram, from) => end.heard(datagram, from));
    return end;
  }
  offer(spi) {
    this.spi = spi;
    const swapped = Buffer.from(spi, 'hex').reverse().toString('hex');
    const head = `00000000000000000000000000000000 21202400 00000000 00000070 00000054 01000000 ${swapped} 0040`;
    this.talk.send(JUNIPER, '1', `${head} ${this.block.toString('hex')} 000000000000`);
  }
  told(kind, payload) {
    if (kind.endsWith('05')) {
      assert.equal(payload.toString(), 'ncmo=1\n\0');
      this.said.add('ncmo');
      return;
    }
    const head = '00000000000000000000000000000000 21202400 00000000 000000b0 00000094 01000000';
    assert.equal(payload.length, 176);
    assert.equal(payload.subarray(0, 36).toString('hex'), hex(head).toString('hex'));
    assert.equal(payload.subarray(40, 42).toString('hex'), '0040');
    const echo = `${Buffer.from(this.spi, 'hex').reverse().toString('hex')}0040${this.block.toString('hex')}`;
    assert.equal(payload.subarray(106).toString('hex'), echo);
    this.theirs = { spi: Buffer.from(payload.subarray(36, 40)).reverse(), block: payload.subarray(42, 106), next: 0 };
    this.held?.();
    this.held = undefined;
  }
  heard(datagram, { port, address }) {
    if (datagram.subarray(0, 4).toString('hex') !== this.spi || this.theirs === undefined) return;
    const end = datagram.length - 16;
    const mac = createHmac('sha256', this.block.subarray(32)).update(datagram.subarray(0, end)).digest();
    assert.deepEqual(datagram.subarray(end), mac.subarray(0, 16));
    const decipher = createDecipheriv('aes-256-cbc', this.block.subarray(0, 32), datagram.subarray(8, 24)).setAutoPadding(false);
    const plain = decipher.update(datagram.subarray(24, end));
    const [padding, next] = plain.subarray(-2);
    assert.equal(next, 4);
    const payload = plain.subarray(0, plain.length - 2 - padding);
    const answer = payload.length === 1 ? payload : pong(payload);
    if (answer === undefined) return;
    const reply = () => this.socket.send(this.seal(answer), port, address);
    if (payload.length > 1) assert.ok(this.said.has('ncmo'));
    if (payload.length === 1 || this.spi !== 'a1b2c3d4') reply();
    else {
      // It is answered under the next keys.
      this.theirs = undefined;
      this.held = reply;
      this.offer('a1b2c3d5');
      console.log('a ping by ESP');
      return;
    }
    if (payload.length > 1) console.log('a ping under other keys');
  }
  seal(payload) {
    const { spi, block } = this.theirs;
    const padding = 15 - ((payload.length + 1) % 16);
    const plain = Buffer.concat([payload, Buffer.from(Array.from({ length: padding }, (_, i) => i + 1)), Buffer.of(padding, 4)]);
    const header = Buffer.concat([spi, Buffer.alloc(4), randomBytes(16)]);
    header.writeUInt32BE(this.theirs.next++, 4);
    const cipher = createCipheriv('aes-256-cbc', block.subarray(0, 32), header.subarray(8)).setAutoPadding(false);
    const sealed = Buffer.concat([header, cipher.update(plain)]);
    return Buffer.concat([sealed, createHmac('sha256', block.subarray(32)).update(sealed).digest().subarray(0, 16)]);
  }
}

function number(value, digits) {
  return value.toString(16).padStart(digits, '0');
}

function avp(code, text) {
  const data = Buffer.from(text).toString('hex');
  return `0000${code} 80${number(12 + text.length, 6)} 00000583 ${data}${'00'.repeat(-text.length & 3)}`;
}

function passwordAvp(innerId, secret) {
  const data = Buffer.from(secret).toString('hex');
  const inner = `02 ${innerId} ${number(15 + secret.length, 4)} fe000a4c00000002 02 02${number(2 + secret.length, 2)}${data}`;
  const length = hex(inner).length;
  return `0000004f 40${number(8 + length, 6)} ${inner} ${'00'.repeat(-length & 3)}`;
}
