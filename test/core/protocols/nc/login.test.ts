/** A log-in at a Network Connect gateway, exchange by exchange: the flows of the specification, and what else gateways do. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HelperConnection, HelperRequest } from '../../../../src/core/auth/login-io.ts';
import { NetworkError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../../../src/core/errors.ts';
import { login } from '../../../../src/core/protocols/nc/login.ts';
import { fromUtf8, utf8 } from '../../../../src/core/wire/text.ts';
import { PlayedIo, type PlayedStep, reply } from '../../../support/played-io.ts';

const TARGET = { host: 'vpn.example', port: 443, path: '/' };
const WELCOME = '/dana-na/auth/url_default/welcome.cgi';
const LOGIN = '/dana-na/auth/url_default/login.cgi';
const SESSION = ['DSID=0123456789abcdef0123456789abcdef', 'DSFirstAccess=1', 'DSLastAccess=2'].map(
  (text) => ['Set-Cookie', `${text}; path=/; secure`] as const,
);
const to = (location: string) => ['Location', location] as const;

function form(name: string, fields: string, action = 'action="login.cgi"'): string {
  return `<html><form ${name} ${action} method="POST">${fields}</form></html>`;
}

const FIELDS = `<input type="hidden" name="tz_offset" value=""><input type="text" name="username"><input type="password" name="password">
  <input type="hidden" name="realm" value="Users"><input type="submit" name="btnSubmit" value="Sign In">`;
const PAGE = form('name="frmLogin"', FIELDS);
const ENTRY: readonly PlayedStep[] = [
  { sent: 'GET /', answer: reply(302, '', [to(WELCOME), ['Set-Cookie', 'DSSIGNIN=url_default; path=/dana-na/']]) },
  { sent: `GET ${WELCOME}`, answer: reply(200, PAGE) },
];
const ASKED: PlayedStep = {
  asked: ['tz_offset', 'username', 'password', 'realm', 'btnSubmit'],
  values: ['', 'alice', 'secret', 'Users', 'Sign In'],
};
const POSTED = `POST ${LOGIN} tz_offset=&username=alice&password=secret&realm=Users&btnSubmit=Sign%20In`;
const IN = reply(302, '', [to('/dana/home/starter0.cgi'), ...SESSION]);
const LANDED: PlayedStep = { sent: 'GET /dana/home/starter0.cgi', answer: reply(403) };

async function run(steps: readonly PlayedStep[], io = new PlayedIo(steps)) {
  const credential = await login(io, TARGET, { userAgent: 'Agent', hostname: 'laptop' });
  io.assertFinished(['secret', '499218']);
  return { io, credential };
}

/** The user's program: it says the same whatever it is told, byte for byte, and ends. */
class PlayedChecker implements HelperConnection {
  readonly requests: HelperRequest[] = [];
  readonly said: string[] = [];
  repeated: readonly [text: string, every: number] | undefined;
  readonly #words: string;
  #at = 0;

  constructor(words: string) {
    this.#words = words;
  }

