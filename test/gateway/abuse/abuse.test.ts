/**
 * What a hostile network does to a gateway, while a client that behaves keeps its tunnel. Limits are in docs/threats.md.
 *
 * Long, it guesses 100,000 passwords instead of some hundred.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { REQUEST_LIMITS } from '../../../src/gateway/worker/server-connection.ts';
import { PSK_CAPTURE } from '../../core/dtls/captures.ts';
import { Capture } from '../../support/capture.ts';
import type { Lab } from '../../support/lab.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { AbuseScene } from './abuse-scene.ts';

const skip = missing('root', 'netns', 'tun', 'ocserv', 'openconnect', 'openssl', 'ping', 'tcpdump');

const HALF_OPEN = 300;
const DRIBBLING = 20;
const GUESSED_COOKIES = 200;
const GUESSED_PASSWORDS = sized(150, 100_000);
const GUESSING_TIMEOUT = sized(120_000, 3_600_000);
const SPOOFED_HELLOS = 2_000;
const SPOOFING_PORTS = 500;

/** Seconds for a log-in. The other limits are the gateway's own: 20 seconds for a handshake, 30 for a request. */
const LOGIN_TIME = 20;
/** Of all of them, with some seconds for a busy machine. */
const CLOSED_WITHIN = 50_000;

/** MiB that a process of the gateway may have at most, whatever is done to it: some of this is V8's own before it collects. */
const MEMORY_LIMIT = 400;

/** Bytes that a client may pour in before it is stopped: what the gateway holds, and what fills the sockets' buffers on the way. */
const POURED_LIMIT = 16 * 1024 * 1024;

/** Descriptors close a moment after their connections. */
const SETTLE_LIMIT = 10_000;

const HEAD = 'POST / HTTP/1.1\r\nHost: gateway\r\nX-Aggregate-Auth: 1\r\nX-Transcend-Version: 1\r\n';
const withBody = (body: string) => `${HEAD}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`;
const document = (inner: string) => `<?xml version="1.0"?>\n${inner}`;

/** What no document can be read from is answered like a client that says nothing. */
const LOG_IN_PAGE = [200];

