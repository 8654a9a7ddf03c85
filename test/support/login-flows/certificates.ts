/** Log-ins where the gateway asks for a client certificate. */
import { documentOf, init, legacyReply, legacyStart, on, reply, success } from '../login-script.ts';
import { ALICE, askUser, formOf, type LoginFlow, setting, USERNAME } from './flow.ts';

const WANTS_CERTIFICATE = documentOf(`<client-cert-request/>${formOf(USERNAME)}`);
const CERTIFICATE_FAILS = '<client-cert-fail/>';

export const CERTIFICATE_FLOWS: readonly LoginFlow[] = [
  {
    name: 'says that it has no certificate when one is asked for',
    steps: [
      on(init('/'), documentOf('<client-cert-request/>', { headers: setting('a=1') })),
      on(init('/', { rest: CERTIFICATE_FAILS, cookie: 'a=1' }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', '<auth><username>alice</username></auth>', { cookie: 'a=1' }), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'goes on without XML when a certificate is asked for a third time',
    steps: [
      on(init('/'), WANTS_CERTIFICATE),
      on(init('/', { rest: CERTIFICATE_FAILS }), WANTS_CERTIFICATE),
      on(init('/', { rest: CERTIFICATE_FAILS }), WANTS_CERTIFICATE),
      on(legacyStart('/'), documentOf(formOf(USERNAME))),
      askUser,
      on(legacyReply('/auth', 'username=alice'), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'offers its certificate on a second connection, then says that it did not help',
    hasClientCertificate: true,
    steps: [
      on(init('/', { isFresh: true }), WANTS_CERTIFICATE),
      on(init('/', { isFresh: true }), WANTS_CERTIFICATE),
      on(init('/', { rest: CERTIFICATE_FAILS }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', '<auth><username>alice</username></auth>'), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'goes on to the form once its certificate is taken',
    hasClientCertificate: true,
    steps: [
      on(init('/', { isFresh: true }), WANTS_CERTIFICATE),
      on(init('/', { isFresh: true }), documentOf(`<cert-authenticated/><client-cert-request/>${formOf(USERNAME)}`)),
      askUser,
      on(reply('/auth', '<auth><username>alice</username></auth>'), success()),
    ],
    openconnect: ALICE,
  },
];
