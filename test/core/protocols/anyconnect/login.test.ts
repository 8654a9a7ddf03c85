import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AuthForm, FormAnswer } from '../../../../src/core/auth/form.ts';
import { SallyportError } from '../../../../src/core/errors.ts';
import { CookieJar } from '../../../../src/core/http/cookies.ts';
import type { HttpResponse } from '../../../../src/core/http/message.ts';
import { login } from '../../../../src/core/protocols/anyconnect/login.ts';
import { Strap } from '../../../../src/core/protocols/anyconnect/strap.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { formatIp } from '../../../../src/core/wire/ip-address.ts';
import { toBase64 } from '../../../../src/core/wire/text.ts';
import { CLIENT, failToLogIn, logIn } from '../../../support/anyconnect-login.ts';
import { groups, otp, password, text } from '../../../support/forms.ts';
import { LOGIN_FLOWS } from '../../../support/login-flows/all.ts';
import { askUser, formOf, GROUPS, PASSWORD, submit, USERNAME } from '../../../support/login-flows/flow.ts';
import { ask, captured, documentOf, init, legacyStart, on, page, redirect, reply, success } from '../../../support/login-script.ts';
import { ScriptedLoginIo } from '../../../support/scripted-login-io.ts';
import { sized } from '../../../support/size.ts';
import { testCrypto } from '../../../support/test-crypto.ts';

for (const [subject, flows] of Object.entries(LOGIN_FLOWS)) {
  describe(`AnyConnect log-in: ${subject}`, () => {
    for (const flow of flows) {
      it(flow.name, async () => {
        const options = {
          server: `vpn.example${flow.path ?? ''}`,
          login: { usesXml: flow.usesXml ?? true },
          io: { hasClientCertificate: flow.hasClientCertificate ?? false },
        };
        if (flow.failure !== undefined) {
          await failToLogIn(flow.steps, { message: flow.failure }, options);
          return;
        }
        const { credential } = await logIn(flow.steps, options);
        assert.equal(credential.cookie.reveal(), `webvpn=${flow.session ?? 'SESSION'}`);
      });
    }
  });
}

const USER_ANSWER = '<auth><username>alice</username></auth>';

