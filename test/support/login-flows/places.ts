/** Log-ins that are led to other paths and servers. */
import { documentOf, init, on, redirect, reply, success } from '../login-script.ts';
import { ALICE, askPassword, askUser, formOf, type LoginFlow, PASSWORD, PW_TEXT, setting, USERNAME } from './flow.ts';

const PLACES = [
  { name: 'goes to / without an action, wherever the first request went', attributes: 'method="POST"', target: '/' },
  { name: 'goes to the path of an action', attributes: 'action="/a/b?c"', target: '/a/b?c' },
  { name: 'goes to an action beside the current path', attributes: 'action="y"', target: '/grp/y' },
] as const;

export const PLACE_FLOWS: readonly LoginFlow[] = [
  ...PLACES.map(
    ({ name, attributes, target }): LoginFlow => ({
      name: `sends an answer that ${name}`,
      path: '/grp/x',
      steps: [
        on(init('/grp/x'), documentOf(formOf(USERNAME, { attributes }))),
        askUser,
        on(reply(target, '<auth><username>alice</username></auth>'), success()),
      ],
      openconnect: ALICE,
    }),
  ),
  {
    name: 'forgets the cookies when an action leads to another server',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME, { attributes: 'action="https://other.example/o"' }), { headers: setting('c=1') })),
      askUser,
      on(reply('/o', '<auth><username>alice</username></auth>', { host: 'other.example' }), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'sends the same document to another server that it is redirected to, without cookies',
    steps: [
      on(init('/'), redirect('https://other.example/o/p', setting('c=1'))),
      on(init('/o/p', { host: 'other.example', access: 'https://vpn.example/' }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', '<auth><username>alice</username></auth>', { host: 'other.example' }), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'follows redirects of an answer, and sends the next answer where its form says',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', '<auth><username>alice</username></auth>'), redirect('/b/c?d')),
      on(reply('/b/c?d', '<auth><username>alice</username></auth>'), documentOf(formOf(PASSWORD, { attributes: 'action="e"' }))),
      askPassword,
      on(reply('/b/e', `<auth><password>${PW_TEXT}</password></auth>`), success()),
    ],
    openconnect: ALICE,
  },
  {
    // openconnect follows nine.
    name: 'follows ten redirects of an answer, and not eleven',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME))),
      askUser,
      ...Array.from({ length: 11 }, (_, i) =>
        on(reply(i === 0 ? '/auth' : '/b', '<auth><username>alice</username></auth>'), redirect('/b')),
      ),
    ],
    failure: /more than 10 times/,
  },
];
