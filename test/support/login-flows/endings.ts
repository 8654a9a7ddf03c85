/** Log-ins and what ends them. */
import { documentOf, init, on, reply, success } from '../login-script.ts';
import { ALICE, askUser, formOf, type LoginFlow, USERNAME } from './flow.ts';

export const ENDING_FLOWS: readonly LoginFlow[] = [
  {
    name: 'sends a session token as a cookie at once, and prefers it to a cookie of the same answer',
    steps: [
      on(init('/'), documentOf(`<session-token>EARLY</session-token>${formOf(USERNAME)}`)),
      askUser,
      on(
        reply('/auth', '<auth><username>alice</username></auth>', { cookie: 'webvpn=EARLY' }),
        success('<session-token>TOKEN</session-token>'),
      ),
    ],
    session: 'TOKEN',
    openconnect: ALICE,
  },
  {
    // openconnect takes the empty token for the session and prints no cookie.
    name: 'takes the cookie when the session token is empty',
    steps: [on(init('/'), success('<session-token> </session-token>'))],
  },
  {
    // openconnect says that it succeeded, without a cookie.
    name: 'fails when a log-in succeeds without a session',
    steps: [on(init('/'), success('', []))],
    failure: /sent no session cookie/,
  },
  {
    name: 'answers nothing at the same place when the gateway needs no answer',
    path: '/grp',
    steps: [
      on(init('/grp'), documentOf('<opaque is-for="sg">o</opaque><auth id="x"><message>Wait</message><authentication-complete/></auth>')),
      on(reply('/grp', '<opaque is-for="sg">o</opaque><auth/>'), success()),
    ],
    openconnect: {},
  },
  {
    name: 'answers nothing at the place of an empty form that needs no answer',
    steps: [on(init('/'), documentOf(formOf('', { texts: '<authentication-complete/>' }))), on(reply('/auth', '<auth/>'), success())],
    openconnect: {},
  },
  {
    name: 'fails with the message where there is nothing to fill in',
    steps: [on(init('/'), documentOf(formOf('', { texts: '<message>Come back on Monday.</message>' })))],
    failure: /Come back on Monday\./,
    openconnect: {},
  },
  {
    name: 'fails with the error where there is no form',
    steps: [on(init('/'), documentOf('<error param1="Tuesday">Come back on %s.</error><auth id="x"><message>Hello</message></auth>'))],
    failure: /^The gateway|Come back on Tuesday\./,
    openconnect: {},
  },
  {
    name: 'says that it has no browser for single sign-on',
    steps: [
      on(
        init('/'),
        documentOf(formOf('<input type="sso" name="sso-token"/>', { texts: '<sso-v2-login>https://idp.example/</sso-v2-login>' })),
      ),
    ],
    failure: /single sign-on/,
    openconnect: {},
  },
];
