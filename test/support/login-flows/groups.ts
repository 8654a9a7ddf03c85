/** Log-ins where a group is chosen. */
import { Secret } from '../../../src/core/secret.ts';
import { groups, hidden, password, text } from '../forms.ts';
import { ask, documentOf, init, on, reply, type Step, success } from '../login-script.ts';
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

/** A form with a second user and password, for a group with these attributes; the first form is for another group. */
function secondAuth(attributes: string, name: string, asked: Step, answer: string, entries: readonly string[]): LoginFlow {
  const inputs =
    `${USERNAME}${PASSWORD}<input type="hidden" name="h" value="v"/>` +
    '<input type="text" name="secondary_username" label="Second:" second-auth="1"/><input type="password" name="secondary_password" label="Code:" second-auth="1"/>';
  const form = (selected: string) =>
    formOf(
      groupSelect(
        `<option value="n" ${attributes}${selected === 'n' ? ' selected="true"' : ''}>N</option><option value="m"${selected === 'm' ? ' selected="true"' : ''}>M</option>`,
      ) + inputs,
    );
  return {
    name,
    steps: [
      on(init('/'), documentOf(form('m'))),
      ask({}, { type: 'change-group', group: 'n' }),
      on(init('/auth', { rest: '<group-select>n</group-select>' }), documentOf(form('n'))),
      asked,
      on(reply('/auth', `<auth>${answer}</auth><group-select>n</group-select>`), success()),
    ],
    openconnect: { args: ['--user=alice', '--authgroup=N', ...entries.flatMap((entry) => ['-F', `main:${entry}`])], stdin: STDIN },
  };
}

const choices = [
  { value: 'n', label: 'N' },
  { value: 'm', label: 'M' },
];
const groupField = groups(['N', 'M'], { initial: 'n', choices });
const onlyFor = (...shown: string[]) => ({ shownFor: { field: 'group_list', choices: shown } });

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
  secondAuth(
    'noaaa="1"',
    'sends empty what a group without user and password does not ask',
    ask(
      {
        fields: [
          groupField,
          text('username', onlyFor('m')),
          password('password', onlyFor('m')),
          hidden('h', 'v'),
          { kind: 'text', name: 'secondary_username', label: 'Second:', ...onlyFor() },
          { kind: 'otp', name: 'secondary_password', label: 'Code:', ...onlyFor() },
        ],
      },
      submit({ group_list: 'n', username: '', password: '', h: 'v', secondary_username: '', secondary_password: '' }),
    ),
    '<username/><password/><h>v</h><secondary_username/><secondary_password/>',
    [],
  ),
  secondAuth(
    'secondary_username="bob"',
    'asks the second authentication only for groups that have one',
    ask(
      {
        fields: [
          groupField,
          text('username'),
          password('password'),
          hidden('h', 'v'),
          { kind: 'text', name: 'secondary_username', label: 'Second:', ...onlyFor() },
          { kind: 'otp', name: 'secondary_password', label: 'Code:', ...onlyFor() },
        ],
      },
      submit({ group_list: 'n', username: 'alice', password: PW, h: 'v', secondary_username: '', secondary_password: '' }),
    ),
    `<username>alice</username><password>${PW_TEXT}</password><h>v</h><secondary_username/><secondary_password/>`,
    [],
  ),
  secondAuth(
    'second-auth="1" secondary_username="bob"',
    'sends the second user name that the group fixes',
    ask(
      {
        fields: [
          groupField,
          text('username'),
          password('password'),
          hidden('h', 'v'),
          { kind: 'hidden', name: 'secondary_username', label: 'Second:', value: 'bob' },
          { kind: 'otp', name: 'secondary_password', label: 'Code:', ...onlyFor('n') },
        ],
      },
      submit({ group_list: 'n', username: 'alice', password: PW, h: 'v', secondary_username: 'bob', secondary_password: new Secret('42') }),
    ),
    `<username>alice</username><password>${PW_TEXT}</password><h>v</h><secondary_username>bob</secondary_username><secondary_password>42</secondary_password>`,
    ['secondary_password=42'],
  ),
  secondAuth(
    'second-auth="1" secondary_username="bob" secondary_username_editable="true"',
    'offers the second user name that the group suggests',
    ask(
      {
        fields: [
          groupField,
          text('username'),
          password('password'),
          hidden('h', 'v'),
          { kind: 'text', name: 'secondary_username', label: 'Second:', initial: 'bob', ...onlyFor('n') },
          { kind: 'otp', name: 'secondary_password', label: 'Code:', ...onlyFor('n') },
        ],
      },
      submit({
        group_list: 'n',
        username: 'alice',
        password: PW,
        h: 'v',
        secondary_username: 'carl',
        secondary_password: new Secret('42'),
      }),
    ),
    `<username>alice</username><password>${PW_TEXT}</password><h>v</h><secondary_username>carl</secondary_username><secondary_password>42</secondary_password>`,
    ['secondary_username=carl', 'secondary_password=42'],
  ),
];
