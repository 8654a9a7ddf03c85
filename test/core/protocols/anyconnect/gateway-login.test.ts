import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { HttpHeaders, HttpResponse } from '../../../../src/core/http/message.ts';
import { Strap } from '../../../../src/core/protocols/anyconnect/strap.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { fromBase64, fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import {
  cookieOf,
  Door,
  get,
  initDocument,
  logoutDocument,
  named,
  post,
  replyDocument,
  withPassword,
} from '../../../support/gateway-door.ts';
import { PlayedVisitor, type VisitorOptions } from '../../../support/gateway-visitor.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

const ALICE: VisitorOptions = { users: { alice: { password: 'right-one' } } };
const GROUPS = [
  { value: '', label: 'none' },
  { value: 'ga', label: 'Group A' },
  { value: 'gb', label: 'gb' },
];
const UA = ['User-Agent', 'Open AnyConnect VPN Agent v9.01'] as const;
const OLD_UA = ['User-Agent', 'Open AnyConnect VPN Agent v3.20'] as const;
const EXPIRED = 'webvpncontext=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly';

const bodyOf = (answer: HttpResponse | string) => (typeof answer === 'string' ? answer : fromUtf8(answer.body));
const lineOf = (answer: HttpResponse | string) => (typeof answer === 'string' ? answer : `${answer.status} ${answer.reason}`);
const sha1 = (bytes: Uint8Array) => hash('sha1', bytes, 'hex').toUpperCase();
const brings = (cookie: string | undefined): HttpHeaders => [UA, ['Cookie', `webvpncontext=${cookie}`]];

/** What ocserv was seen to answer, byte for byte, but for what is different each time. */
function captured(name: string): string {
  return masked(readFileSync(path.resolve(import.meta.dirname, `../../../vectors/anyconnect/ocserv-1.1.6-${name}.http`), 'utf8'));
}

function masked(text: string): string {
  return text.replace(/(webvpn(?:context)?=)[\w+/]{43}=/g, '$1COOKIE').replace(/sh:[\dA-F]{40}/, 'sh:SHA1');
}

async function logIn(door: Door, user = 'alice', password = 'right-one'): Promise<HttpResponse> {
  const asked = await door.exchange(post('/auth', named(user)));
  const answer = await door.exchange(post('/auth', withPassword(password), brings(cookieOf(asked, 'webvpncontext'))));
  assert.ok(typeof answer !== 'string');
  return answer;
}

