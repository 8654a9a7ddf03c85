import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LoginRequest } from '../../../../src/core/auth/login-io.ts';
import { headerValue } from '../../../../src/core/http/message.ts';
import { renderRequest } from '../../../../src/core/http/render.ts';
import { Strap } from '../../../../src/core/protocols/anyconnect/strap.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import { CLIENT, failToLogIn, logIn } from '../../../support/anyconnect-login.ts';
import { formOf, submit, USERNAME } from '../../../support/login-flows/flow.ts';
import { ask, documentOf, init, legacyStart, on, page, redirect, reply, success } from '../../../support/login-script.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

function bytesOf({ method, target, headers, body = utf8('') }: LoginRequest): string {
  return fromUtf8(renderRequest({ method, target: target.path, version: '1.1', headers, body }));
}

const askUser = ask({}, submit({ username: 'user' }));
const USER_ANSWER = '<auth><username>user</username></auth>';

describe('request of an AnyConnect log-in', () => {
  // Captured from openconnect 9.01, which has one more key in its headers and one more capability.
  it('has the bytes of the reference client', async () => {
    const strap = Strap.generate(testCrypto());
    const { io } = await logIn(
      [
        on(init('/', { host: '10.99.0.2' }), documentOf(formOf(USERNAME), { headers: [['Set-Cookie', 'webvpncontext=C']] })),
        askUser,
        on(reply('/auth', USER_ANSWER, { host: '10.99.0.2', cookie: 'webvpncontext=C' }), success()),
      ],
      { server: '10.99.0.2', login: { client: { ...CLIENT, userAgent: 'Open AnyConnect VPN Agent v9.01-3', version: 'v9.01-3' }, strap } },
    );
    const [first, second] = io.requests.map(bytesOf);
    const common =
      '<version who="vpn">v9.01-3</version><device-id>linux-64</device-id><capabilities><auth-method>single-sign-on-v2</auth-method></capabilities>';
    const root = (type: string) =>
      `<?xml version="1.0" encoding="UTF-8"?>\n<config-auth client="vpn" type="${type}" aggregate-auth-version="2">${common}`;
    const accepts = [
      'Accept: */*',
      'Accept-Encoding: identity',
      'X-Transcend-Version: 1',
      'X-Aggregate-Auth: 1',
      'X-Support-HTTP-Auth: true',
      `X-AnyConnect-STRAP-Pubkey: ${strap.publicKey}`,
    ];
    assert.equal(
      first,
      [
        'POST / HTTP/1.1',
        'Host: 10.99.0.2',
        'User-Agent: Open AnyConnect VPN Agent v9.01-3',
        ...accepts,
        `X-Pad: ${'0'.repeat(14)}`,
        'Content-Type: application/xml; charset=utf-8',
        'Content-Length: 306',
        '',
        `${root('init')}<group-access>https://10.99.0.2/</group-access></config-auth>\n`,
      ].join('\r\n'),
    );
    assert.equal(
      second,
      [
        'POST /auth HTTP/1.1',
        'Host: 10.99.0.2',
        'User-Agent: Open AnyConnect VPN Agent v9.01-3',
        'Cookie: webvpncontext=C',
        ...accepts,
        `X-Pad: ${'0'.repeat(17)}`,
        'Content-Type: application/xml; charset=utf-8',
        'Content-Length: 303',
        '',
        `${root('auth-reply')}<auth><username>user</username></auth></config-auth>\n`,
      ].join('\r\n'),
    );
  });

  it('has an empty form for a body where it asks without XML', async () => {
    const { io } = await logIn([on(legacyStart('/grp'), success())], { server: 'vpn.example/grp', login: { usesXml: false } });
    assert.deepEqual(io.requests.map(bytesOf), [
      [
        'GET /grp HTTP/1.1',
        'Host: vpn.example',
        'User-Agent: Open AnyConnect VPN Agent v9.01',
        'Accept: */*',
        'Accept-Encoding: identity',
        'X-Transcend-Version: 1',
        'X-Support-HTTP-Auth: true',
        `X-Pad: ${'0'.repeat(64)}`,
        'Content-Type: application/x-www-form-urlencoded',
        'Content-Length: 0',
        '',
        '',
      ].join('\r\n'),
    ]);
  });

  it('names the port where it is not 443, and brackets an IPv6 address, in URLs too', async () => {
    const host = '[fd99::1]:4443';
    await logIn([on(init('/', { host }), success())], { server: host });
  });

  it('tells of the machine only with a mobile identity', async () => {
    const mobile = { platformVersion: '1.0', deviceType: 'android', uniqueId: 'ID' };
    const { io } = await logIn(
      [
        on(
          init('/', {
            headers: {
              'X-AnyConnect-Identifier-ClientVersion': 'v9.01',
              'X-AnyConnect-Identifier-Platform': 'android',
              'X-AnyConnect-Identifier-PlatformVersion': '1.0',
              'X-AnyConnect-Identifier-DeviceType': 'android',
              'X-AnyConnect-Identifier-Device-UniqueID': 'ID',
            },
          }),
          success(),
        ),
      ],
      { login: { client: { ...CLIENT, os: 'android', mobile } } },
    );
    assert.match(
      fromUtf8(io.requests[0]?.body ?? utf8('')),
      /<device-id platform-version="1.0" device-type="android" unique-id="ID">android<\/device-id>/,
    );
  });
});