describe('AnyConnect log-in', () => {
  it('goes through the documents of ocserv 1.1.6 as they were captured', async () => {
    const group = groups([], {
      label: 'Group:',
      initial: 'none',
      choices: [
        { value: 'none', label: 'none' },
        { value: 'ga', label: 'Group A' },
        { value: 'gb', label: 'gb' },
      ],
    });
    const { credential, io } = await logIn([
      on(init('/'), captured('init')),
      ask(
        {
          id: 'main',
          message: 'Please enter your username.',
          fields: [group, { kind: 'text', name: 'username', label: 'Username:' }],
        },
        submit({ group_list: 'none', username: 'alice' }),
      ),
      on(reply('/auth', `${USER_ANSWER}<group-select>none</group-select>`), captured('password')),
      ask({ message: 'Please enter your password.', fields: [password()] }, submit({ password: new Secret('wrong-one') })),
      on(reply('/auth', '<auth><password>wrong-one</password></auth>', { cookie: cookiesOf('password') }), captured('wrong-password')),
      ask({ message: 'Login failed.\nPlease enter your password.' }, submit({ password: new Secret('right-one') })),
      on(reply('/auth', '<auth><password>right-one</password></auth>', { cookie: cookiesOf('wrong-password') }), captured('complete')),
    ]);
    assert.match(credential.cookie.reveal(), /^webvpn=[A-Za-z0-9+/]{43}=$/);
    assert.ok(io.log.lines.some((line) => line.startsWith('info login banner text=Welcome &')));
  });

  it('hands out where to connect, with which key, and the cookie with the key that it is bound to', async () => {
    const strap = Strap.generate(testCrypto());
    const { credential } = await logIn(
      [
        on(init('/grp'), redirect('https://other.example:8443/x')),
        on(init('/x', { host: 'other.example:8443', access: 'https://vpn.example/grp' }), success()),
      ],
      { server: 'vpn.example/grp', login: { strap } },
    );
    assert.deepEqual(credential.gateway, { host: 'other.example', port: 8443, path: '/' });
    assert.equal(credential.address && formatIp(credential.address), '192.0.2.2');
    assert.equal(credential.pin, 'pin-sha256:PIN=');
    assert.equal(credential.cookie.reveal(), `openconnect_strapkey=${toBase64(strap.exportKey())}; webvpn=SESSION`);
    assert.equal(String(credential.cookie), '[secret]');
  });

  it('shows banner, message and error with their parameters in place', async () => {
    const texts =
      '<banner param1="b1">banner %s 100%% %s</banner><message param1="m1" param2="m2">m %s %s %s %d</message><error param2="e2">e %s %s</error>';
    await logIn([
      on(init('/'), documentOf(formOf(USERNAME, { texts }))),
      ask({ banner: 'banner b1 100%% %s', message: 'm m1 m2 %s %d', error: 'e %s e2' }, submit({ username: 'alice' })),
      on(reply('/auth', USER_ANSWER), success()),
    ]);
  });

  it('marks the fields for codes: a second password, a challenge, and ocserv’s page that says so', async () => {
    const code = new Secret('123456');
    await logIn([
      on(init('/'), documentOf(formOf(PASSWORD.replace('"password" label', '"secondary_password" label')))),
      ask({ fields: [{ ...otp('secondary_password'), label: 'Password:' }] }, submit({ secondary_password: code })),
      on(reply('/auth', '<auth><secondary_password>123456</secondary_password></auth>'), documentOf(formOf(PASSWORD, { id: 'challenge' }))),
      ask({ id: 'challenge', fields: [{ ...otp('password'), label: 'Password:' }] }, submit({ password: code })),
      on(
        reply('/auth', '<auth><password>123456</password></auth>'),
        documentOf(formOf(PASSWORD, { texts: '<message>Please enter your OTP password.</message>' })),
      ),
      ask({ fields: [{ ...otp('password'), label: 'Password:' }] }, submit({ password: code })),
      on(reply('/auth', '<auth><password>123456</password></auth>'), success()),
    ]);
  });

  it('shows no password in logs that whoever answers gave as a plain text', async () => {
    const { io } = await logIn([
      on(init('/'), documentOf(formOf(USERNAME + PASSWORD))),
      ask({ fields: [text('username'), password()] }, submit({ username: 'alice', password: 'plain-pw' })),
      on(reply('/auth', '<auth><username>alice</username><password>plain-pw</password></auth>'), success()),
    ]);
    const shown = io.requests.map(({ shownBody }) => shownBody).join('\n');
    assert.match(shown, /<username>alice<\/username><password>\[secret\]<\/password>/);
    assert.ok(!shown.includes('plain-pw'));
  });

  it('says once that the certificate was refused, however the gateway does', async () => {
    for (const refusal of [
      documentOf(formOf(USERNAME), { headers: [['Set-Cookie', 'ClientCertAuthFailed=1']] }),
      documentOf(formOf(USERNAME, { texts: '<error>Certificate Validation Failure</error>' })),
    ]) {
      const cookie = refusal.headers.some(([name]) => name === 'Set-Cookie') ? { cookie: 'ClientCertAuthFailed=1' } : {};
      const { io } = await logIn([
        on(init('/'), refusal),
        askUser,
        on(reply('/auth', USER_ANSWER, cookie), refusal),
        askUser,
        on(reply('/auth', USER_ANSWER, cookie), success()),
      ]);
      assert.equal(io.log.lines.filter((line) => line === 'error client certificate refused').length, 1);
    }
  });

  it('changes the group five times, and not six', async () => {
    const form = documentOf(formOf(GROUPS + USERNAME));
    const change = ask({}, { type: 'change-group', group: 'gb' });
    const again = on(init('/auth', { rest: '<group-select>gb</group-select>' }), form);
    await failToLogIn([on(init('/'), form), ...Array.from({ length: 5 }, () => [change, again]).flat(), change], {
      name: 'PeerMisbehavedError',
      message: /more than 5 times/,
    });
  });

  it('follows a redirect to the form of a group, and takes no other answer for it', async () => {
    const change = ask({}, { type: 'change-group', group: 'gb' });
    const begin = [on(init('/'), documentOf(formOf(GROUPS + USERNAME))), change];
    const rest = { rest: '<group-select>gb</group-select>' };
    const access = 'https://vpn.example/auth';
    await logIn([
      ...begin,
      on(init('/auth', rest), redirect('/b')),
      on(init('/b', { ...rest, access }), documentOf(formOf(USERNAME, { attributes: 'action="c"' }))),
      askUser,
      on(reply('/c', USER_ANSWER), success()),
    ]);
    await failToLogIn([...begin, on(init('/auth', rest), page('', { status: 500, reason: 'Oops' }))], { message: /500 Oops/ });
    await failToLogIn([...begin, on(init('/auth', rest), page('<html>'))], { name: 'PeerMisbehavedError' });
    await failToLogIn([...begin, on(init('/auth', rest), documentOf(''))], { message: /no form for the group/ });
  });

  it('says in a group’s form too that it has no certificate', async () => {
    const rest = '<group-select>gb</group-select>';
    await logIn([
      on(init('/'), documentOf(formOf(GROUPS + USERNAME))),
      ask({}, { type: 'change-group', group: 'gb' }),
      on(init('/auth', { rest }), documentOf('<client-cert-request/>')),
      on(init('/auth', { rest: `<client-cert-fail/>${rest}` }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', USER_ANSWER), success()),
    ]);
  });

  it('ends when whoever answers cancels', async () => {
    await failToLogIn([on(init('/'), documentOf(formOf(USERNAME))), ask({}, { type: 'cancel' })], { name: 'CancelledError' });
  });

  it('is never led to a server without TLS', async () => {
    for (const place of ['http://vpn.example/', 'ftp://x/']) {
      await failToLogIn([on(init('/'), redirect(place))], { name: 'PeerMisbehavedError', message: /only https/ });
    }
  });

  it('blames the gateway for a field that is no XML name, and for a token that cannot be a cookie', async () => {
    await failToLogIn(
      [on(init('/'), documentOf(formOf('<input type="text" name="user name" label="U:"/>'))), ask({}, submit({ 'user name': 'alice' }))],
      { name: 'PeerMisbehavedError', message: /cannot be an XML element/ },
    );
    await failToLogIn(
      [
        on(init('/'), documentOf(formOf(USERNAME))),
        askUser,
        on(reply('/auth', USER_ANSWER), success('<session-token>a;b</session-token>')),
      ],
      {
        name: 'PeerMisbehavedError',
        message: /session-token/,
      },
    );
  });

  it('sends nothing for a field that was not answered, whatever its name', async () => {
    await logIn([
      on(
        init('/'),
        documentOf(formOf('<input type="text" name="constructor" label="C:"/><input type="text" name="__proto__" label="P:"/>')),
      ),
      ask({}, submit({})),
      on(reply('/auth', '<auth/>'), success()),
    ]);
  });

  it('ends after fifty rounds', async () => {
    const round = [askUser, on(reply('/auth', USER_ANSWER), documentOf(formOf(USERNAME)))];
    await failToLogIn([on(init('/'), documentOf(formOf(USERNAME))), ...Array.from({ length: 50 }, () => round).flat()], {
      message: /after 50 rounds/,
    });
  });

  it('goes without XML from the start when told to', async () => {
    await logIn([on(legacyStart('/'), success())], { login: { usesXml: false } });
  });

  it('throws nothing but its own errors, whatever the gateway answers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(hostileResponse, { minLength: 1, maxLength: 8 }),
        fc.infiniteStream(anyAnswer),
        async (responses, answers) => {
          const io = new HostileIo(responses, answers);
          const target = { host: 'vpn.example', port: 443, path: '/' };
          try {
            await login(io, target, { client: CLIENT, usesXml: true, httpAuth: ['basic', 'digest', 'ntlm'] });
          } catch (error) {
            if (!(error instanceof SallyportError)) throw error;
          }
        },
      ),
      { numRuns: sized(300, 20_000) },
    );
  });
});

