/** Log-ins where the gateway wants a report on the machine first. */
import { createHash } from 'node:crypto';
import { utf8 } from '../../../src/core/wire/text.ts';
import {
  ask,
  documentOf,
  fetching,
  type HostCheck,
  init,
  legacyReply,
  legacyStart,
  on,
  page,
  pause,
  redirect,
  reply,
  success,
} from '../login-script.ts';
import { ALICE, askPassword, askUser, formOf, GROUPS, type LoginFlow, PASSWORD, PW_TEXT, setting, USERNAME } from './flow.ts';

const NEW =
  '<host-scan><host-scan-ticket>TICKET</host-scan-ticket><host-scan-token>TOKEN</host-scan-token>' +
  '<host-scan-base-uri>/CACHE/start</host-scan-base-uri><host-scan-wait-uri>/+CSCOE+/sdesktop/wait.html</host-scan-wait-uri></host-scan>';
const OLD = '<csd token="TOKEN" ticket="TICKET"/><csdLinux stuburl="/CACHE/stub" starturl="/CACHE/start" waiturl="/CACHE/wait"/>';

const PENDING = page('<html><meta http-equiv="refresh" content="1"></html>');
const DONE = page('<?xml version="1.0"?><done/>');
const SCANNED = 'sdesktop=TOKEN';

/** What the user's program is told; the MD5 is that of the scripted world's certificate. */
export function hostCheck({ group = '', stub }: { readonly group?: string; readonly stub?: string } = {}): HostCheck {
  const md5 = createHash('md5').update('gateway certificate').digest('hex').toUpperCase();
  const values = ['-ticket', '"TICKET"', '-stub', '"0"', '-group', `"${group}"`, '-certhash', `"${md5}:"`];
  return {
    kind: 'host-check',
    request: {
      arguments: [...values, '-url', '"https://vpn.example/CACHE/start"', '-langselen'],
      environment: { CSD_SHA256: 'PIN=', CSD_TOKEN: 'TOKEN', CSD_HOSTNAME: 'vpn.example' },
      ...(stub !== undefined && { stub: utf8(stub) }),
    },
  };
}

/** openconnect crashes over the old form where the server has no path; so these scripts have one. */
const WITH_WRAPPER = { args: [...ALICE.args, '--csd-user=root', '--csd-wrapper=/bin/true'], stdin: ALICE.stdin };
const USER_ANSWER = '<auth><username>alice</username></auth>';