const UNAUTHORIZED = (challenge: string, cookie = 'c=1') =>
  page('', {
    status: 401,
    reason: 'Unauthorized',
    headers: [
      ['WWW-Authenticate', challenge],
      ['Set-Cookie', cookie],
    ],
  });
const askCredentials = ask(
  {
    id: 'http_auth',
    message: 'The gateway asks for a user name and password (r).',
    fields: [
      { kind: 'text', name: 'username', label: 'Username:' },
      { kind: 'password', name: 'password', label: 'Password:' },
    ],
  },
  submit({ username: 'alice', password: new Secret('httppw') }),
);
const BASIC = `Basic ${Buffer.from('alice:httppw').toString('base64')}`;
const OFFERED = { 'X-Support-HTTP-Auth': 'true' };
const NOT_OFFERED = { 'X-Support-HTTP-Auth': undefined, Authorization: undefined };

describe('HTTP authentication of an AnyConnect log-in', () => {
  it('shows a bearer token when asked, in front of all other headers', async () => {
    const { io } = await logIn(
      [
        on(init('/', { headers: { Authorization: undefined } }), UNAUTHORIZED('Bearer')),
        on(init('/', { cookie: 'c=1', headers: { Authorization: 'Bearer TOKEN' } }), success()),
      ],
      { login: { bearerToken: new Secret('TOKEN') } },
    );
    assert.equal(io.requests[1]?.headers[0]?.[0], 'Authorization');
    assert.ok(!io.log.lines.join('\n').includes('TOKEN'));
  });

  it('asks for name and password for Basic, where that is allowed', async () => {
    await logIn(
      [
        on(init('/'), UNAUTHORIZED('Basic realm="r"')),
        askCredentials,
        on(init('/', { cookie: 'c=1', headers: { Authorization: BASIC } }), success()),
      ],
      { login: { httpAuth: ['basic'] } },
    );
  });

  it('answers Digest for the path of each request', async () => {
    const { io } = await logIn([
      on(init('/'), UNAUTHORIZED('Digest realm="r", nonce="n", qop="auth"')),
      askCredentials,
      on(init('/', { cookie: 'c=1' }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', USER_ANSWER, { cookie: 'c=1' }), success()),
    ]);
    const sent = io.requests.map(({ headers }) => headerValue(headers, 'Authorization'));
    assert.equal(sent[0], undefined);
    assert.match(sent[1] ?? '', /^Digest .*username="alice".*uri="\/"/);
    assert.match(sent[2] ?? '', /^Digest .*username="alice".*uri="\/auth"/);
  });

  it('asks without offering it once it is refused, for the form that then comes, and offers it no more', async () => {
    const { io } = await logIn([
      on(init('/', { headers: OFFERED }), UNAUTHORIZED('Negotiate')),
      on(init('/', { cookie: 'c=1', headers: NOT_OFFERED }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', USER_ANSWER, { cookie: 'c=1', headers: NOT_OFFERED }), success()),
    ]);
    assert.match(io.log.lines.join('\n'), /http authentication refused reason=.*Negotiate/);
  });

  it('goes on without XML if even that is refused', async () => {
    await logIn([
      on(init('/', { headers: OFFERED }), UNAUTHORIZED('Negotiate')),
      on(init('/', { cookie: 'c=1', headers: NOT_OFFERED }), UNAUTHORIZED('Negotiate')),
      on(legacyStart('/', { cookie: 'c=1', headers: NOT_OFFERED }), success()),
    ]);
  });

  it('asks without it after a wrong password', async () => {
    await logIn(
      [
        on(init('/'), UNAUTHORIZED('Basic realm="r"')),
        askCredentials,
        on(init('/', { cookie: 'c=1', headers: { Authorization: BASIC } }), UNAUTHORIZED('Basic realm="r"')),
        on(init('/', { cookie: 'c=1', headers: NOT_OFFERED }), success()),
      ],
      { login: { httpAuth: ['basic'] } },
    );
  });

  it('keeps offering it after a 401 that asks for nothing, and where nothing is allowed it is never offered', async () => {
    await logIn([on(init('/', { headers: OFFERED }), page('', { status: 401 })), on(legacyStart('/', { headers: OFFERED }), success())]);
    await logIn([on(init('/', { headers: NOT_OFFERED }), success())], { login: { httpAuth: [] } });
  });

  it('keeps its credentials to one server', async () => {
    await logIn(
      [
        on(init('/'), UNAUTHORIZED('Basic realm="r"')),
        askCredentials,
        on(init('/', { cookie: 'c=1', headers: { Authorization: BASIC } }), redirect('https://other.example/')),
        on(init('/', { host: 'other.example', access: 'https://vpn.example/', headers: { Authorization: undefined } }), success()),
      ],
      { login: { httpAuth: ['basic'] } },
    );
  });

  it('stays on the connection that a challenge came on', async () => {
    await logIn(
      [
        on(init('/', { isFresh: true }), UNAUTHORIZED('Basic realm="r"')),
        askCredentials,
        on(init('/', { isFresh: false, cookie: 'c=1', headers: { Authorization: BASIC } }), success()),
      ],
      { login: { httpAuth: ['basic'] }, io: { hasClientCertificate: true } },
    );
  });

  it('ends the log-in where the person does not want to', async () => {
    await failToLogIn(
      [on(init('/'), UNAUTHORIZED('Basic realm="r"')), ask({}, { type: 'cancel' })],
      { name: 'CancelledError' },
      { login: { httpAuth: ['basic'] } },
    );
  });
});

describe('cookies of an AnyConnect log-in', () => {
  it('go out in one line, the last value of each, and an empty value deletes', async () => {
    await logIn([
      on(
        init('/'),
        documentOf(formOf(USERNAME), {
          headers: [
            ['Set-Cookie', 'a=1; Path=/x; Expires=Thu, 01 Jan 1970 00:00:00 GMT'],
            ['Set-Cookie', 'b=2'],
            ['Set-Cookie', 'a=3'],
          ],
        }),
      ),
      askUser,
      on(reply('/auth', USER_ANSWER, { cookie: 'a=3; b=2' }), documentOf(formOf(USERNAME), { headers: [['Set-Cookie', 'a=; path=/']] })),
      askUser,
      on(reply('/auth', USER_ANSWER, { cookie: 'b=2' }), success()),
    ]);
  });

  it('of host scans and profiles leave only for the gateway they came from', async () => {
    const profile = { sha1: async () => undefined, replace: () => Promise.reject(new Error('nothing to save')) };
    const { io } = await logIn(
      [
        on(
          init('/'),
          success('', [
            ['Set-Cookie', 'webvpn=SESSION'],
            ['Set-Cookie', 'webvpnc=bu:https://other.example/&fu:profiles%2Fa.xml&fh:AA'],
          ]),
        ),
      ],
      { io: { profile } },
    );
    assert.match(io.log.lines.join('\n'), /profile not updated reason=.*another server/);
  });
});
