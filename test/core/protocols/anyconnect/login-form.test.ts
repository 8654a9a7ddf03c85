import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AuthForm } from '../../../../src/core/auth/form.ts';
import { UnsupportedError } from '../../../../src/core/errors.ts';
import { parseXml } from '../../../../src/core/markup/xml.ts';
import {
  authFormOf,
  type FormTexts,
  type LoginForm,
  parseLoginForm,
  renderLoginForm,
  selectsFirst,
} from '../../../../src/core/protocols/anyconnect/login-form.ts';
import { groups, password, text } from '../../../support/forms.ts';
import { loginForms } from '../../../support/login-documents.ts';
import { GROUPS, groupSelect, PASSWORD, USERNAME } from '../../../support/login-flows/flow.ts';

const parse = (inputs: string, attributes = ''): LoginForm => parseLoginForm(parseXml(`<form ${attributes}>${inputs}</form>`));
const input = (attributes: string) => `<input ${attributes}/>`;

describe('form in a log-in document', () => {
  it('goes to its action, or to /, by POST only', () => {
    assert.equal(parse('').action, '/');
    assert.equal(parse('', 'action="/x?y"').action, '/x?y');
    for (const method of ['post', 'POST', 'Post']) assert.equal(parse('', `method="${method}"`).action, '/');
    assert.throws(() => parse('', 'method="get"'), { name: 'PeerMisbehavedError', message: /expected method POST, got get/ });
  });

  it('has its texts, passwords, hidden values and tokens, in order', () => {
    const form = parse(
      input('type="text" name="a" label="A:"') +
        input('type="password" name="b" second-auth="1"') +
        input('type="hidden" name="c" value="v"') +
        input('type="sso" name="d"'),
    );
    const common = { label: '', value: '', isSecondAuth: false };
    assert.deepEqual(form.inputs, [
      { ...common, type: 'text', name: 'a', label: 'A:' },
      { ...common, type: 'password', name: 'b', isSecondAuth: true },
      { ...common, type: 'hidden', name: 'c', value: 'v' },
      { ...common, type: 'sso', name: 'd' },
    ]);
  });

  it('has nothing that is a button, of an unknown type, without a name, or an empty choice', () => {
    const others = [
      'type="submit" name="s"',
      'type="reset" name="r"',
      'type="new" name="n"',
      'name="t"',
      'type="text"',
      'type="text" name=""',
    ];
    assert.deepEqual(parse(`${others.map(input).join('')}<select name="s"/><select><option>a</option></select><br/>`).inputs, []);
  });

  it('has choices whose value is an attribute or else the text, with what Cisco says of groups', () => {
    const [select] = parse(
      groupSelect(
        '<option> none </option><option value="">empty</option><option value="v" selected="true" second-auth="1" noaaa="1" secondary_username="u" secondary_username_editable="true">V</option><optgroup/>',
      ),
    ).inputs;
    const common = { isSelected: false, hasSecondAuth: false, isWithoutAaa: false, isSecondaryUsernameEditable: false };
    assert.deepEqual(select?.type === 'select' && select.options, [
      { ...common, value: 'none', label: 'none' },
      { ...common, value: '', label: 'empty' },
      {
        value: 'v',
        label: 'V',
        isSelected: true,
        hasSecondAuth: true,
        isWithoutAaa: true,
        secondaryUsername: 'u',
        isSecondaryUsernameEditable: true,
      },
    ]);
  });

  it('shows no control characters', () => {
    const [first] = parse(input('type="text" name="a" label="A&#x202e;B"')).inputs;
    assert.equal(first?.label, 'AB');
  });

  it('has limits: inputs and choices', () => {
    assert.equal(parse(USERNAME.repeat(100)).inputs.length, 100);
    assert.throws(() => parse(USERNAME.repeat(101)), /at most 100 inputs, got 101/);
    assert.throws(() => parse(groupSelect('<option>a</option>'.repeat(1001))), /at most 1000 choices, got 1001/);
  });

  it('is read back as it was written', () => {
    fc.assert(fc.property(loginForms, (form) => assert.deepEqual(parseLoginForm(renderLoginForm(form)), form)));
  });
});

const asked = (inputs: string, { group, ...texts }: Partial<FormTexts> & { readonly group?: string } = {}): AuthForm =>
  authFormOf(parse(inputs), { id: 'main', ...texts }, group);
const fieldsOf = (inputs: string, more = {}) => asked(inputs, more).fields;

describe('form that anyone can answer', () => {
  it('asks choices first, then the rest in order', () => {
    const form = parse(USERNAME + GROUPS + PASSWORD);
    assert.deepEqual(
      selectsFirst(form.inputs).map(({ name }) => name),
      ['group_list', 'username', 'password'],
    );
    assert.deepEqual(
      fieldsOf(USERNAME + GROUPS + PASSWORD).map(({ name }) => name),
      ['group_list', 'username', 'password'],
    );
  });

  it('keeps what stands around the fields', () => {
    assert.deepEqual(asked('', { id: 'x', banner: 'b', message: 'm', error: 'e' }), {
      id: 'x',
      banner: 'b',
      message: 'm',
      error: 'e',
      fields: [],
    });
  });

  it('has the chosen group as its own: the one that was chosen, else the selected one, else the first', () => {
    const initial = (inputs: string, group?: string) => {
      const [field] = fieldsOf(inputs, group === undefined ? {} : { group });
      return field?.kind === 'choice' ? field.initial : undefined;
    };
    const selected = groupSelect('<option>a</option><option selected="true">b</option><option>c</option>');
    assert.equal(initial(selected), 'b');
    assert.equal(initial(selected, 'c'), 'c');
    assert.equal(initial(selected, 'gone'), 'b');
    assert.equal(initial(groupSelect('<option>a</option><option>b</option>')), 'a');
  });

  it('has other choices, which are no groups', () => {
    assert.deepEqual(fieldsOf('<select name="s" label="S:"><option>a</option><option value="2" selected="true">b</option></select>'), [
      {
        kind: 'choice',
        name: 's',
        label: 'S:',
        choices: [
          { value: 'a', label: 'a' },
          { value: '2', label: 'b' },
        ],
        initial: '2',
      },
    ]);
  });

  it('suggests the value of an input', () => {
    assert.deepEqual(fieldsOf(input('type="text" name="username" label="username:" value="alice"')), [
      text('username', { initial: 'alice' }),
    ]);
  });

  it('cannot be made of a token that only a browser gets', () => {
    assert.throws(() => asked(input('type="sso" name="sso-token"')), { name: 'UnsupportedError', message: /single sign-on/ });
    assert.throws(() => asked(USERNAME + input('type="sso" name="sso-token"')), UnsupportedError);
  });
});

