/** Log-ins where a group is chosen. */
import type { AuthField, InputField } from '../../../src/core/auth/form.ts';
import { Secret } from '../../../src/core/secret.ts';
import { groups, hidden, password, text } from '../forms.ts';
import { ask, documentOf, init, on, reply, success } from '../login-script.ts';
import { askPassword, formOf, GROUPS, groupSelect, type LoginFlow, PASSWORD, PW, PW_TEXT, STDIN, submit, USERNAME } from './flow.ts';

const askGroup = ask(
  {
    fields: [
      groups(['Group A', 'Group B'], {
        initial: 'ga',
        choices: [
          { value: 'ga', label: 'Group A' },
          { value: 'gb', label: 'Group B' },
        ],
      }),
      text('username'),
    ],
  },
  { type: 'change-group', group: 'gb' },
);

const onlyFor = (...shown: string[]) => ({ shownFor: { field: 'group_list', choices: shown } });

interface SecondAuth {
  readonly name: string;
  /** Of the group that is chosen. */
  readonly attributes: string;
  /** Whether that asks for user and password. */
  readonly isWithoutAaa?: boolean;
  /** The field for the second user name. */
  readonly second: Pick<InputField, 'kind' | 'initial' | 'shownFor'> | { readonly kind: 'hidden'; readonly value: string };
  /** The groups whose code is asked for. */
  readonly codeFor: readonly string[];
  readonly username: string;
  readonly code: string;
}

const SECOND_AUTHS: readonly SecondAuth[] = [
  {
    name: 'sends empty what a group without user and password does not ask',
    attributes: 'noaaa="1" second-auth="1" secondary_username="bob"',
    isWithoutAaa: true,
    second: { kind: 'text', ...onlyFor() },
    codeFor: [],
    username: '',
    code: '',
  },
  {
    name: 'asks the second authentication only for groups that have one',
    attributes: 'secondary_username="bob"',
    second: { kind: 'text', ...onlyFor() },
    codeFor: [],
    username: '',
    code: '',
  },
  {
    name: 'sends the second user name that the group fixes',
    attributes: 'second-auth="1" secondary_username="bob"',
    second: { kind: 'hidden', value: 'bob' },
    codeFor: ['n'],
    username: 'bob',
    code: '42',
  },
  {
    name: 'offers the second user name that the group suggests',
    attributes: 'second-auth="1" secondary_username="bob" secondary_username_editable="true"',
    second: { kind: 'text', initial: 'bob', ...onlyFor('n') },
    codeFor: ['n'],
    username: 'carl',
    code: '42',
  },
];

const SECOND_INPUTS =
  '<input type="text" name="secondary_username" label="Second:" second-auth="1"/><input type="password" name="secondary_password" label="Code:" second-auth="1"/>';

/** A form with a second user and password, for the group N with its attributes; the first form is for the group M. */
function secondAuthFlow({ name, attributes, isWithoutAaa = false, second, codeFor, username, code }: SecondAuth): LoginFlow {
  const option = (group: string, selected: string, more = '') =>
    `<option value="${group}" ${more}${group === selected ? ' selected="true"' : ''}>${group.toUpperCase()}</option>`;
  const form = (selected: string) =>
    formOf(
      `${groupSelect(option('n', selected, attributes) + option('m', selected))}${USERNAME}${PASSWORD}<input type="hidden" name="h" value="v"/>${SECOND_INPUTS}`,
    );
  const aaa = isWithoutAaa ? onlyFor('m') : {};
  const fields: AuthField[] = [
    groups(['N', 'M'], { initial: 'n' }),
    text('username', aaa),
    password('password', aaa),
    hidden('h', 'v'),
    { ...second, name: 'secondary_username', label: 'Second:' },
    { kind: 'otp', name: 'secondary_password', label: 'Code:', ...onlyFor(...codeFor) },
  ];
  const user = isWithoutAaa ? '' : 'alice';
  const values = {
    ...{ group_list: 'n', username: user, password: isWithoutAaa ? '' : PW, h: 'v' },
    ...{ secondary_username: username, secondary_password: new Secret(code) },
  };
  const sent = [
    ['username', user],
    ['password', isWithoutAaa ? '' : PW_TEXT],
    ['h', 'v'],
    ['secondary_username', username],
    ['secondary_password', code],
  ].map(([field, value]) => (value === '' ? `<${field}/>` : `<${field}>${value}</${field}>`));
  const entries = code === '' ? [] : ['-F', `main:secondary_username=${username}`, '-F', `main:secondary_password=${code}`];
  return {
    name,
    steps: [
      on(init('/'), documentOf(form('m'))),
      ask({}, { type: 'change-group', group: 'n' }),
      on(init('/auth', { rest: '<group-select>n</group-select>' }), documentOf(form('n'))),
      ask({ fields }, submit(values)),
      on(reply('/auth', `<auth>${sent.join('')}</auth><group-select>n</group-select>`), success()),
    ],
    openconnect: { args: ['--user=alice', '--authgroup=N', ...entries], stdin: STDIN },
  };
}

export const GROUP_FLOWS: readonly LoginFlow[] = [
  {
    name: 'fetches the form of the group that is chosen, and names the group with the answer to a form that asks for it',
    path: '/grp',
    steps: [
      on(init('/grp'), documentOf(formOf(GROUPS + USERNAME))),
      askGroup,
      on(init('/auth', { rest: '<group-select>gb</group-select>' }), documentOf(formOf(USERNAME + GROUPS))),
      ask({}, submit({ group_list: 'gb', username: 'alice' })),
      on(reply('/auth', '<auth><username>alice</username></auth><group-select>gb</group-select>'), documentOf(formOf(PASSWORD))),
      askPassword,
      on(reply('/auth', `<auth><password>${PW_TEXT}</password></auth>`), success()),
    ],
    openconnect: { args: ['--user=alice', '--authgroup=group b'], stdin: STDIN },
  },
  ...SECOND_AUTHS.map(secondAuthFlow),
];
