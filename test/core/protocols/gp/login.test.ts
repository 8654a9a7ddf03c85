/** A log-in at GlobalProtect portals and gateways, played: what is sent is what the specification has seen on the wire. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  CERTIFICATE_NOT_TRUSTED,
  NetworkError,
  PeerMisbehavedError,
  PeerRefusedError,
  TooLateError,
  UnsupportedError,
} from '../../../../src/core/errors.ts';
import { renderCallback, tagsOf } from '../../../../src/core/protocols/gp/browser-login.ts';
import { login } from '../../../../src/core/protocols/gp/login.ts';
import { renderAdmission } from '../../../../src/core/protocols/gp/login-answer.ts';
import { renderPrelogin } from '../../../../src/core/protocols/gp/prelogin.ts';
import { Secret } from '../../../../src/core/secret.ts';
import { CLIENT } from '../../../support/anyconnect-login.ts';
import { PlayedIo, type PlayedStep, reply } from '../../../support/played-io.ts';

const QUERY = 'tmp=tmp&clientVer=4100&clientos=Linux';
const FIELDS = (host: string) =>
  `jnlpReady=jnlpReady&ok=Login&direct=yes&clientVer=4100&prot=https%3A&internal=no&ipv6-support=yes&clientos=Linux&os-version=linux-64&server=${host}&computer=laptop`;
const READY = reply(200, '<prelogin-response><status>Success</status><region>XX</region></prelogin-response>');
const FORM = { type: 'ready', usernameLabel: 'Username', passwordLabel: 'Password' } as const;
const SAML_OF_NOTHING =
  '<prelogin-response><status>Success</status><saml-auth-method>REDIRECT</saml-auth-method><saml-request>-</saml-request></prelogin-response>';
const NO_PORTAL = reply(200, '<prelogin-response><status>Error</status><msg>GlobalProtect portal does not exist</msg></prelogin-response>');
const IN = reply(200, renderAdmission({ authcookie: new Secret('ab'.repeat(32)), user: 'alice' }));
const COOKIE = `authcookie=${'ab'.repeat(32)}&portal=sallyport&user=alice&domain=%28empty_domain%29&computer=laptop`;

const portalPrelogin = (answer = READY): PlayedStep => ({ sent: `POST /global-protect/prelogin.esp?${QUERY} `, answer });
const prelogin = (answer = READY): PlayedStep => ({ sent: `POST /ssl-vpn/prelogin.esp?${QUERY} `, answer });
const words = (secret = 'secret', field = 'passwd'): PlayedStep => ({ asked: ['user', field], values: ['alice', secret] });
const post = (answer = IN, rest = '&user=alice&passwd=secret', host = 'vpn.example', path = '/ssl-vpn/login.esp'): PlayedStep => ({
  sent: `POST ${path} ${FIELDS(host)}${rest}`,
  answer,
});
const PORTAL = '/global-protect/getconfig.esp';

function policyOf(names: readonly string[], more = '') {
  const entries = names.map((name) => `<entry name="${name}"><description>At ${name}</description></entry>`).join('');
  return reply(
    200,
    `<policy><gateways><external><list>${entries}</list></external></gateways><portal-userauthcookie>TOKEN</portal-userauthcookie>${more}</policy>`,
  );
}

async function play(steps: readonly PlayedStep[], path = '/gateway') {
  const io = new PlayedIo(steps);
  const { credential, reportInterval } = await login(io, { host: 'vpn.example', port: 443, path }, { client: CLIENT, wantsIpv6: true });
  io.assertFinished(['secret', '123456', 'ab'.repeat(32), 'TOKEN']);
  return { io, credential, reportInterval };
}

describe("GlobalProtect's log-in", () => {
  it('is a prelogin, a name with a password, and a cookie', async () => {
    const { credential } = await play([prelogin(), words(), post()]);
    assert.equal(credential.cookie.reveal(), COOKIE);
    assert.deepEqual([credential.protocol, credential.gateway.host], ['gp', 'vpn.example']);
  });

  it('goes to the gateway where there is no portal, unless a portal is meant', async () => {
    await play([portalPrelogin(NO_PORTAL), prelogin(), words(), post()], '/');
    await assert.rejects(play([portalPrelogin(NO_PORTAL)], '/portal'), PeerRefusedError);
  });

  it('asks again after 512, three times in all', async () => {
    const { io } = await play([prelogin(), words(), post(reply(512)), words(), post()]);
    assert.match(io.forms[1]?.error ?? '', /refused/);
    const thrice = [1, 2, 3].flatMap(() => [words(), post(reply(512))]);
    await assert.rejects(play([prelogin(), ...thrice]), PeerRefusedError);
  });

  it('answers further questions with their state', async () => {
    const challenge = reply(200, 'var respStatus = "Challenge";\nvar respMsg = "Code?";\nthisForm.inputStr.value = "S1";\n');
    const { io } = await play([
      ...[prelogin(), words(), post(challenge)],
      { asked: ['passwd'], values: ['123456'] },
      post(IN, '&inputStr=S1&user=alice&passwd=123456'),
    ]);
    assert.equal(io.forms[1]?.message, 'Code?');
    // Scripts wait for these words of openconnect's.
    assert.deepEqual(
      io.forms.flatMap(({ fields }) => fields.map((field) => 'label' in field && field.label)),
      ['Username: ', 'Password: ', 'Challenge: '],
    );
  });

  it('takes the words of the portal, and its cookie, to the one gateway that it names', async () => {
    const { credential } = await play(
      [
        ...[portalPrelogin(), words(), post(policyOf(['gw.example:4443']), undefined, 'vpn.example', PORTAL)],
        post(IN, '&portal-userauthcookie=TOKEN&user=alice&passwd=secret', 'gw.example%3A4443'),
      ],
      '/portal',
    );
    assert.deepEqual([credential.gateway.host, credential.gateway.port], ['gw.example', 4443]);
  });

  it('reads the policy of a portal that hands out many certificates', async () => {
    const certificates = `<root-ca>${`<entry><cert>${'A'.repeat(8000)}</cert></entry>`.repeat(300)}</root-ca>`;
    const steps = [portalPrelogin(), words(), post(policyOf(['vpn.example'], certificates), undefined, 'vpn.example', PORTAL)];
    await play([...steps, post(IN, '&portal-userauthcookie=TOKEN&user=alice&passwd=secret')], '/portal');
  });

  it('learns from the portal how often reports are wanted, within limits', async () => {
    for (const [written, expected] of [
      ['3600', 3_600_000],
      ['1', 120_000],
      ['999999999', 86_400_000],
      ['0', undefined],
      ['soon', undefined],
      ['', undefined],
    ] as const) {
      const policy = policyOf(['vpn.example'], `<hip-collection><hip-report-interval>${written}</hip-report-interval></hip-collection>`);
      const { reportInterval } = await play(
        [
          ...[portalPrelogin(), words(), post(policy, undefined, 'vpn.example', PORTAL)],
          post(IN, '&portal-userauthcookie=TOKEN&user=alice&passwd=secret'),
        ],
        '/portal',
      );
      assert.equal(reportInterval, expected, written);
    }
  });

  it('lets people choose a gateway, and asks there again where the portal’s words do not do', async () => {
    const { credential } = await play(
      [
        ...[portalPrelogin(), words(), post(policyOf(['a.example', 'b.example']), undefined, 'vpn.example', PORTAL)],
        { asked: ['gateway'], values: ['At b.example'] },
        post(reply(512), '&portal-userauthcookie=TOKEN&user=alice&passwd=secret', 'b.example'),
        ...[prelogin(), words(), post(IN, '&portal-userauthcookie=TOKEN&user=alice&passwd=secret', 'b.example')],
      ],
      '/',
    );
    assert.equal(credential.gateway.host, 'b.example');
  });

  describe('where nobody chooses a gateway', () => {
    const cookie = '&portal-userauthcookie=TOKEN&user=alice&passwd=secret';
    const atPortal = [
      ...[portalPrelogin(), words(), post(policyOf(['a.example', 'b.example']), undefined, 'vpn.example', PORTAL)],
      { asked: ['gateway'], values: [] },
    ];
    const unreachable = { sent: `POST /ssl-vpn/prelogin.esp?${QUERY} `, answer: new NetworkError('a.example does not answer.') };
    const closed = reply(200, '<prelogin-response><status>Error</status><msg>Closed today</msg></prelogin-response>');

    it('takes the best, which is asked what it wants before it is told a password', async () => {
      const { credential, io } = await play([...atPortal, prelogin(), post(IN, cookie, 'a.example')], '/');
      assert.equal(credential.gateway.host, 'a.example');
      const [field] = io.forms.at(-1)?.fields ?? [];
      assert.ok(field?.kind === 'choice' && field.canBeLeft === true);
    });

    it('goes to the next where one cannot be reached, or is none that lets people log in', async () => {
      for (const step of [unreachable, prelogin(closed), prelogin(reply(503)), prelogin(reply(200, '<html/>'))]) {
        const { credential, io } = await play([...atPortal, step, prelogin(), post(IN, cookie, 'b.example')], '/');
        assert.equal(credential.gateway.host, 'b.example');
        assert.match(io.log.lines.join('\n'), /warn gateway passed over gateway=a\.example reason=/);
      }
    });

    it('waits for none but the last for longer than a few seconds', async () => {
      const [first, second, , choice] = atPortal;
      assert.ok(first !== undefined && second !== undefined && choice !== undefined);
      const policy = post(policyOf(['a.example', 'b.example', 'c.example']), undefined, 'vpn.example', PORTAL);
      const { io } = await play([first, second, policy, choice, unreachable, unreachable, prelogin(), post(IN, cookie, 'c.example')], '/');
      assert.deepEqual(
        io.manners.map(({ patience }) => patience),
        [undefined, undefined, 5000, 5000, undefined, undefined],
      );
    });

    it('comes back to those that were only too slow where no other is of use, and waits for them then', async () => {
      const [first, second, , choice] = atPortal;
      assert.ok(first !== undefined && second !== undefined && choice !== undefined);
      const policy = post(policyOf(['a.example', 'b.example', 'c.example', 'd.example']), undefined, 'vpn.example', PORTAL);
      const slow = { ...unreachable, answer: new NetworkError('Slow.', { cause: new TooLateError('Connection timed out') }) };
      const round = [slow, unreachable, { ...unreachable, answer: new TooLateError('Slow, too.') }, unreachable];
      const { io } = await play([first, second, policy, choice, ...round, slow, prelogin(), post(IN, cookie, 'c.example')], '/');
      assert.deepEqual(
        io.manners.map(({ patience }) => patience),
        [undefined, undefined, 5000, 5000, 5000, undefined, undefined, undefined, undefined],
      );
    });

    it('asks again at the one that it has come to', async () => {
      const again = [words(), post(IN, cookie, 'b.example')];
      await play([...atPortal, unreachable, prelogin(), post(reply(512), cookie, 'b.example'), ...again], '/');
    });

    it('names all that were tried where there is none', async () => {
      const none = /a\.example: a\.example does not answer\. b\.example: .*Closed today/;
      await assert.rejects(
        play([...atPortal, unreachable, prelogin(closed)], '/'),
        (error) => error instanceof NetworkError && none.test(error.message),
      );
    });

    it('comes back once, and names each once', async () => {
      const slow = { ...unreachable, answer: new TooLateError('Slow.') };
      await assert.rejects(play([...atPortal, slow, slow, slow], '/'), /gateways can be used\. a\.example: Slow\. b\.example: Slow\.$/);
    });

    it('never goes on where the words are refused, or a certificate is not trusted', async () => {
      await assert.rejects(play([...atPortal, prelogin(), post(reply(513), cookie, 'a.example')], '/'), /certificate/);
      const untrusted = new NetworkError('Not trusted.', { code: CERTIFICATE_NOT_TRUSTED });
      await assert.rejects(play([...atPortal, { ...unreachable, answer: untrusted }], '/'), untrusted);
    });

    it('tries no other than the one that somebody has chosen, nor one that is alone', async () => {
      const [first, second, third] = atPortal;
      assert.ok(first !== undefined && second !== undefined && third !== undefined);
      const fails = { ...post(IN, cookie, 'a.example'), answer: new NetworkError('a.example does not answer.') };
      for (const choice of ['At a.example', undefined]) {
        const names = choice === undefined ? ['a.example'] : ['a.example', 'b.example'];
        const chosen = choice === undefined ? [] : [{ asked: ['gateway'], values: [choice] }];
        const policy = post(policyOf(names), undefined, 'vpn.example', PORTAL);
        await assert.rejects(play([first, second, policy, ...chosen, fails], '/'), /^NetworkError: a\.example does not answer\.$/);
      }
    });
  });

  it('sends another secret under its own name, whatever the gateway says of browsers', async () => {
    const saml = reply(
      200,
      '<prelogin-response><status>Success</status><saml-auth-method>POST</saml-auth-method><saml-request>QQ==</saml-request></prelogin-response>',
    );
    await play(
      [prelogin(saml), words('secret', 'prelogin-cookie'), post(IN, '&user=alice&prelogin-cookie=secret')],
      '/gateway:prelogin-cookie',
    );
    await assert.rejects(play([prelogin(saml)]), UnsupportedError);
  });

  it('says what to do where a browser is wanted and there is none', async () => {
    const saml = reply(200, renderPrelogin({ ...FORM, browser: { url: 'https://idp.example/?x=1' } }));
    const wanted = /--external-browser.* at https:\/\/idp\.example\/\?x=1 and .*--usergroup=gateway:prelogin-cookie and --user=NAME\.$/;
    await assert.rejects(play([prelogin(saml)]), wanted);
    const page = reply(200, renderPrelogin({ ...FORM, browser: { html: '<form>' } }));
    await assert.rejects(play([prelogin(page)]), /SAML.*--external-browser/);
    await assert.rejects(play([prelogin(reply(200, SAML_OF_NOTHING))]), PeerMisbehavedError);
  });

  it('goes by a browser where there is one, and on to the gateway with the portal’s cookie', async () => {
    const start = { url: 'https://idp.example/?x=1' };
    const saml = reply(200, renderPrelogin({ ...FORM, browser: start }));
    const query = `${QUERY}&default-browser=4&cas-support=yes`;
    const steps: PlayedStep[] = [
      { sent: `POST /global-protect/prelogin.esp?${query} `, answer: saml },
      post(policyOf(['vpn.example']), '&user=alice%40corp&prelogin-cookie=PRELOGIN', 'vpn.example', PORTAL),
      post(IN, '&portal-userauthcookie=TOKEN&user=alice%40corp&prelogin-cookie=PRELOGIN'),
    ];
    const io = new PlayedIo(steps, async (request) => {
      assert.ok(request.kind === 'copied');
      assert.deepEqual([request.start, request.gateway], [start, 'vpn.example']);
      const copied = renderCallback('alice@corp', new Secret('PRELOGIN')).reveal();
      assert.deepEqual([request.isAnswer('anything'), request.isAnswer(copied)], [false, true]);
      return copied;
    });
    await login(io, { host: 'vpn.example', port: 443, path: '/' }, { client: CLIENT, wantsIpv6: true });
    io.assertFinished(['PRELOGIN', 'TOKEN']);
    assert.deepEqual(io.forms, [], 'nobody is asked for a name or a password');
  });

  it('goes by a browser again at the gateway, where the portal’s log-in is for the portal alone', async () => {
    // Spec 4.4: a browser is led back if the server says so, and at the gateway if the portal does too.
    for (const [prelogin, policy, asked, [isLinkAtPortal, isLinkAtGateway]] of [
      [false, '', '0', [false, false]],
      [true, '', '0', [true, false]],
      [true, '<default-browser>no</default-browser>', '0', [true, false]],
      [true, '<default-browser>yes</default-browser>', '4', [true, true]],
      [true, '<agent-config><default-browser>yes</default-browser></agent-config>', '4', [true, true]],
      [false, '<agent-config><default-browser>yes</default-browser></agent-config>', '4', [false, false]],
    ] as const) {
      const saml = reply(200, renderPrelogin({ ...FORM, browser: { html: '<form>' }, leadsBack: prelogin }));
      const list = '<gateways><external><list><entry name="vpn.example"/></list></external></gateways>';
      const wanted: boolean[] = [];
      const cookies = ['FIRST1', 'SECOND2'];
      const io = new PlayedIo(
        [
          { sent: `POST /global-protect/prelogin.esp?${QUERY}&default-browser=4&cas-support=yes `, answer: saml },
          post(reply(200, `<policy>${list}${policy}</policy>`), '&user=alice&prelogin-cookie=FIRST1', 'vpn.example', PORTAL),
          { sent: `POST /ssl-vpn/prelogin.esp?${QUERY}&default-browser=${asked}&cas-support=yes `, answer: saml },
          post(IN, '&user=alice&prelogin-cookie=SECOND2'),
        ],
        async (request) => {
          wanted.push(request.kind === 'copied' && request.instruction.includes('globalprotectcallback:'));
          return renderCallback('alice', new Secret(cookies.shift() ?? '')).reveal();
        },
      );
      await login(io, { host: 'vpn.example', port: 443, path: '/portal' }, { client: CLIENT, wantsIpv6: true });
      io.assertFinished(['FIRST1', 'SECOND2']);
      assert.deepEqual(wanted, [isLinkAtPortal, isLinkAtGateway], `${prelogin} ${policy}`);
    }
  });

  it('says the portal’s cookie once at the gateway, the one that the portal has given for that', async () => {
    const saml = reply(200, renderPrelogin({ ...FORM, browser: { html: '<form>' } }));
    const io = new PlayedIo(
      [
        { sent: `POST /global-protect/prelogin.esp?${QUERY}&default-browser=4&cas-support=yes `, answer: saml },
        post(policyOf(['vpn.example']), '&user=alice&portal-userauthcookie=BROUGHT', 'vpn.example', PORTAL),
        post(IN, '&user=alice&portal-userauthcookie=TOKEN'),
      ],
      async () => tagsOf('alice', new Secret('BROUGHT')).replaceAll('prelogin-cookie', 'portal-userauthcookie'),
    );
    await login(io, { host: 'vpn.example', port: 443, path: '/portal' }, { client: CLIENT, wantsIpv6: true });
    io.assertFinished(['BROUGHT', 'TOKEN']);
  });

  it('says at the gateway what a browser has brought there, where the portal’s cookie of that name was refused', async () => {
    const saml = reply(200, renderPrelogin({ ...FORM, browser: { html: '<form>' } }));
    const asked = (path: string, browser: number) => `POST /${path}/prelogin.esp?${QUERY}&default-browser=${browser}&cas-support=yes `;
    const brought = ['BROUGHT-1', 'BROUGHT-2'];
    const io = new PlayedIo(
      [
        { sent: asked('global-protect', 4), answer: saml },
        post(policyOf(['vpn.example']), '&user=alice&portal-userauthcookie=BROUGHT-1', 'vpn.example', PORTAL),
        post(reply(512, ''), '&user=alice&portal-userauthcookie=TOKEN'),
        { sent: asked('ssl-vpn', 0), answer: saml },
        post(IN, '&user=alice&portal-userauthcookie=BROUGHT-2'),
      ],
      async () => tagsOf('alice', new Secret(brought.shift() ?? '')).replaceAll('prelogin-cookie', 'portal-userauthcookie'),
    );
    await login(io, { host: 'vpn.example', port: 443, path: '/portal' }, { client: CLIENT, wantsIpv6: true });
    io.assertFinished(['BROUGHT-1', 'BROUGHT-2', 'TOKEN']);
  });

  it('ends where a browser has logged in somebody else than was named, before the gateway hears of it', async () => {
    const saml = reply(200, renderPrelogin({ ...FORM, browser: { html: '<form>' } }));
    const opening = { sent: `POST /ssl-vpn/prelogin.esp?${QUERY}&default-browser=4&cas-support=yes `, answer: saml };
    const attempt = async (user: string, more: readonly PlayedStep[]) => {
      const io = new PlayedIo([opening, ...more], async () => renderCallback('bob@corp', new Secret('PRELOGIN')).reveal());
      await login(io, { host: 'vpn.example', port: 443, path: '/gateway' }, { client: CLIENT, wantsIpv6: true, user });
    };
    await assert.rejects(attempt('alice', []), (error) => error instanceof PeerRefusedError && /"bob@corp".*"alice"/.test(error.message));
    await attempt('Bob', [post(IN, '&user=bob%40corp&prelogin-cookie=PRELOGIN')]);
    await attempt('', [post(IN, '&user=bob%40corp&prelogin-cookie=PRELOGIN')]); // nobody is named
  });

  it('ends where what a browser has brought is not taken', async () => {
    const saml = reply(200, renderPrelogin({ ...FORM, browser: { html: '<form>' } }));
    const io = new PlayedIo(
      [
        { sent: `POST /ssl-vpn/prelogin.esp?${QUERY}&default-browser=4&cas-support=yes `, answer: saml },
        post(reply(512), '&user=alice&prelogin-cookie=PRELOGIN'),
      ],
      async () => renderCallback('alice', new Secret('PRELOGIN')).reveal(),
    );
    const target = { host: 'vpn.example', port: 443, path: '/gateway' };
    await assert.rejects(login(io, target, { client: CLIENT, wantsIpv6: true }), PeerRefusedError);
  });

  it('ends with what it is told', async () => {
    await assert.rejects(play([prelogin(), words(), post(reply(513))]), PeerRefusedError);
    const error = reply(200, 'var respStatus = "Error";\nvar respMsg = "Locked";\nthisForm.inputStr.value = "";\n');
    await assert.rejects(play([prelogin(), words(), post(error)]), /Locked/);
    await assert.rejects(play([prelogin(reply(404))]), PeerRefusedError);
    await assert.rejects(play([prelogin(reply(200, '<html/>'))]), PeerMisbehavedError);
  });
});