describe('fields of a group', () => {
  const SECOND = input('type="text" name="secondary_username" label="Second:" second-auth="1"');
  const second = (attributes: string, group = 'n') => {
    const options = `<option value="n" ${attributes}>N</option><option value="m">M</option>`;
    return fieldsOf(groupSelect(options) + SECOND, { group }).at(-1);
  };
  const base = { name: 'secondary_username', label: 'Second:' };
  const nowhere = { shownFor: { field: 'group_list', choices: [] } };
  const forN = { shownFor: { field: 'group_list', choices: ['n'] } };

  it('are not asked for a group without user and password', () => {
    const fields = fieldsOf(
      groupSelect('<option value="n" noaaa="1">N</option><option value="m">M</option>') +
        USERNAME +
        PASSWORD +
        input('type="hidden" name="h" value="v"'),
    );
    const onlyM = { shownFor: { field: 'group_list', choices: ['m'] } };
    assert.deepEqual(fields.slice(1), [
      text('username', onlyM),
      password('password', onlyM),
      { kind: 'hidden', name: 'h', label: '', value: 'v' },
    ]);
  });

  it('of a second authentication are asked for groups that have one', () => {
    assert.deepEqual(second(''), { kind: 'text', ...base, ...nowhere });
    assert.deepEqual(second('second-auth="1"'), { kind: 'text', ...base, ...forN });
    assert.deepEqual(second('second-auth="1" noaaa="1"'), { kind: 'text', ...base, ...nowhere });
  });

  it('are all asked where there are no groups', () => {
    assert.deepEqual(fieldsOf(USERNAME + SECOND), [text('username'), { kind: 'text', ...base }]);
    assert.deepEqual(fieldsOf(GROUPS + USERNAME).slice(1), [text('username')]);
  });

  it('have the second user name that the group fixes or suggests, where it asks for one', () => {
    assert.deepEqual(second('second-auth="1" secondary_username="bob"'), { kind: 'hidden', ...base, value: 'bob' });
    const editable = 'secondary_username="bob" secondary_username_editable="true"';
    assert.deepEqual(second(`second-auth="1" ${editable}`), { kind: 'text', ...base, initial: 'bob', ...forN });
    // Observed: openconnect 9.01 sends it empty for a group without second authentication.
    assert.deepEqual(second('secondary_username="bob"'), { kind: 'text', ...base, ...nowhere });
    assert.deepEqual(second('second-auth="1" noaaa="1" secondary_username="bob"'), { kind: 'text', ...base, ...nowhere });
    assert.deepEqual(second('second-auth="1" secondary_username="bob"', 'm'), { kind: 'text', ...base, ...forN });
  });

  it('have a group field that lists them', () => {
    assert.deepEqual(
      fieldsOf(GROUPS)[0],
      groups(['Group A', 'Group B'], {
        initial: 'ga',
        choices: [
          { value: 'ga', label: 'Group A' },
          { value: 'gb', label: 'Group B' },
        ],
      }),
    );
  });
});

describe('field for a code', () => {
  const kindOf = (inputs: string, texts: Partial<FormTexts> = {}) => fieldsOf(inputs, texts)[0]?.kind;
  const named = (name: string, type = 'password') => input(`type="${type}" name="${name}"`);

  it('is a second password, or a password on a challenge form', () => {
    assert.equal(kindOf(named('secondary_password')), 'otp');
    assert.equal(kindOf(named('answer'), { id: 'challenge' }), 'otp');
    assert.equal(kindOf(named('answer')), 'password');
    assert.equal(kindOf(named('answer', 'text'), { id: 'challenge' }), 'text');
    assert.equal(kindOf(named('secondary_password', 'text')), 'text');
  });

  it('is the password of a main form that asks for an OTP, as ocserv does, and not before', () => {
    assert.equal(kindOf(PASSWORD, { message: 'Please enter your password.' }), 'password');
    assert.equal(kindOf(PASSWORD, { message: 'Please enter your OTP password.' }), 'otp');
    assert.equal(kindOf(PASSWORD, { message: 'Login failed.\nPlease enter your OTP password.' }), 'otp');
    assert.equal(kindOf(PASSWORD, { error: 'OTP is wrong' }), 'otp');
    assert.equal(kindOf(PASSWORD, { message: 'Please enter your hotpassword' }), 'password');
    assert.equal(kindOf(named('other'), { message: 'OTP' }), 'password');
    assert.equal(kindOf(PASSWORD, { id: 'other', message: 'OTP' }), 'password');
  });
});