  async read(): Promise<Uint8Array> {
    if (this.#at === this.#words.length) throw new NetworkError('It has ended.');
    return utf8(this.#words.charAt(this.#at++));
  }

  write(bytes: Uint8Array): void {
    this.said.push(fromUtf8(bytes));
  }

  repeat(bytes: Uint8Array, every: number): void {
    this.repeated = [fromUtf8(bytes), every];
  }
}

class CheckedIo extends PlayedIo {
  readonly startHelper: (request: HelperRequest) => Promise<HelperConnection>;

  constructor(steps: readonly PlayedStep[], checker: PlayedChecker) {
    super(steps);
    this.startHelper = async (request) => {
      checker.requests.push(request);
      return checker;
    };
  }
}

describe('log-in at a Network Connect gateway', () => {
  it('goes as in the specification, and is over once the cookie is there, whatever the page', async () => {
    const { io, credential } = await run([...ENTRY, ASKED, { sent: POSTED, answer: IN }, LANDED]);
    assert.equal(credential.cookie.reveal(), 'DSID=0123456789abcdef0123456789abcdef; DSFirst=1; DSLast=2');
    assert.deepEqual([credential.protocol, credential.gateway.path], ['nc', '/']);
    assert.deepEqual(io.requests[1]?.headers, [
      ['Host', 'vpn.example'],
      ['User-Agent', 'Agent'],
      ['Cookie', 'DSSIGNIN=url_default'],
      ['NCP-Version', '3'],
    ]);
  });

  it('answers for a code, lets another session go, and takes a role', async () => {
    const { io } = await run([
      ...ENTRY,
      ASKED,
      {
        sent: POSTED,
        answer: reply(
          200,
          form('name="frmDefender"', '<input type="password" name="token_code"><input type="submit" name="btnAction" value="Go">'),
        ),
      },
      { asked: ['token_code', 'btnAction'], values: ['499218', 'Go'] },
      {
        sent: `POST ${LOGIN} token_code=499218&btnAction=Go`,
        answer: reply(
          200,
          form(
            'name="frmConfirmation"',
            '<input type="checkbox" name="postfixSID" value="s1"><input type="submit" name="btnContinue" value="Yes"><input type="submit" name="btnCancel" value="No">',
          ),
        ),
      },
      {
        sent: `POST ${LOGIN} postfixSID=s1&btnContinue=Yes`,
        answer: reply(
          200,
          '<form name="frmSelectRoles"><table id="TABLE_SelectRole_1"><tr><td><a href="login.cgi?r=1">A</a></td></tr><tr><td><a href="login.cgi?r=2">B</a></td></tr></table></form>',
        ),
      },
      { asked: ['role'], values: ['1'] },
      { sent: `GET ${LOGIN}?r=2`, answer: IN },
      LANDED,
    ]);
    assert.equal(io.forms[1]?.fields[0]?.kind, 'otp');
  });

  it('hands on what a server says to another page, without asking', async () => {
    await run([
      {
        sent: 'GET /',
        answer: reply(200, form('id="formSAMLSSO"', '<input type="hidden" name="SAMLResponse" value="x">', 'action="/saml.cgi"')),
      },
      { sent: 'POST /saml.cgi SAMLResponse=x', answer: IN },
      LANDED,
    ]);
  });

  it('asks again after a wrong password, and gives up after three', async () => {
    const wrong = { sent: POSTED, answer: reply(200, PAGE) };
    const { io } = await run([...ENTRY, ASKED, wrong, ASKED, { sent: POSTED, answer: IN }, LANDED]);
    assert.ok(io.forms[1]?.error);
    await assert.rejects(run([...ENTRY, ASKED, wrong, ASKED, wrong, ASKED, wrong]), PeerRefusedError);
  });

  it('takes another question in the same form for what it is', async () => {
    const fields = '<input type="password" name="token_code"><input type="submit" name="btnAction" value="Go">';
    const code = (text: string) => reply(200, form('name="frmDefender"', `<textarea name="sn-preauth-text">${text}</textarea>${fields}`));
    const asked: PlayedStep = { asked: ['token_code', 'btnAction'], values: ['499218', 'Go'] };
    const sent = `POST ${LOGIN} token_code=499218&btnAction=Go`;
    const { io } = await run([
      ...ENTRY,
      ASKED,
      { sent: POSTED, answer: code('A new PIN') },
      ...['Once more', 'The next code', 'The code after it'].flatMap((text): PlayedStep[] => [asked, { sent, answer: code(text) }]),
      asked,
      { sent, answer: code('The code after it') },
      asked,
      { sent, answer: IN },
      LANDED,
    ]);
    assert.deepEqual(
      io.forms.map(({ error }) => error),
      [undefined, undefined, undefined, undefined, undefined, 'The code after it'],
    );
  });

  it('shows a notice that has to be accepted', async () => {
    const notice = '<textarea name="sn-preauth-text">For staff only</textarea><input type="submit" name="sn-preauth-proceed" value="Go">';
    const { io } = await run([
      { sent: 'GET /', answer: reply(200, form('name="frmLogin"', notice, 'action="/dana-na/auth/x.cgi"')) },
      { asked: ['sn-preauth-proceed'], values: ['Go'] },
      { sent: 'POST /dana-na/auth/x.cgi sn-preauth-proceed=Go', answer: IN },
      LANDED,
    ]);
    assert.equal(io.forms[0]?.message, 'For staff only');
  });

  it('hands on fields whatever they are called', async () => {
    const names = ['constructor', '__proto__', 'toString'];
    const inputs = names.map((name) => `<input type="hidden" name="${name}" value="1">`).join('');
    await run([
      { sent: 'GET /', answer: reply(200, form('name="hiddenform"', inputs, 'action="/a"')) },
      { sent: 'POST /a constructor=1&__proto__=1&toString=1', answer: IN },
      LANDED,
    ]);
  });

  it('does not go round for ever', async () => {
    const relay = (n: number) =>
      reply(200, form('name="hiddenform"', `<input type="hidden" name="n" value="${n}"><input type="hidden" name="n${n}">`, 'action="/a"'));
    const steps = Array.from({ length: 20 }, (_, n) => ({ sent: n === 0 ? 'GET /' : `POST /a n=${n - 1}&n${n - 1}=`, answer: relay(n) }));
    await assert.rejects(run([...steps, { sent: 'POST /a n=19&n19=', answer: relay(20) }]), PeerMisbehavedError);
  });

  it('says what it cannot do, and what was refused', async () => {
    const applet = reply(200, '<html>applet</html>', [['Set-Cookie', 'DSPREAUTH=1; path=/dana-na/']]);
    await assert.rejects(run([{ sent: 'GET /', answer: applet }]), UnsupportedError);
    await assert.rejects(run([{ sent: 'GET /', answer: reply(200, '<html>applet</html>') }]), PeerMisbehavedError);
    await assert.rejects(run([{ sent: 'GET /', answer: reply(403) }]), PeerRefusedError);
    await assert.rejects(run([{ sent: 'GET /', answer: reply(500) }]), PeerMisbehavedError);
  });

  it('has the machine checked by the user’s program, and goes on with the cookie that it brings', async () => {
    const preauth = `${WELCOME}?p=preauth`;
    const began = ['Set-Cookie', 'DSPREAUTH=before; path=/dana-na/'] as const;
    const steps: readonly PlayedStep[] = [
      { sent: 'GET /', answer: reply(302, '', [to(preauth), ['Set-Cookie', 'DSSIGNIN=url_default; path=/dana-na/']]) },
      { sent: `GET ${preauth}`, answer: reply(200, '<html>applet</html>', [began]) },
      { sent: `GET ${preauth}`, answer: reply(302, '', [to(`${LOGIN}?loginmode=mode_postAuth`)]) },
      { sent: `GET ${LOGIN}?loginmode=mode_postAuth`, answer: reply(200, PAGE) },
      ASKED,
      { sent: `POST ${LOGIN} ${POSTED.slice(POSTED.indexOf('tz_offset'))}`, answer: IN },
      LANDED,
    ];
    const checker = new PlayedChecker('200\n3\nafter\n600\n\n');
    const { io } = await run(steps, new CheckedIo(steps, checker));
    assert.deepEqual(checker.requests, [{ arguments: ['vpn.example'], environment: { TNCC_SHA256: 'PIN=', TNCC_HOSTNAME: 'laptop' } }]);
    assert.deepEqual(checker.said, ['start\nIC=vpn.example\nCookie=before\nDSSIGNIN=url_default\n', 'setcookie\nCookie=after\n']);
    assert.deepEqual(checker.repeated, ['setcookie\nCookie=after\n', 600_000]);
    assert.match(String(io.requests[2]?.headers.find(([name]) => name === 'Cookie')?.[1]), /DSPREAUTH=after/);
  });

  it('ends where the program says no, or nothing that it may say', async () => {
    const applet = { sent: 'GET /', answer: reply(200, '<html>applet</html>', [['Set-Cookie', 'DSPREAUTH=1; path=/']]) };
    for (const [words, error] of [
      ['500\n', PeerRefusedError],
      ['200\n3\n\n', PeerMisbehavedError],
      ['200\n3\na b\n\n', PeerMisbehavedError],
      ['200\n3\nx\nsoon\n', PeerMisbehavedError],
      [`200\n${'x'.repeat(2000)}`, PeerMisbehavedError],
      ['200\n3\n', NetworkError],
    ] as const) {
      await assert.rejects(run([applet], new CheckedIo([applet], new PlayedChecker(words))), error, words.slice(0, 20));
    }
    const still = { sent: 'GET /', answer: reply(200, '<html>applet</html>') };
    await assert.rejects(run([], new CheckedIo([applet, still], new PlayedChecker('200\n3\nx\n\n'))), PeerMisbehavedError);
  });

  it('takes what it was given to no other server', async () => {
    const elsewhere = form('name="frmLogin"', FIELDS, 'action="https://elsewhere.example/x"');
    const steps = [
      ...ENTRY.slice(0, 1),
      { sent: `GET ${WELCOME}`, answer: reply(200, PAGE) },
      ASKED,
      { sent: POSTED, answer: reply(200, elsewhere) },
    ];
    await assert.rejects(run([...steps, ASKED]), PeerMisbehavedError);
  });
});
