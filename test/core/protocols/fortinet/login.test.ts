/** A log-in at a Fortinet gateway, played: what is sent is what the specification has seen on the wire. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../../../src/core/errors.ts';
import { headerValue } from '../../../../src/core/http/message.ts';
import { login } from '../../../../src/core/protocols/fortinet/login.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { cookie, PlayedIo, type PlayedStep, reply } from '../../../support/played-io.ts';

const TARGET = { host: 'vpn.example', port: 8443, path: '/' };

const ENTRY: readonly PlayedStep[] = [
  { sent: 'GET /', answer: reply(302, '', [['Location', '/remote/login?lang=en']]) },
  { sent: 'GET /remote/login?lang=en', answer: reply(200, '<html>login</html>') },
];
const PASSWORD: PlayedStep = { asked: ['username', 'credential'], values: ['user', 'secret'] };
const FIRST_POST = 'POST /remote/logincheck username=user&credential=secret&realm=&ajax=1&just_logged_in=1';
const IN: readonly PlayedStep[] = [{ sent: FIRST_POST, answer: reply(200, 'ret=1,redir=/remote/fortisslvpn_xml', cookie()) }];

async function play(steps: readonly PlayedStep[], options: { readonly path?: string; readonly hostCheck?: true } = {}) {
  const io = new PlayedIo(steps);
  const words = { hostCheckWords: { hostCheck: 'yes', virtualDesktop: 'no' } };
  const credential = await login(io, { ...TARGET, path: options.path ?? '/' }, { client: CLIENT, ...(options.hostCheck && words) });
  io.assertFinished(['secret', 'abcDEF123', '123456']);
  return { io, credential };
}

describe("Fortinet's log-in", () => {
  it('is two pages, a name with a password, and a cookie', async () => {
    const { io, credential } = await play([...ENTRY, PASSWORD, ...IN]);
    assert.equal(credential.cookie.reveal(), 'SVPNCOOKIE=abcDEF123');
    assert.deepEqual([credential.protocol, credential.gateway.host, credential.gateway.path], ['fortinet', 'vpn.example', '/']);
    const [first, , post] = io.requests;
    assert.deepEqual(first?.headers, [
      ['Host', 'vpn.example:8443'],
      ['User-Agent', 'Mozilla/5.0 SV1'],
    ]);
    assert.deepEqual(post?.headers.slice(2), [
      ['X-Pad', '00'],
      ['Content-Type', 'application/x-www-form-urlencoded'],
      ['Content-Length', '62'],
    ]);
  });

  it('brings the realm back byte for byte, also where a script leads to it', async () => {
    for (const entry of [
      { sent: 'GET /fake', answer: reply(302, '', [['Location', '/remote/login?realm=fake%2BRealm&lang=en']]) },
      { sent: 'GET /fake', answer: reply(200, '<script>top.location="/remote/login?realm=fake%2BRealm&lang=en";</script>') },
    ]) {
      const post = FIRST_POST.replace('realm=', 'realm=fake%2BRealm');
      const page = { sent: 'GET /remote/login?realm=fake%2BRealm&lang=en', answer: reply(200, '<html/>') };
      await play([entry, page, PASSWORD, { sent: post, answer: reply(200, 'ret=1', cookie()) }], { path: '/fake' });
    }
  });

  it('needs no question where a certificate is enough', async () => {
    const { io } = await play([{ sent: 'GET /', answer: reply(200, 'in', cookie()) }]);
    assert.deepEqual(io.forms, []);
  });

  it('asks again while the password is wrong, three times, however that is said', async () => {
    const refusals = [
      reply(405, 'no'),
      reply(200, 'ret=0,redir=/remote/login?&err=sslvpn_login_password_expired&lang=en'),
      reply(302, '', [['Location', '/remote/login?err=sslvpn_login_permission_denied']]),
    ];
    const tries = refusals.flatMap((answer): PlayedStep[] => [PASSWORD, { sent: FIRST_POST, answer }]);
    await assert.rejects(play([...ENTRY, ...tries]), PeerRefusedError);
    const { io } = await play([...ENTRY, ...tries.slice(0, 4), PASSWORD, ...IN]);
    assert.deepEqual(
      io.forms.map(({ error }) => error?.includes('expired') ?? 'none'),
      ['none', false, true],
    );
  });

  it('answers for a code, in as many rounds as there are, with what came', async () => {
    const wanted = (n: number) => reply(200, `ret=2,reqid=${n},polid=1-1-99,grp=G,portal=P,magic=1-555,tokeninfo=,chal_msg=Code ${n}`);
    const code = (n: number) =>
      `POST /remote/logincheck username=user&code=123456&realm=&code2=&reqid=${n}&polid=1-1-99&grp=G&portal=P&magic=1-555`;
    const asked: PlayedStep = { asked: ['code'], values: ['123456'] };
    const { io } = await play([
      ...ENTRY,
      PASSWORD,
      { sent: FIRST_POST, answer: wanted(1) },
      asked,
      { sent: code(1), answer: wanted(2) },
      asked,
      { sent: code(2), answer: reply(200, 'ret=1', cookie()) },
    ]);
    // Scripts wait for these words of openconnect's.
    assert.deepEqual(
      io.forms.slice(0, 2).flatMap(({ fields }) => fields.map((field) => 'label' in field && field.label)),
      ['Username: ', 'Password: ', 'Code: '],
    );
    assert.deepEqual(
      io.forms.slice(1).map(({ id, message, fields }) => [id, message, fields[0]?.kind]),
      [
        ['_challenge', 'Code 1', 'otp'],
        ['_challenge', 'Code 2', 'otp'],
      ],
    );
  });

  it('waits for a telephone where the code is left out', async () => {
    const wanted = reply(200, 'ret=2,reqid=7,polid=1,grp=G,portal=P,magic=1-5,tokeninfo=ftm_push');
    const push = 'POST /remote/logincheck username=user&code=&realm=&reqid=7&polid=1&grp=G&portal=P&ftmpush=1';
    await play([
      ...ENTRY,
      PASSWORD,
      { sent: FIRST_POST, answer: wanted },
      { asked: ['code'], values: [''] },
      { sent: push, answer: reply(200, 'ret=1', cookie()) },
    ]);
  });

  it('answers a page with all its fields', async () => {
    const page =
      '<form action="/remote/logincheck" method="post"><b>Please enter it</b><input type="hidden" name="magic" value="1-7"><input type="hidden" name="username" value="u"><input type="hidden" name="reqid" value="9"><input type="hidden" name="grpid" value="0,1,1"><input type="password" name="credential"></form>';
    const sent = 'POST /remote/logincheck magic=1-7&username=u&reqid=9&grpid=0%2C1%2C1&credential=123456&realm=&ajax=1&just_logged_in=1';
    const { io } = await play([
      ...ENTRY,
      PASSWORD,
      { sent: FIRST_POST, answer: reply(401, page) },
      { asked: ['credential'], values: ['123456'] },
      { sent, answer: reply(200, 'ret=1', cookie()) },
    ]);
    assert.equal(io.forms.at(-1)?.message, 'Please enter it');
  });

  it('shows what came where nobody knows how to answer it', async () => {
    const answer = reply(200, 'ret=6,magic=1-7,chal_msg=Choose a new password,pass_renew=1');
    await assert.rejects(play([...ENTRY, PASSWORD, { sent: FIRST_POST, answer }]), (error) => {
      assert.ok(error instanceof UnsupportedError);
      assert.match(error.message, /ret=6,magic=…,chal_msg=Choose a new password,pass_renew=1/);
      return true;
    });
  });

  it('tells a portal that checks hosts the words it was given, and nothing else', async () => {
    const answer = reply(200, 'ret=1,redir=/remote/hostcheck_install?auth_type=16', cookie());
    const check: PlayedStep = {
      sent: 'POST /remote/hostcheck_install?auth_type=16 hostcheck=yes&check_virtual_desktop=no',
      answer: reply(200, 'ok'),
    };
    await play([...ENTRY, PASSWORD, { sent: FIRST_POST, answer }, check], { hostCheck: true });
    const { io } = await play([...ENTRY, PASSWORD, { sent: FIRST_POST, answer }]);
    assert.match(io.log.lines.join('\n'), /checks hosts/);
  });

  it('does not take a password to another server', async () => {
    const elsewhere = reply(200, 'action="https://evil.example/x"', cookie());
    await assert.rejects(play([...ENTRY, PASSWORD, { sent: FIRST_POST, answer: elsewhere }], { hostCheck: true }), PeerMisbehavedError);
  });

  it('goes by a browser where one is to be used, and takes the id that it brings', async () => {
    const steps: PlayedStep[] = [...ENTRY, { sent: 'GET /remote/saml/auth_id?id=abc-123', answer: reply(200, 'ok', cookie('saml')) }];
    const io = new PlayedIo(steps, async (request) => {
      assert.ok(request.kind === 'returns');
      const { url, port, read } = request;
      assert.deepEqual([url, port], ['https://vpn.example:8443/remote/saml/start?redirect=1', 8020]);
      assert.deepEqual(['/favicon.ico', '/?id=', '/?id=a/b', '/?id=abc-123'].map(read), [undefined, undefined, undefined, 'abc-123']);
      return 'abc-123';
    });
    const { cookie: value } = await login(io, TARGET, { client: { ...CLIENT, chosenUserAgent: 'Mine' } });
    assert.equal(value.reveal(), 'SVPNCOOKIE=saml');
    assert.equal(headerValue(io.requests[0]?.headers ?? [], 'User-Agent'), 'Mine');
    assert.equal(io.requests.at(-1)?.shownPath, '/remote/saml/auth_id?id=…'); // it is as good as the cookie
    io.assertFinished();
  });
});