/** The cookies that a captured document sets. */
function cookiesOf(name: string): string {
  const jar = new CookieJar();
  jar.store(captured(name).headers);
  return jar.header() ?? '';
}

const FRAGMENTS: readonly string[] = [
  formOf(USERNAME + PASSWORD),
  formOf(`${GROUPS}${USERNAME}<input type="password" name="__proto__"/><input type="hidden" name="constructor" value="&#1;"/>`),
  formOf('<select name="group_list"/><input type="sso" name="s"/>'),
  formOf('', { texts: '<authentication-complete/>' }),
  formOf(USERNAME, { attributes: 'action="https://[::"' }),
  formOf(USERNAME, { attributes: 'action="//other.example:99999/"' }),
  '<auth id="success"/>',
  '<client-cert-request/>',
  '<multiple-client-cert-request><hash-algorithm>sha512</hash-algorithm></multiple-client-cert-request>',
  '<session-token>T&#10;X</session-token>',
  '<session-token>TOKEN</session-token>',
  '<opaque is-for="sg"><a:b c:d="&#0;">&#55296;</a:b></opaque>',
  '<host-scan><host-scan-ticket>"</host-scan-ticket><host-scan-token>T</host-scan-token><host-scan-base-uri>https://x</host-scan-base-uri><host-scan-wait-uri>w</host-scan-wait-uri></host-scan>',
  '<config><vpn-profile-manifest><vpn rev="1.0"><file type="profile" service-type="user"><uri>//</uri><hash type="sha1">x</hash></file></vpn></vpn-profile-manifest></config>',
  '<error param1="%s">%s %s %</error>',
];