/** Each with the statuses that are an answer to it. */
const NONSENSE: Readonly<Record<string, readonly [request: string, statuses: readonly number[]]>> = {
  'a header over the limit': [`GET / HTTP/1.1\r\nX: ${'x'.repeat(REQUEST_LIMITS.lineBytes)}\r\n\r\n`, [413]],
  'a header too many': [`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(REQUEST_LIMITS.headerCount + 1)}\r\n`, [413]],
  'a head over the limit': [`GET / HTTP/1.1\r\n${`X: ${'y'.repeat(1000)}\r\n`.repeat(REQUEST_LIMITS.headBytes / 1000 + 1)}\r\n`, [413]],
  'a body over the limit': [withBody('x'.repeat(REQUEST_LIMITS.bodyBytes + 1)), [413]],
  'a body that will be 1 GiB': [`${HEAD}Content-Length: 1073741824\r\n\r\n`, [413]],
  'a negative length': [`${HEAD}Content-Length: -1\r\n\r\n`, [400]],
  'two lengths': [`${HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`, [400]],
  'both a length and chunks': [`${HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
  'a chunk of 4 GiB': [`${HEAD}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n`, [413, 400]],
  'no HTTP': ['\u0000\u0001\u0002\u0003\r\n\r\n', [400]],
  'HTTP/2': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 501]],
  'a target of 4 KiB': [`GET /${'a'.repeat(4096)} HTTP/1.1\r\nHost: g\r\n\r\n`, [414]],
  'XML of 10,000 levels': [withBody(document('<a>'.repeat(10_000))), LOG_IN_PAGE],
  'XML with entities that multiply': [
    withBody(
      document(
        `<!DOCTYPE a [<!ENTITY b "xxxxxxxxxx"><!ENTITY c "${'&b;'.repeat(100)}"><!ENTITY d "${'&c;'.repeat(100)}">]><a>${'&d;'.repeat(1000)}</a>`,
      ),
    ),
    LOG_IN_PAGE,
  ],
  'XML that names a file': [withBody(document('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>')), LOG_IN_PAGE],
  'XML of 1,000 attributes': [withBody(document(`<a ${Array.from({ length: 1000 }, (_, i) => `b${i}="c"`).join(' ')}/>`)), LOG_IN_PAGE],
};

/** Where the id of its session stands in the captured hello: header of the record, of the message, version, random, and a length. */
const SESSION_ID = { start: 13 + 12 + 2 + 32 + 1, length: 32 };
const RANDOM = { start: 13 + 12 + 2, length: 32 };

function helloWith(id: Uint8Array, random: Uint8Array = randomBytes(RANDOM.length)): string {
  const hello = Buffer.from(PSK_CAPTURE.clientHello);
  hello.set(id, SESSION_ID.start);
  hello.set(random, RANDOM.start);
  return hello.toString('hex');
}

describe('a gateway under attack', { skip, timeout: GUESSING_TIMEOUT + 180_000 }, () => {
  let scene: AbuseScene;

  before(async () => {
    scene = await AbuseScene.open({ 'auth-timeout': LOGIN_TIME, 'max-ban-score': 0 });
  });

  after(() => scene?.[Symbol.asyncDispose]());

  it('serves and lets in, while hundreds of connections say nothing, half a hello, or a byte a second', async () => {
    const { attacker } = scene;
    await attacker.call('holdHalfOpen', HALF_OPEN, false);
    await attacker.call('holdHalfOpen', HALF_OPEN, true);
    await attacker.call('holdDribbling', DRIBBLING, 'POST / HTTP/1.1\r\nX-Slow: ');
    await attacker.call('holdDribbling', DRIBBLING, `${HEAD}Content-Length: 5000\r\n\r\n`);
    await attacker.call('holdDribbling', DRIBBLING, '');
    await scene.assertServes();
    const { code, output } = await scene.logIn();
    assert.equal(code, 0, output);
    const { open } = await attacker.call('held');
    assert.ok(open > HALF_OPEN, `${open} connections are still held: that was under attack`);
  });

  it('answers what is too large or no request with a refusal, and goes on', async () => {
    const names = Object.keys(NONSENSE);
    const statuses = await scene.attacker.call(
      'statuses',
      names.map((name) => NONSENSE[name]?.[0] ?? ''),
    );
    const unexpected = names.filter((name, i) => !NONSENSE[name]?.[1].includes(statuses[i] ?? -1));
    assert.deepEqual(
      unexpected.map((name) => [name, statuses[names.indexOf(name)]]),
      [],
    );
    await scene.assertServes();
  });

  it('takes no more than its limits of what never ends', async () => {
    const { attacker } = scene;
    const most = 64 * 1024 * 1024;
    for (const [start, piece] of [
      [`${HEAD}Transfer-Encoding: chunked\r\n\r\n`, `400\r\n${'x'.repeat(1024)}\r\n`],
      ['GET / HTTP/1.1\r\nX: ', 'x'.repeat(1024)],
      ['', 'GET /+CSCOT+/x HTTP/1.1\r\nHost: g\r\n\r\n'.repeat(100)],
    ] as const) {
      const poured = await attacker.call('pour', start, piece, most);
      assert.ok(poured < POURED_LIMIT, `${poured} bytes were taken after ${JSON.stringify(start)}`);
    }
    await scene.assertServes();
  });

  it(`lets nobody in by ${GUESSED_COOKIES} guessed cookies`, async () => {
    const cookies = Array.from({ length: GUESSED_COOKIES }, (_, i) => (i % 4 === 0 ? 'x'.repeat(i) : randomBytes(32).toString('base64')));
    const statuses = await scene.attacker.call('guessCookies', cookies);
    assert.deepEqual(
      statuses.filter((status) => status !== 401 && status !== 503),
      [],
    );
    assert.ok(statuses.includes(401));
    await scene.assertServes();
  });

  it(`lets nobody in by ${GUESSED_PASSWORDS} guessed passwords, and lets the right one in after them`, {
    timeout: GUESSING_TIMEOUT,
  }, async () => {
    const { tries, succeeded } = await scene.attacker.call('guessPasswords', 'alice', GUESSED_PASSWORDS);
    assert.ok(tries >= GUESSED_PASSWORDS, `${tries} passwords were answered`);
    assert.equal(succeeded, 0);
    await scene.assertServes();
    const { code, output } = await scene.logIn();
    assert.equal(code, 0, output);
  });

  it('keeps its datagram channel, and answers no hello with an id that is unknown, stolen or without a random', async () => {
    const { attacker, client } = scene;
    const [, stolen = ''] = /^X-DTLS-App-ID: ([0-9a-f]{64})/m.exec(client.program.output) ?? assert.fail('there is an id');
    const unknown = Array.from({ length: SPOOFED_HELLOS }, () => helloWith(randomBytes(SESSION_ID.length)));
    const noise = Array.from({ length: SPOOFED_HELLOS }, (_, i) => randomBytes(1 + (i % 1400)).toString('hex'));
    await attacker.call('sendDatagrams', [...unknown, ...noise], SPOOFING_PORTS);
    const id = Buffer.from(stolen, 'hex');
    const withoutRandom = helloWith(id, new Uint8Array(RANDOM.length));
    await attacker.call('sendDatagrams', [withoutRandom, withoutRandom], 2);
    await scene.assertServes();
    assert.equal(await attacker.call('closeDatagrams'), 0, 'nothing is answered');
    await attacker.call(
      'sendDatagrams',
      Array.from({ length: 200 }, () => helloWith(id)),
      200,
    );
    await scene.assertServes();
    assert.ok((await attacker.call('closeDatagrams')) <= 200, 'each hello gets an answer at most: nothing is amplified');
  });

  it('takes no datagram twice, and does not follow who repeats them from elsewhere', async () => {
    const { lab, attacker } = scene;
    const { ipv4 } = lab.addresses.server;
    const capture = await Capture.start(lab.client, lab.folder, 'eth0', `udp and dst host ${ipv4} and dst port 443`);
    await scene.assertServes();
    const packets = await capture.stop();
    assert.ok(packets.length > 0, 'pings went by DTLS');
    const payloads = packets.map(({ bytes }) => Buffer.from(bytes.subarray(28)).toString('hex'));
    const answers = await attacker.call('closeDatagrams');
    await attacker.call('sendDatagrams', [...payloads, ...payloads, ...payloads], 3);
    await scene.assertServes();
    assert.equal(await attacker.call('closeDatagrams'), answers, 'who repeats is not answered');
  });

  it('has closed every connection that said too little, by its limits', { timeout: CLOSED_WITHIN }, async () => {
    await scene.attacker.call('allClosed');
    const { closedByGateway, open } = await scene.attacker.call('held');
    assert.equal(open, 0);
    assert.ok(closedByGateway >= 2 * HALF_OPEN + 3 * DRIBBLING);
    await scene.assertServes();
  });

  it('has bounded its memory, and keeps no descriptor when its client has left', async () => {
    assert.ok(scene.peakMemory() < MEMORY_LIMIT, `${scene.peakMemory()} MiB`);
    await scene.client.disconnect();
    const until = performance.now() + SETTLE_LIMIT;
    while (scene.descriptors() > scene.idleDescriptors && performance.now() < until) await setTimeout(50);
    assert.ok(scene.descriptors() <= scene.idleDescriptors, `${scene.descriptors()} descriptors, ${scene.idleDescriptors} before`);
  });
});

describe('a gateway that bans', { skip, timeout: HANG_LIMIT }, () => {
  it('refuses whoever guesses passwords, keeps their tunnel, and takes them back when they are unbanned', async () => {
    await using scene = await AbuseScene.open({
      'max-ban-score': 50,
      'min-reauth-time': 600,
      'ban-reset-time': 600,
      'ban-points-connection': 0,
    });
    const { tries, succeeded } = await scene.attacker.call('guessPasswords', 'alice', 10_000);
    assert.equal(succeeded, 0);
    assert.ok(tries < 100, `${tries} passwords were looked at: five are allowed, and some were under way`);
    assert.notEqual((await scene.logIn()).code, 0);
    await scene.assertServes();
    const unban = await scene.occtl('unban', 'ip', scene.lab.addresses.client.ipv4);
    assert.equal(unban.code, 0, unban.output);
    const { code, output } = await scene.logIn();
    assert.equal(code, 0, output);
  });
});

describe('a gateway behind a proxy', { skip, timeout: HANG_LIMIT }, () => {
  it('hangs up on whoever lies in the header or does not end it, and serves those who come by the proxy', async () => {
    const settings = { 'listen-proxy-proto': true, 'tcp-port': PROXIED_PORT };
    await using scene = await AbuseScene.open(settings, startProxy);
    const answered = await scene.attacker.call('tellInTheClear', PROXIED_PORT, Object.values(LYING_HEADERS));
    assert.deepEqual(
      Object.keys(LYING_HEADERS).filter((_, i) => answered[i] !== 0),
      [],
    );
    await scene.assertServes();
    const { code, output } = await scene.logIn();
    assert.equal(code, 0, output);
  });
});

const PROXIED_PORT = 4443;

const VERSION_2 = '\r\n\r\n\0\r\nQUIT\n';

const LYING_HEADERS: Readonly<Record<string, string>> = {
  'a TLS hello without a header': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'a line that never ends': `PROXY TCP4 ${'1'.repeat(500)}`,
  'a line that stops': 'PROXY TCP4 192.0.2.1',
  'an address that is none': 'PROXY TCP4 192.0.2.999 192.0.2.1 1 2\r\n',
  'a port that is none': 'PROXY TCP4 192.0.2.9 192.0.2.1 99999 2\r\n',
  'a family that is not the address’s': 'PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n',
  'version 2 of 64 KiB': `${VERSION_2}\x21\x11\xff\xff${'x'.repeat(1000)}`,
  'version 2 that is too short for its addresses': `${VERSION_2}\x21\x11\x00\x01x`,
  'version 2 that stops': `${VERSION_2}\x21\x11\x00\x0c`,
  'version 7': `${VERSION_2}\x71\x11\x00\x00`,
};

async function startProxy({ server }: Lab): Promise<void> {
  const program = path.resolve(import.meta.dirname, '../../support/proxy-header-program.ts');
  const proxy = await server.start(process.execPath, [program, '443', String(PROXIED_PORT)]);
  await proxy.waitFor(/proxying/);
}