export const HOST_SCAN_FLOWS: readonly LoginFlow[] = [
  {
    name: 'reports, waits, repeats the first document where the form would go, and shows its token with every answer',
    path: '/grp',
    steps: [
      on(init('/grp'), documentOf(`${NEW}${formOf(USERNAME)}`, { headers: setting('c=1') })),
      hostCheck(),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: `c=1; ${SCANNED}` }), PENDING),
      pause(1000),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: `c=1; ${SCANNED}` }), DONE),
      on(init('/auth', { access: 'https://vpn.example/grp', cookie: `c=1; ${SCANNED}` }), documentOf(`${NEW}${formOf(USERNAME)}`)),
      askUser,
      on(
        reply('/auth', `${USER_ANSWER}<host-scan-token>TOKEN</host-scan-token>`, { cookie: `c=1; ${SCANNED}` }),
        documentOf(formOf(PASSWORD)),
      ),
      askPassword,
      on(
        reply('/auth', `<auth><password>${PW_TEXT}</password></auth><host-scan-token>TOKEN</host-scan-token>`, {
          cookie: `c=1; ${SCANNED}`,
        }),
        success(),
      ),
    ],
    needsRoot: true,
    openconnect: WITH_WRAPPER,
  },
  {
    name: 'fetches the program of the old form for the user’s own',
    path: '/grp',
    steps: [
      on(init('/grp'), documentOf(formOf(USERNAME, { texts: OLD, attributes: '' }))),
      on(fetching('/CACHE/stub', { headers: { 'X-Aggregate-Auth': '1' } }), page('#!/bin/sh\n')),
      hostCheck({ stub: '#!/bin/sh\n' }),
      on(fetching('/CACHE/wait', { cookie: SCANNED }), DONE),
      on(init('/', { access: 'https://vpn.example/grp', cookie: SCANNED }), documentOf(formOf(USERNAME, { attributes: '' }))),
      askUser,
      on(reply('/', `${USER_ANSWER}<host-scan-token>TOKEN</host-scan-token>`, { cookie: SCANNED }), success()),
    ],
    needsRoot: true,
    openconnect: WITH_WRAPPER,
  },
  {
    name: 'does without the gateway’s program if that is not there',
    path: '/grp',
    steps: [
      on(init('/grp'), documentOf(formOf(USERNAME, { texts: OLD }))),
      on(fetching('/CACHE/stub'), page('', { status: 404, reason: 'Not found' })),
      hostCheck(),
      on(fetching('/CACHE/wait', { cookie: SCANNED }), DONE),
      on(init('/auth', { access: 'https://vpn.example/grp', cookie: SCANNED }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', `${USER_ANSWER}<host-scan-token>TOKEN</host-scan-token>`, { cookie: SCANNED }), success()),
    ],
    needsRoot: true,
    openconnect: WITH_WRAPPER,
  },
  {
    name: 'names the group to the user’s program, and repeats the request for that group',
    path: '/grp',
    steps: [
      on(init('/grp'), documentOf(formOf(GROUPS + USERNAME))),
      ask({}, { type: 'change-group', group: 'gb' }),
      on(init('/auth', { rest: '<group-select>gb</group-select>' }), documentOf(`${NEW}${formOf(USERNAME)}`)),
      hostCheck({ group: 'gb' }),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), DONE),
      on(init('/auth', { rest: '<group-select>gb</group-select>', cookie: SCANNED }), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', `${USER_ANSWER}<host-scan-token>TOKEN</host-scan-token>`, { cookie: SCANNED }), success()),
    ],
    needsRoot: true,
    openconnect: { args: [...WITH_WRAPPER.args, '--authgroup=Group B'], stdin: ALICE.stdin },
  },
  {
    name: 'repeats the first request without XML where the form would go',
    path: '/grp',
    usesXml: false,
    steps: [
      on(legacyStart('/grp'), documentOf(formOf(USERNAME, { texts: OLD.replace('waiturl="/', 'waiturl="') }))),
      on(fetching('/CACHE/stub'), page('S')),
      hostCheck({ stub: 'S' }),
      on(fetching('/CACHE/wait', { cookie: SCANNED, headers: { 'X-Aggregate-Auth': undefined } }), DONE),
      on(legacyStart('/auth', { cookie: SCANNED }), documentOf(formOf(USERNAME))),
      askUser,
      on(legacyReply('/auth', 'username=alice', { cookie: SCANNED }), success()),
    ],
    needsRoot: true,
    openconnect: { args: [...WITH_WRAPPER.args, '--no-xmlpost'] },
  },
  {
    // openconnect posts an empty body and fails.
    name: 'repeats an answer when the report is wanted only then',
    steps: [
      on(init('/'), documentOf(formOf(USERNAME))),
      askUser,
      on(reply('/auth', USER_ANSWER), documentOf(`${NEW}${formOf(PASSWORD, { attributes: 'action="/two"' })}`)),
      hostCheck(),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), DONE),
      on(reply('/two', USER_ANSWER, { cookie: SCANNED }), documentOf(formOf(PASSWORD))),
      askPassword,
      on(
        reply('/auth', `<auth><password>${PW_TEXT}</password></auth><host-scan-token>TOKEN</host-scan-token>`, { cookie: SCANNED }),
        success(),
      ),
    ],
  },
  {
    name: 'fails when the gateway says something else than wait or done',
    steps: [
      on(init('/'), documentOf(`${NEW}${formOf(USERNAME)}`)),
      hostCheck(),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), page('nonsense')),
    ],
    failure: /answer to the host scan is not known: HTTP 200/,
    needsRoot: true,
    openconnect: WITH_WRAPPER,
  },
  {
    // openconnect would wait for ever.
    name: 'gives up on a gateway that never finishes',
    steps: [
      on(init('/'), documentOf(`${NEW}${formOf(USERNAME)}`)),
      hostCheck(),
      ...Array.from({ length: 300 }, () => [on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), PENDING), pause(1000)]).flat(),
    ],
    failure: /did not finish the host scan within 300 s/,
  },
  ...(['/CACHE/wait', '/CACHE/stub'] as const).map(
    (place): LoginFlow => ({
      // openconnect takes the host name for a path.
      name: `does not send its cookies to another server for ${place}`,
      steps: [
        on(init('/'), documentOf(formOf(USERNAME, { texts: OLD.replace(place, `https://other.example${place}`) }))),
        ...(place === '/CACHE/stub' ? [] : [on(fetching('/CACHE/stub'), page('S')), hostCheck({ stub: 'S' })]),
      ],
      failure: /on another server/,
    }),
  ),
  {
    name: 'does not follow a redirect to another server with its cookies',
    steps: [
      on(init('/'), documentOf(`${NEW}${formOf(USERNAME)}`)),
      hostCheck(),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), redirect('https://other.example/')),
    ],
    failure: /on another server/,
  },
  {
    // openconnect follows redirects of its own server too, but sends the repetition to where they led.
    name: 'follows redirects on its own server, and goes on where the form says',
    steps: [
      on(init('/'), documentOf(`${NEW}${formOf(USERNAME)}`)),
      hostCheck(),
      on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), redirect('done.xml')),
      on(fetching('/+CSCOE+/sdesktop/done.xml', { cookie: SCANNED }), DONE),
      on(init('/auth', { access: 'https://vpn.example/', cookie: SCANNED }), success()),
    ],
  },
  {
    name: 'does not follow redirects for ever',
    steps: [
      on(init('/'), documentOf(`${NEW}${formOf(USERNAME)}`)),
      hostCheck(),
      ...Array.from({ length: 11 }, () => on(fetching('/+CSCOE+/sdesktop/wait.html', { cookie: SCANNED }), redirect('wait.html'))),
    ],
    failure: /more than 10 times/,
  },
];
