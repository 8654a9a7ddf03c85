/** Log-ins at gateways that do not understand XML, or not at once. */
import { Secret } from '../../../src/core/secret.ts';
import { ask, documentOf, init, legacyReply, legacyStart, on, page, redirect, reply, type Step, success } from '../login-script.ts';
import { ALICE, askUser, formOf, GROUPS, type LoginFlow, PASSWORD, setting, submit, USERNAME } from './flow.ts';

/** What makes a client go on without XML, with the cookie that comes with it. */
const NOT_UNDERSTOOD: readonly (readonly [what: string, answer: Step & { readonly kind: 'exchange' }])[] = [
  ...[400, 401, 404, 500, 503].map(
    (status) => [`status ${status}`, on(init('/grp'), page('<html/>', { status, reason: 'No', headers: setting('c=1') }))] as const,
  ),
  ['a redirect to the same server', on(init('/grp'), redirect('https://vpn.example/there', setting('c=1')))],
  ['a page that is no XML', on(init('/grp'), page('<html><body>', { headers: setting('c=1') }))],
  ['a document without a form', on(init('/grp'), documentOf('<other/>', { headers: setting('c=1') }))],
  [
    'a form that is not posted',
    on(init('/grp'), documentOf(formOf(USERNAME, { attributes: 'method="get"' }), { headers: setting('c=1') })),
  ],
];

export const WITHOUT_XML_FLOWS: readonly LoginFlow[] = [
  ...NOT_UNDERSTOOD.map(
    ([what, first]): LoginFlow => ({
      name: `goes on without XML, on a new connection from the first path on, after ${what}`,
      path: '/grp',
      steps: [
        first,
        on(legacyStart('/grp', { cookie: 'c=1', isFresh: true, headers: { 'X-Support-HTTP-Auth': 'true' } }), documentOf(formOf(USERNAME))),
        askUser,
        on(legacyReply('/auth', 'username=alice', { cookie: 'c=1' }), success()),
      ],
      openconnect: ALICE,
    }),
  ),
  {
    name: 'goes back to the first server, without XML, after three servers',
    path: '/grp',
    steps: [
      on(init('/grp'), redirect('https://other.example/1')),
      on(init('/1', { host: 'other.example', access: 'https://vpn.example/grp' }), redirect('https://vpn.example/2')),
      on(init('/2', { access: 'https://vpn.example/grp' }), redirect('https://other.example/3', setting('c=1'))),
      on(legacyStart('/grp'), documentOf(formOf(USERNAME))),
      askUser,
      on(legacyReply('/auth', 'username=alice'), success()),
    ],
    openconnect: ALICE,
  },
  {
    name: 'does not go on after a first 403',
    steps: [on(init('/'), page('', { status: 403, reason: 'Forbidden' }))],
    failure: /HTTP\/1\.1 403 Forbidden/,
    openconnect: ALICE,
  },
  {
    name: 'posts forms without XML as they are: selects first, nothing renamed, no group of its own',
    path: '/grp',
    usesXml: false,
    steps: [
      on(
        legacyStart('/grp'),
        documentOf(
          formOf(`${USERNAME}${PASSWORD}${GROUPS}<input type="hidden" name="tgroup" value="a b"/><input type="password" name="answer"/>`),
        ),
      ),
      ask({}, { type: 'change-group', group: 'gb' }),
      ask({}, submit({ group_list: 'gb', username: 'alice', password: new Secret('testpass'), tgroup: 'a b', answer: new Secret('12') })),
      on(legacyReply('/auth', 'group_list=gb&username=alice&password=testpass&tgroup=a%20b&answer=12'), redirect('/n?x')),
      on(legacyReply('/n?x', 'group_list=gb&username=alice&password=testpass&tgroup=a%20b&answer=12'), documentOf(formOf(PASSWORD))),
      ask({}, submit({ password: new Secret('again') })),
      on(legacyReply('/auth', 'password=again'), success()),
    ],
    openconnect: { args: ['--no-xmlpost', '--user=alice', '--authgroup=Group B', '-F', 'main:answer=12'], stdin: 'testpass\nagain\n' },
  },
  {
    name: 'follows redirects of the first request without XML',
    usesXml: false,
    steps: [
      on(legacyStart('/'), redirect('/n?x')),
      on(legacyStart('/n?x'), documentOf(formOf(USERNAME))),
      askUser,
      on(legacyReply('/auth', 'username=alice'), success()),
    ],
    openconnect: { args: ['--no-xmlpost', '--user=alice'] },
  },
  {
    name: 'answers nothing without XML where no answer is needed',
    usesXml: false,
    steps: [on(legacyStart('/'), documentOf(formOf('', { texts: '<authentication-complete/>' }))), on(legacyReply('/auth', ''), success())],
    openconnect: { args: ['--no-xmlpost'] },
  },
  {
    name: 'fails without XML where the gateway refuses',
    usesXml: false,
    steps: [on(legacyStart('/'), page('', { status: 404, reason: 'Not found' }))],
    failure: /HTTP\/1\.1 404 Not found/,
    openconnect: { args: ['--no-xmlpost'] },
  },
  ...([500, 401] as const).map(
    (status): LoginFlow => ({
      name: `does not go on without XML after status ${status} for an answer`,
      steps: [
        on(init('/'), documentOf(formOf(USERNAME))),
        askUser,
        on(reply('/auth', '<auth><username>alice</username></auth>'), page('', { status, reason: 'No' })),
      ],
      failure: new RegExp(`HTTP/1\\.1 ${status} No`),
      openconnect: ALICE,
    }),
  ),
];
