/** A log-in at a BIG-IP, exchange by exchange: the transcript of the specification, and what else gateways do. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PeerMisbehavedError, PeerRefusedError } from '../../../../src/core/errors.ts';
import { login } from '../../../../src/core/protocols/f5/login.ts';
import { PlayedIo, type PlayedStep, reply } from '../../../support/played-io.ts';

const TARGET = { host: 'vpn.example', port: 443, path: '/' };
const PRELIMINARY = ['Set-Cookie', 'MRHSession=pre0000;path=/;secure'] as const;
const SESSION = [
  ['Set-Cookie', 'MRHSession=0123456789abcdef0123456789abcdef;path=/;secure'],
  ['Set-Cookie', 'F5_ST=1z1z1z1795436305z604800;path=/;secure'],
] as const;
const LOGGED_IN = { sent: 'GET /vdesk/webtop.eui?webtop=/Common/wt', answer: reply(200, '<html>webtop</html>') };

function form(fields: string, message = '', id = 'auth_form'): string {
  return `<form id="${id}" method="post" action="/my.policy"><table><td id="credentials_table_postheader">${message}</td></table>${fields}</form>`;
}

const FIELDS =
  '<input type="text" name="username"/><input type="password" name="password"/><input type="hidden" name="vhost" value="standard"/>';
const ENTRY: readonly PlayedStep[] = [
  { sent: 'GET /', answer: reply(302, '', [['Location', '/my.policy'], PRELIMINARY]) },
  { sent: 'GET /my.policy', answer: reply(200, form(FIELDS)) },
];
const ASKED = ['username', 'password', 'vhost'];
const POSTED = 'POST /my.policy username=user&password=secret&vhost=standard';
const IN: PlayedStep = {
  sent: POSTED,
  answer: reply(302, '', [['Location', '/vdesk/webtop.eui?webtop=/Common/wt'], ...SESSION]),
};

async function run(steps: readonly PlayedStep[]) {
  const io = new PlayedIo(steps);
  const credential = await login(io, TARGET, 'Open AnyConnect VPN Agent v9.01-3');
  io.assertFinished(['secret', '123456']);
  return { io, credential };
}

describe('log-in at an F5 gateway', () => {
  it('goes as the transcript of the specification', async () => {
    const { io, credential } = await run([...ENTRY, { asked: ASKED, values: ['user', 'secret', 'standard'] }, IN, LOGGED_IN]);
    assert.equal(credential.cookie.reveal(), 'MRHSession=0123456789abcdef0123456789abcdef; F5_ST=1z1z1z1795436305z604800');
    assert.deepEqual([credential.protocol, credential.gateway.path], ['f5', '/']);
    const header = (i: number, name: string) => io.requests[i]?.headers.find(([each]) => each === name)?.[1];
    assert.equal(header(1, 'Cookie'), 'MRHSession=pre0000');
    assert.equal(header(2, 'X-Pad')?.length, 64 - 44);
  });

  it('answers further forms, whose password a token may have made', async () => {
    const { io } = await run([
      ...ENTRY,
      { asked: ASKED, values: ['user', 'secret', 'standard'] },
      {
        sent: POSTED,
        answer: reply(
          200,
          form('<input type="password" name="otp_password"/><input type="hidden" name="step" value="7"/>', 'Code?', 'other'),
        ),
      },
      { asked: ['otp_password', 'step'], values: ['123456', '7'] },
      { sent: 'POST /my.policy otp_password=123456&step=7', answer: reply(200, '', SESSION) },
    ]);
    assert.deepEqual(
      io.forms.map(({ fields, message }) => [fields[0]?.kind, fields[1]?.kind, message]),
      [
        ['text', 'password', undefined],
        ['otp', 'hidden', 'Code?'],
      ],
    );
  });

  it('asks again with the message of the page, three times in all', async () => {
    const wrong: readonly PlayedStep[] = [
      { asked: ASKED, values: ['user', 'secret', 'standard'] },
      { sent: POSTED, answer: reply(200, form(FIELDS, 'The username or password is not correct')) },
    ];
    const { io } = await run([...ENTRY, ...wrong, ...wrong, { asked: ASKED, values: ['user', 'secret', 'standard'] }, IN, LOGGED_IN]);
    assert.deepEqual(
      io.forms.map(({ error }) => error),
      [undefined, 'The username or password is not correct', 'The username or password is not correct'],
    );
    await assert.rejects(run([...ENTRY, ...wrong, ...wrong, ...wrong]), PeerRefusedError);
  });

  it('sends the domain in front, and fills a page that leaves its form to a script', async () => {
    const domains = '<select name="domain"><option value="0">One</option><option value="1">Two</option></select>';
    await run([
      { sent: 'GET /', answer: reply(200, form(FIELDS + domains)) },
      { asked: ['domain', ...ASKED], values: ['1', 'user', 'secret', 'standard'] },
      { sent: 'POST /my.policy domain=1&username=user&password=secret&vhost=standard', answer: reply(200, '', SESSION) },
    ]);
    await run([
      { sent: 'GET /', answer: reply(200, '<html><script src="x"></script></html>') },
      { asked: ['username', 'password'], values: ['user', 'secret'] },
      { sent: 'POST / username=user&password=secret', answer: reply(200, '', SESSION) },
    ]);
  });

  it('begins once more where the gateway drops the session, and no more than that', async () => {
    const dropped: PlayedStep[] = [
      { sent: 'GET /', answer: reply(302, '', [['Location', '/my.logout.php3?errorcode=19']]) },
      { sent: 'GET /my.logout.php3?errorcode=19', answer: reply(200, 'gone') },
    ];
    await run([...dropped, ...ENTRY, { asked: ASKED, values: ['user', 'secret', 'standard'] }, IN, LOGGED_IN]);
    await assert.rejects(run([...dropped, ...dropped]), PeerRefusedError);
  });

  it('takes no password to another server, and no cookie from the first answer for a session', async () => {
    const elsewhere = form(FIELDS).replace('action="/my.policy"', 'action="https://other.example/my.policy"');
    await assert.rejects(
      run([
        { sent: 'GET /', answer: reply(200, elsewhere, [PRELIMINARY]) },
        { asked: ASKED, values: ['user', 'secret', 'standard'] },
      ]),
      PeerMisbehavedError,
    );
    await assert.rejects(
      run([
        ...ENTRY,
        { asked: ASKED, values: ['user', 'secret', 'standard'] },
        { sent: POSTED, answer: reply(302, '', [['Location', 'https://other.example/my.policy']]) },
      ]),
      PeerMisbehavedError,
    );
  });

  it('may be sent on before anything of the user was said, and again from the beginning', async () => {
    const moved: PlayedStep = { sent: 'GET /', answer: reply(302, '', [['Location', 'https://other.example/my.policy']]) };
    const page: PlayedStep = { sent: 'GET /my.policy', answer: reply(200, form(FIELDS)) };
    const asked: PlayedStep = { asked: ASKED, values: ['user', 'secret', 'standard'] };
    const gone: PlayedStep = { sent: POSTED, answer: reply(302, '', [['Location', '/my.logout.php3?errorcode=19']]) };
    const bye: PlayedStep = { sent: 'GET /my.logout.php3?errorcode=19', answer: reply(200, 'gone') };
    const { credential } = await run([moved, page, asked, gone, bye, moved, page, asked, IN, LOGGED_IN]);
    assert.equal(credential.gateway.host, 'other.example');
  });
});
