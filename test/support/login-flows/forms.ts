/** Log-ins that go from form to form. */
import { Secret } from '../../../src/core/secret.ts';
import { ask, documentOf, init, on, page, reply, success } from '../login-script.ts';
import {
  ALICE,
  askBoth,
  askPassword,
  askUser,
  BOTH,
  formOf,
  type LoginFlow,
  PASSWORD,
  PW,
  PW_TEXT,
  STDIN,
  setting,
  submit,
  USERNAME,
} from './flow.ts';

export const FORM_FLOWS: readonly LoginFlow[] = [
  {
    name: 'asks for user and password in two rounds, with the cookie of the dialogue',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME), { headers: setting('webvpncontext=; expires=Thu, 01 Jan 1970 22:00:00 GMT') })),
      askUser,
      on(reply('/auth', '<auth><username>alice</username></auth>'), documentOf(formOf(PASSWORD), { headers: setting('webvpncontext=C') })),
      askPassword,
      on(reply('/auth', `<auth><password>${PW_TEXT}</password></auth>`, { cookie: 'webvpncontext=C' }), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'asks again after a wrong password, with what the gateway says of it',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME + PASSWORD))),
      ask({}, submit({ username: 'alice', password: new Secret('wrong') })),
      on(
        reply('/auth', '<auth><username>alice</username><password>wrong</password></auth>'),
        documentOf(formOf(PASSWORD, { texts: '<message>Login failed.\nPlease enter your password.</message>' })),
      ),
      ask({ message: 'Login failed.\nPlease enter your password.' }, submit({ password: PW })),
      on(reply('/auth', `<auth><password>${PW_TEXT}</password></auth>`), success()),
    ],
    openconnect: { args: ['--user=alice'], stdin: `wrong\n${STDIN}` },
  },
  {
    name: 'fails when the gateway has had enough of wrong passwords',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME + PASSWORD))),
      askBoth,
      on(reply('/auth', BOTH), page('', { status: 401, reason: 'Authentication failed' })),
    ],
    failure: /HTTP\/1\.1 401 Authentication failed/,
    openconnect: ALICE,
  },
  {
    name: 'sends hidden fields back, takes no buttons, and writes the fields that Cisco renames',
    steps: [
      on(
        init('/'),
        documentOf(
          formOf(
            `${USERNAME}<input type="hidden" name="h" value="a b&amp;c"/><input type="password" name="answer"/><input type="password" name="whichpin"/>` +
              '<input type="password" name="new_password"/><input type="password" name="verify_pin"/><input type="password" name="verify_password"/>' +
              '<input type="submit" name="Login" value="Login"/><input type="reset" name="Clear" value="Clear"/><input type="text"/><input type="new" name="n"/>',
          ),
        ),
      ),
      ask(
        {},
        submit({
          username: 'alice',
          h: 'a b&c',
          answer: new Secret('answer-1'),
          whichpin: new Secret('pin-2'),
          new_password: new Secret('new-3'),
          verify_pin: new Secret('pin-4'),
          verify_password: new Secret('new-5'),
        }),
      ),
      on(
        reply(
          '/auth',
          '<auth><username>alice</username><h>a b&amp;c</h><password>answer-1</password><password>pin-2</password><password>new-3</password></auth>',
        ),
        success(),
      ),
    ],
    openconnect: {
      args: [
        '--user=alice',
        ...['whichpin=pin-2', 'new_password=new-3', 'verify_pin=pin-4', 'verify_password=new-5'].flatMap((entry) => [
          '-F',
          `main:${entry}`,
        ]),
      ],
      stdin: 'answer-1\n',
    },
  },
  {
    name: 'echoes what is opaque as it came, the latest of it',
    steps: [
      on(
        init('/'),
        documentOf(`<opaque is-for="sg"><tunnel-group a="1">x &amp; y</tunnel-group><config-hash/></opaque>${formOf(USERNAME)}`),
      ),
      askUser,
      on(
        reply(
          '/auth',
          '<opaque is-for="sg"><tunnel-group a="1">x &amp; y</tunnel-group><config-hash/></opaque><auth><username>alice</username></auth>',
        ),
        documentOf(`<opaque is-for="sg"><two/></opaque>${formOf(PASSWORD)}`),
      ),
      askPassword,
      on(reply('/auth', `<opaque is-for="sg"><two/></opaque><auth><password>${PW_TEXT}</password></auth>`), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'takes a bare auth document, in which only the form counts',
    steps: [
      on(
        init('/'),
        page(`<?xml version="1.0"?><auth id="main"><opaque is-for="sg">no</opaque><error>Try again</error><form>${USERNAME}</form></auth>`),
      ),
      ask({ error: 'Try again' }, submit({ username: 'alice' })),
      on(reply('/', '<auth><username>alice</username></auth>'), success()),
    ],
    openconnect: ALICE,
  },
];