describe('AnyConnect’s log-in at our gateway', () => {
  it('is answered as ocserv 1.1.6 does, byte for byte', async () => {
    const door = new Door(new PlayedVisitor({ ...ALICE, groups: GROUPS }));
    assert.equal(masked(await door.text(post('/', initDocument()))), captured('init'));
    const asked = await door.text(post('/auth', named('alice', '<group-select>none</group-select>')));
    assert.equal(masked(asked), captured('password'));
    const headers = brings(/webvpncontext=([^;]*)/.exec(asked)?.[1]);
    assert.equal(masked(await door.text(post('/auth', withPassword('wrong-one'), headers))), captured('wrong-password'));
    const banner = new Door(new PlayedVisitor({ ...ALICE, page: { banner: 'Welcome & <hello>' } }));
    const welcome = masked(fromUtf8((await logIn(banner)).body));
    const [, theirs = ''] = captured('complete').split('\r\n\r\n');
    assert.equal(welcome, theirs.replace('& <hello>', '&amp; &lt;hello&gt;'), 'but for what ocserv does not escape');
    const complete = await new Door(new PlayedVisitor(ALICE)).text(post('/auth', named('alice')));
    assert.equal(masked(complete), captured('password'));
  });

  it('ends with the cookies that clients look for, in ocserv’s order and with its attributes', async () => {
    const visitor = new PlayedVisitor({ ...ALICE, page: { headers: [['X-Page', 'yes']] } });
    const welcome = await logIn(new Door(visitor));
    const { headers } = welcome;
    const [dialogue, session] = [headers[4]?.[1], headers[5]?.[1]];
    assert.match(dialogue ?? '', /^webvpncontext=[\w+/]{43}=; Secure; HttpOnly$/);
    assert.match(session ?? '', /^webvpn=[\w+/]{43}=; Secure; HttpOnly$/);
    assert.deepEqual(headers, [
      ['Connection', 'Keep-Alive'],
      ['Content-Type', 'text/xml'],
      ['Content-Length', '189'],
      ['X-Transcend-Version', '1'],
      ['Set-Cookie', dialogue],
      ['Set-Cookie', session],
      ['Set-Cookie', 'webvpnc=; expires=Thu, 01 Jan 1970 22:00:00 GMT; path=/; Secure; HttpOnly'],
      ['X-Page', 'yes'],
      ['Set-Cookie', `webvpnc=bu:/&p:t&iu:1/&sh:${sha1(utf8('certificate'))}; path=/; Secure; HttpOnly`],
    ]);
    assert.ok(visitor.sessions.has(cookieOf(welcome, 'webvpn') ?? ''));
  });

  it('offers the profile in the document and in the cookie, with its hash', async () => {
    const profile = { name: 'company profile.xml', bytes: utf8('<AnyConnectProfile/>\n') };
    const welcome = await logIn(new Door(new PlayedVisitor({ ...ALICE, page: { profile } })));
    const sha1 = '0ABFF391AC64F7B150B256D64D15F35D9C0DA4CA'; // observed: ocserv's for these bytes
    const uri = '/profiles/company%20profile.xml';
    const manifest = `<vpn rev="1.0"><file type="profile" service-type="user"><uri>${uri}</uri><hash type="sha1">${sha1}</hash></file></vpn>`;
    assert.equal(
      bodyOf(welcome),
      '<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="complete">\n<version who="sg">0.1(1)</version>\n<auth id="success">\n' +
        `<title>SSL VPN Service</title></auth>\n<config client="vpn" type="private"><vpn-profile-manifest>${manifest}</vpn-profile-manifest>\n` +
        '</config></config-auth>',
    );
    assert.match(
      welcome.headers.at(-1)?.[1] ?? '',
      new RegExp(
        `&lu:/\\+CSCOT\\+/translation-table\\?textdomain%3DAnyConnect%26type%3Dmanifest&fu:profiles%2Fcompany%20profile.xml&fh:${sha1};`,
      ),
    );
  });

  it('has the group that was chosen first, whether by value or by label, and hands it on', async () => {
    for (const chosen of ['ga', 'Group A']) {
      const visitor = new PlayedVisitor({ ...ALICE, groups: GROUPS });
      const door = new Door(visitor);
      const form = bodyOf(await door.exchange(post('/', initDocument(`<group-select>${chosen}</group-select>`))));
      const options = [...form.matchAll(/<option.*<\/option>/g)].map(([option]) => option);
      assert.deepEqual(options, ['<option value="ga">Group A</option>', '<option>none</option>', '<option value="gb">gb</option>']);
      assert.equal(visitor.hints[0]?.group, chosen);
      const welcome = await logIn(door);
      assert.equal(visitor.sessions.get(cookieOf(welcome, 'webvpn') ?? '')?.group, 'ga');
    }
  });

  it('goes on where it was on another connection, by its cookie', async () => {
    const visitor = new PlayedVisitor(ALICE);
    const asked = await new Door(visitor).exchange(post('/auth', named('alice')));
    const other = new Door(visitor);
    const welcome = await other.exchange(post('/auth', withPassword('right-one'), brings(cookieOf(asked, 'webvpncontext'))));
    assert.match(bodyOf(welcome), /<auth id="success">/);
  });

  it('goes on without a cookie on the connection where it began', async () => {
    const door = new Door(new PlayedVisitor(ALICE));
    await door.exchange(post('/', initDocument()));
    await door.exchange(post('/auth', named('alice')));
    assert.match(bodyOf(await door.exchange(post('/auth', withPassword('right-one')))), /<auth id="success">/);
  });

  it('takes a right password after wrong ones, and ends with the third wrong one', async () => {
    const door = new Door(new PlayedVisitor(ALICE));
    await door.exchange(post('/auth', named('alice')));
    assert.match(bodyOf(await door.exchange(post('/auth', withPassword('a')))), /<message>Login failed\.\nPlease enter/);
    assert.match(bodyOf(await door.exchange(post('/auth', withPassword('right-one')))), /success/);
    const other = new Door(new PlayedVisitor(ALICE));
    await other.exchange(post('/auth', named('nobody')));
    for (let tries = 0; tries < 2; tries++) assert.match(bodyOf(await other.exchange(post('/auth', withPassword('a')))), /Login failed/);
    assert.equal(await other.text(post('/auth', withPassword('a'))), 'HTTP/1.1 401 Authentication failed\r\nContent-Length: 0\r\n\r\n');
    assert.equal(await other.end, 'close');
  });

  it('asks for a code after the password, under whatever name it comes back', async () => {
    const visitor = new PlayedVisitor({ users: { alice: { password: 'right-one', code: '123456' } } });
    for (const element of ['password', 'secondary_password', 'Password2']) {
      const door = new Door(visitor);
      await door.exchange(post('/auth', named('alice')));
      const form = bodyOf(await door.exchange(post('/auth', withPassword('right-one'))));
      assert.match(
        form,
        /<auth id="main">\n<message>Please enter your OTP password\.<\/message>\n.*\n<input type="password" name="password"/,
      );
      const answer = await door.exchange(post('/auth', replyDocument(`<auth><${element}>123456</${element}></auth>`)));
      assert.match(bodyOf(answer), /success/, element);
    }
  });

  it('speaks forms with clients that speak no XML, and either name of the group’s field', async () => {
    for (const field of ['group_list', 'group%5flist']) {
      const visitor = new PlayedVisitor({ ...ALICE, groups: GROUPS });
      const door = new Door(visitor);
      assert.match(bodyOf(await door.exchange(get('/'))), /Please enter your username/);
      const asked = await door.exchange(post('/auth', `${field}=gb&username=alice`));
      const welcome = await door.exchange(post('/auth', 'password=right%2Done', brings(cookieOf(asked, 'webvpncontext'))));
      assert.equal(visitor.sessions.get(cookieOf(welcome, 'webvpn') ?? '')?.group, 'gb');
    }
  });

  // Observed with ocserv 1.1.6, to the byte.
  it('gives openconnect of before version 4 bare documents', async () => {
    const door = new Door(new PlayedVisitor(ALICE));
    const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n';
    const form = (id: string, message: string, type: string, name: string, label: string) =>
      `${declaration}<auth id="${id}">\n<message>${message}</message>\n<form method="post" action="/auth">\n<input type="${type}" name="${name}" label="${label}" />\n</form></auth>\n`;
    assert.equal(
      bodyOf(await door.exchange(get('/', [OLD_UA]))),
      form('main', 'Please enter your username.', 'text', 'username', 'Username:'),
    );
    const asked = bodyOf(await door.exchange(post('/auth', 'username=alice', [OLD_UA])));
    assert.equal(asked, form('passwd', 'Please enter your password.', 'password', 'password', 'Password:'));
    const welcome = bodyOf(await door.exchange(post('/auth', 'password=right-one', [OLD_UA])));
    assert.equal(welcome, `${declaration}<auth id="success">\n<title>SSL VPN Service</title></auth>\n`);
  });

  it('shows the banner of before the log-in on its first page only', async () => {
    const door = new Door(new PlayedVisitor({ ...ALICE, page: { preLoginBanner: 'pre & <x>' } }));
    const form = bodyOf(await door.exchange(post('/', initDocument())));
    assert.ok(form.includes('<banner>pre &amp; &lt;x&gt;</banner><message>Please enter your username.</message>\n'));
    assert.ok(!bodyOf(await door.exchange(post('/auth', named('alice')))).includes('banner'));
  });

  it('asks again for a name that did not come, and ends where the password did not', async () => {
    const door = new Door(new PlayedVisitor(ALICE));
    for (const body of [
      withPassword('x'),
      replyDocument('<auth/>'),
      replyDocument('<auth/><group-select>ga</group-select>'),
      '<?xml nonsense',
      '',
    ]) {
      const answer = await door.exchange(post('/auth', body));
      assert.match(bodyOf(answer), /Please enter your username/);
      assert.equal(typeof answer === 'string' || answer.headers[0]?.[1], EXPIRED);
    }
    const asked = await door.exchange(post('/auth', named('alice')));
    const headers = brings(cookieOf(asked, 'webvpncontext'));
    assert.equal(
      await door.text(post('/auth', replyDocument('<auth/>'), headers)),
      'HTTP/1.1 401 No password\r\nContent-Length: 0\r\n\r\n',
    );
  });

  it('knows no dialogue that is over or never was, and makes no difference between them', async () => {
    const visitor = new PlayedVisitor(ALICE);
    const door = new Door(visitor);
    const asked = await door.exchange(post('/auth', named('alice')));
    await door.exchange(post('/auth', withPassword('right-one')));
    for (const cookie of [cookieOf(asked, 'webvpncontext'), visitor.newId(), 'nonsense', '']) {
      const answer = await new Door(visitor).exchange(post('/auth', withPassword('right-one'), brings(cookie)));
      assert.equal(lineOf(answer), cookie === '' ? '200 OK' : '401 Authentication failed');
    }
  });

  it('begins anew with an init, whatever log-in the client was in', async () => {
    const door = new Door(new PlayedVisitor(ALICE));
    const asked = await door.exchange(post('/auth', named('bob')));
    const answer = await door.exchange(post('/', initDocument(), brings(cookieOf(asked, 'webvpncontext'))));
    assert.match(bodyOf(answer), /Please enter your username/);
    assert.match(bodyOf(await logIn(door)), /success/);
  });

  it('lets a certificate in without a question, or with that for its group', async () => {
    const facts = { certificateChain: [utf8('leaf')] };
    const visitor = new PlayedVisitor({ certificate: { user: 'carol', groups: [] }, page: { needsCertificate: true } });
    assert.match(bodyOf(await new Door(visitor, facts).exchange(post('/', initDocument()))), /success/);
    assert.deepEqual(visitor.hints[0]?.certificateChain, facts.certificateChain);
    assert.equal(await new Door(visitor).text(post('/', initDocument())), 'HTTP/1.1 401 No certificate\r\nContent-Length: 0\r\n\r\n');

    const choosing = new PlayedVisitor({ certificate: { user: 'carol', groups: ['g1', 'g2'] } });
    const door = new Door(choosing, facts);
    const form = bodyOf(await door.exchange(post('/', initDocument())));
    assert.match(
      form,
      /<message>Please select your group\.<\/message>\n<form method="post" action="\/auth">\n<select name="group_list" label="Group:">\n/,
    );
    const welcome = await door.exchange(post('/auth', replyDocument('<auth/><group-select>g2</group-select>')));
    assert.equal(choosing.sessions.get(cookieOf(welcome, 'webvpn') ?? '')?.group, 'g2');
    const other = await new Door(choosing, facts).exchange(post('/auth', replyDocument('<auth/><group-select>g1</group-select>')));
    assert.equal(choosing.sessions.get(cookieOf(other, 'webvpn') ?? '')?.group, 'g1');
  });

  it('asks for a token as HTTP does, and takes it', async () => {
    const token = { token: 'eyJ.abc-_~+/.x==', user: 'dora' };
    const visitor = new PlayedVisitor({ token, page: { bearer: 'required' } });
    const door = new Door(visitor);
    const challenge = await door.exchange(post('/', initDocument()));
    assert.equal(lineOf(challenge), '401 Unauthorized');
    assert.ok(typeof challenge !== 'string');
    assert.deepEqual(challenge.headers, [
      ['Content-Length', '0'],
      ['WWW-Authenticate', 'Bearer'],
    ]);
    const authorization = (value: string): HttpHeaders => [UA, ['Authorization', `Bearer ${value}`]];
    assert.match(bodyOf(await door.exchange(post('/', initDocument(), authorization(token.token)))), /success/);
    assert.equal(String(visitor.hints[0]?.bearer), '[secret]');
    assert.equal(lineOf(await new Door(visitor).exchange(post('/', initDocument(), authorization('other')))), '401 Authentication failed');
  });

  it('offers a form beside the token to who does not answer HTTP’s question', async () => {
    const door = new Door(new PlayedVisitor({ ...ALICE, page: { bearer: 'offered' } }));
    const challenge = await door.exchange(post('/', initDocument(), [UA, ['X-Support-HTTP-Auth', 'true']]));
    assert.ok(typeof challenge !== 'string' && challenge.status === 401);
    assert.ok(challenge.headers.some(([name, value]) => name === 'X-HTTP-Auth-Support' && value === 'fallback'));
    assert.match(bodyOf(await door.exchange(post('/', initDocument()))), /Please enter your username/);
  });

  it('binds the session to the key that came with the log-in, and to nothing that is no key', async () => {
    const strap = Strap.generate(testCrypto());
    const visitor = new PlayedVisitor(ALICE);
    const door = new Door(visitor);
    const headers: HttpHeaders = [UA, ['X-AnyConnect-STRAP-Pubkey', strap.publicKey]];
    await door.exchange(post('/auth', named('alice'), headers));
    const welcome = await door.exchange(post('/auth', withPassword('right-one'), headers));
    assert.deepEqual(visitor.sessions.get(cookieOf(welcome, 'webvpn') ?? '')?.boundKey, fromBase64(strap.publicKey));
    const other = new PlayedVisitor(ALICE);
    await new Door(other).exchange(post('/', initDocument(), [UA, ['X-AnyConnect-STRAP-Pubkey', 'AAAA']]));
    assert.equal(other.hints[0]?.boundKey, undefined);
  });

  it('ends the session of a client that says so, known by its cookie or by its token', async () => {
    for (const how of ['cookie', 'token']) {
      const visitor = new PlayedVisitor(ALICE);
      const door = new Door(visitor);
      const cookie = cookieOf(await logIn(door), 'webvpn') ?? '';
      const [headers, inner]: [HttpHeaders, string] =
        how === 'cookie' ? [[UA, ['Cookie', `webvpn=${cookie}`]], ''] : [[UA], `<session-token>${cookie}</session-token>`];
      const answer = await door.exchange(post('/', logoutDocument(inner), headers));
      assert.match(bodyOf(answer), /type="complete"/);
      assert.equal(visitor.sessions.get(cookie)?.ended?.kind, 'log-off');
    }
    assert.equal(lineOf(await new Door(new PlayedVisitor()).exchange(post('/', logoutDocument('')))), '401 Cookie is not acceptable');
  });

  it('refuses names and answers that are longer than any can be, without asking anyone', async () => {
    const visitor = new PlayedVisitor(ALICE);
    for (const body of [
      named('x'.repeat(64)),
      named('é'.repeat(32)),
      named('alice', `<group-select>${'g'.repeat(64)}</group-select>`),
      withPassword('p'.repeat(4097)),
    ]) {
      assert.equal(lineOf(await new Door(visitor).exchange(post('/auth', body))), '401 Authentication failed');
    }
    assert.equal(visitor.hints.length, 0);
    assert.match(bodyOf(await new Door(visitor).exchange(post('/auth', named('x'.repeat(63))))), /Please enter your password/);
  });

  it('keeps secrets out of its log', async () => {
    const visitor = new PlayedVisitor({ ...ALICE, groups: GROUPS });
    const door = new Door(visitor);
    const welcome = await logIn(door, 'alice', 'right-one');
    const cookie = new Secret(cookieOf(welcome, 'webvpn') ?? '');
    assert.ok(visitor.log.lines.some((line) => line.includes('user=alice')));
    for (const line of visitor.log.lines) assert.ok(!line.includes('right-one') && !line.includes(cookie.reveal()));
  });

  it('answers whatever comes in a bounded way, and fails with nothing but its own errors', async () => {
    const visitor = new PlayedVisitor({ ...ALICE, groups: GROUPS, token: { token: 't', user: 'u' } });
    const pieces = fc.constantFrom(
      '<?xml version="1.0"?>',
      '<config-auth type="auth-reply">',
      '<auth>',
      '</auth>',
      '<username>',
      'alice',
      '</username>',
      '<password>',
      '</config-auth>',
      '&',
      '%41',
      'username=a',
      '__proto__=1',
      '<__proto__>x</__proto__>',
      '<!DOCTYPE a [<!ENTITY x "y">]>',
      '\u0000',
      '<constructor>1</constructor>',
    );
    const header = fc.oneof(
      fc.tuple(
        fc.constant('Cookie'),
        fc.constantFrom('webvpncontext=', 'webvpncontext=x', `webvpncontext=${visitor.newId()}`, 'webvpn=;;=;'),
      ),
      fc.tuple(fc.constant('Authorization'), fc.constantFrom('Bearer', 'Bearer  x', 'Basic x', 'Bearer \u00e9')),
      fc.tuple(fc.constant('User-Agent'), fc.constantFrom('Open AnyConnect VPN Agent v3', 'x')),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('/', '/auth', '/VPN', '/auth?x'),
        fc.array(fc.oneof(pieces, fc.string({ maxLength: 8 })), { maxLength: 12 }),
        fc.array(header, { maxLength: 3 }),
        async (target, body, headers) => {
          const answer = await new Door(visitor).exchange(post(target, body.join(''), headers));
          assert.ok(typeof answer !== 'string');
          assert.ok([200, 401, 404].includes(answer.status), String(answer.status));
          assert.ok(answer.body.length < 4096);
        },
      ),
    );
  });
});