const hostileResponse: fc.Arbitrary<HttpResponse> = fc.oneof(
  fc.subarray([...FRAGMENTS]).map((parts) => documentOf(parts.join(''), { headers: [['Set-Cookie', 'webvpn=S']] })),
  fc.subarray([...FRAGMENTS]).map((parts) => page(parts.join(''))),
  fc.constantFrom('/x', 'https://other.example/', 'http://x/', 'https://', '\u0001', '?').map((place) => redirect(place)),
  fc
    .constantFrom('Basic realm="r"', 'Digest realm="r", nonce="n"', 'NTLM', 'NTLM !', 'Negotiate', '')
    .map((challenge) => page('', { status: 401, headers: [['WWW-Authenticate', challenge]] })),
  fc.constantFrom(400, 403, 404, 500).map((status) => page('<html/>', { status })),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => page(bytes)),
  fc.constantFrom('<html http-equiv="refresh">', '<?xml version="1.0"?><a/>').map((body) => page(body)),
);

type AnyAnswer = 'submit' | 'submit-nothing' | 'change-group' | 'cancel';
const anyAnswer: fc.Arbitrary<AnyAnswer> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<AnyAnswer>('submit') },
  fc.constantFrom<AnyAnswer>('submit-nothing', 'change-group', 'cancel'),
);

/** A world that answers with these responses again and again, and fills forms with what they suggest. */
class HostileIo extends ScriptedLoginIo {
  readonly #responses: readonly HttpResponse[];
  readonly #answers: Iterator<AnyAnswer>;
  #count = 0;

  constructor(responses: readonly HttpResponse[], answers: Iterator<AnyAnswer>) {
    const userCertificate = { chain: [new Uint8Array(1)], sign: async () => new Uint8Array(1) };
    const profile = { sha1: async () => undefined, replace: async () => undefined };
    super([], { crypto: testCrypto(), userCertificate, profile });
    this.#responses = responses;
    this.#answers = answers;
  }

  override async http(): Promise<HttpResponse> {
    return this.#responses[this.#count++ % this.#responses.length] as HttpResponse;
  }

  override async ask(form: AuthForm): Promise<FormAnswer> {
    const type = this.#answers.next().value as AnyAnswer;
    switch (type) {
      case 'submit':
        return { type, values: Object.fromEntries(form.fields.map(({ name }) => [name, 'x'])) };
      case 'submit-nothing':
        return { type: 'submit', values: {} };
      case 'change-group':
        return { type, group: 'gb' };
      case 'cancel':
        return { type };
    }
  }

  override async checkHost(): Promise<void> {}

  override async sleep(): Promise<void> {}
}
