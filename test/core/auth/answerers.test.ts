import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Answerer, formAnswerer, type Person } from '../../../src/core/auth/answerers.ts';
import type { AuthForm, FormValues } from '../../../src/core/auth/form.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { revealed, Secret } from '../../../src/core/secret.ts';
import { choices, form, groups, hidden, password, RecordedLog, text } from '../../support/forms.ts';

/** An answerer that knows these fields. */
const knows =
  (values: Record<string, string>): Answerer =>
  (_, field) =>
    values[field.name];

/** A person who says these, and what they were asked. */
function personWith(values: FormValues): { person: Person; asked: AuthForm[] } {
  const asked: AuthForm[] = [];
  const person: Person = async (asking) => {
    asked.push(asking);
    return { type: 'submit', values };
  };
  return { person, asked };
}

const nobody = { answerers: [], log: silentLogger };
const namesOf = (asked: AuthForm | undefined) => asked?.fields.map((field) => field.name);

describe('answering a form', () => {
  it('takes the first answerer that knows a field, and asks the person for the rest', async () => {
    const { person, asked } = personWith({ password: new Secret('pw') });
    const answer = formAnswerer({ ...nobody, answerers: [knows({ username: 'a' }), knows({ username: 'b', zip: 'c' })], person });
    const result = await answer(form([text('username'), text('zip'), password()], { message: 'Hello' }));
    assert.ok(result.type === 'submit');
    assert.deepEqual(
      Object.entries(result.values).map(([name, value]) => [name, revealed(value)]),
      [
        ['username', 'a'],
        ['zip', 'c'],
        ['password', 'pw'],
      ],
    );
    assert.deepEqual(namesOf(asked[0]), ['password']);
    assert.equal(asked[0]?.message, 'Hello');
  });

  it('sends hidden fields as they came, in the order of the form', async () => {
    const answer = formAnswerer({ ...nobody, answerers: [knows({ username: 'a', token: 'not this' })] });
    const result = await answer(form([hidden('token', 'x1'), text('username'), hidden('__proto__', 'x2')]));
    assert.ok(result.type === 'submit');
    assert.deepEqual(Object.entries(result.values), [
      ['token', 'x1'],
      ['username', 'a'],
      ['__proto__', 'x2'],
    ]);
  });

  it('does not bother the person when everything is known', async () => {
    const { person, asked } = personWith({});
    await formAnswerer({ ...nobody, answerers: [knows({ username: 'a' })], person })(form([text('username')]));
    assert.deepEqual(asked, []);
  });

  it('shows each form before it is answered, also one that needs no person', async () => {
    const shown: AuthForm[] = [];
    const asking = form([text('username')], { banner: 'Welcome', error: 'Again' });
    await formAnswerer({ ...nobody, answerers: [knows({ username: 'a' })], show: (shownForm) => shown.push(shownForm) })(asking);
    assert.deepEqual(shown, [asking]);
  });

  it('makes codes when the form is sent, after the person has answered, and not at all if they cancel', async () => {
    const happened: string[] = [];
    const code: Answerer = (_, field) => (field.name === 'code' ? () => `${happened.push('code')}` : undefined);
    const says =
      (type: 'submit' | 'cancel'): Person =>
      async () => {
        happened.push('person');
        return type === 'submit' ? { type, values: { name: 'n' } } : { type };
      };
    const asking = form([password('code'), text('name')]);
    const result = await formAnswerer({ ...nobody, answerers: [code], person: says('submit') })(asking);
    assert.deepEqual(happened, ['person', 'code']);
    assert.deepEqual(result, { type: 'submit', values: { code: '2', name: 'n' } });
    assert.deepEqual(await formAnswerer({ ...nobody, answerers: [code], person: says('cancel') })(asking), { type: 'cancel' });
    assert.deepEqual(happened, ['person', 'code', 'person']);
  });

  it('takes an empty answer for an answer', async () => {
    const { person } = personWith({ password: '' });
    assert.deepEqual(await formAnswerer({ ...nobody, person })(form([password()])), { type: 'submit', values: { password: '' } });
  });

  it('says what is asked for when there is nobody to ask', async () => {
    await assert.rejects(formAnswerer(nobody)(form([text('username'), password()])), {
      name: 'MisuseError',
      message: 'the gateway asks for "username:", "Password:", and there is nobody to answer',
    });
  });

  it('refuses an answer that lacks a field', async () => {
    const { person } = personWith({ pasword: 'x' });
    await assert.rejects(formAnswerer({ ...nobody, person })(form([password()])), /lacks the field "password"/);
    await assert.rejects(formAnswerer({ ...nobody, person })(form([text('toString')])), MisuseError);
  });
});

describe('answering choices', () => {
  const role = { kind: 'choice', name: 'role', label: 'Role:', choices: choices(['Reader', 'Writer']) } as const;

  it('takes the only choice, and says so', async () => {
    const log = new RecordedLog();
    const result = await formAnswerer({ ...nobody, log })(form([{ ...role, choices: choices(['Reader']) }]));
    assert.deepEqual(result, { type: 'submit', values: { role: 'reader' } });
    assert.deepEqual(log.lines, ['info choice answered field=Role: choice=Reader']);
  });

  it('leaves out a selector without choices', async () => {
    assert.deepEqual(await formAnswerer(nobody)(form([{ ...role, choices: [] }])), { type: 'submit', values: {} });
  });

  it('leaves a choice that can be left, where nobody makes it', async () => {
    const gateway = { ...role, name: 'gateway', canBeLeft: true };
    assert.deepEqual(await formAnswerer(nobody)(form([gateway])), { type: 'submit', values: {} });
    const { person } = personWith({});
    assert.deepEqual(await formAnswerer({ ...nobody, person })(form([gateway])), { type: 'submit', values: {} });
    await assert.rejects(formAnswerer(nobody)(form([gateway, role])), /asks for "Role:", and/);
    await assert.rejects(formAnswerer({ ...nobody, person })(form([gateway, role])), /lacks the field "role"/);
  });

  it('passes over an answerer whose answer is no choice', async () => {
    const log = new RecordedLog();
    const answerers = [knows({ role: 'owner' }), knows({ role: 'writer' })];
    const result = await formAnswerer({ answerers, log })(form([role]));
    assert.deepEqual(result, { type: 'submit', values: { role: 'writer' } });
    assert.equal(log.lines[0], 'warn answer is not a choice field=Role:');
  });

  it('asks the person to choose, and refuses what is no choice', async () => {
    assert.deepEqual(await formAnswerer({ ...nobody, person: personWith({ role: 'writer' }).person })(form([role])), {
      type: 'submit',
      values: { role: 'writer' },
    });
    await assert.rejects(formAnswerer({ ...nobody, person: personWith({ role: 'Writer' }).person })(form([role])), {
      name: 'MisuseError',
      message: '"Writer" is not one of the choices of "Role:"',
    });
  });
});

describe('answering a group selector', () => {
  const asking = form([groups(['DEFAULT', 'Staff']), text('username'), password()]);

  it('changes the group before anything else is asked', async () => {
    const { person, asked } = personWith({});
    const answer = formAnswerer({ ...nobody, answerers: [knows({ group_list: 'staff', username: 'a' })], person });
    assert.deepEqual(await answer(asking), { type: 'change-group', group: 'staff' });
    assert.deepEqual(asked, []);
  });

  it('goes on with the group that the form is for: its initial one, or the first', async () => {
    const { person } = personWith({ username: 'a', password: 'b' });
    const staff = formAnswerer({ ...nobody, answerers: [knows({ group_list: 'staff' })], person });
    const withInitial = form([groups(['DEFAULT', 'Staff'], { initial: 'staff' }), text('username'), password()]);
    assert.deepEqual(await staff(withInitial), { type: 'submit', values: { group_list: 'staff', username: 'a', password: 'b' } });
    const first = formAnswerer({ ...nobody, answerers: [knows({ group_list: 'default' })], person });
    assert.equal((await first(asking)).type, 'submit');
  });

  it('does not use up what was answered beside it', async () => {
    let used = 0;
    const counting: Answerer = (_, field) => (field.kind === 'password' ? () => `${++used}` : undefined);
    const person: Person = async () => ({ type: 'submit', values: { group_list: 'staff', username: 'a' } });
    const answer = formAnswerer({ ...nobody, answerers: [counting], person });
    assert.deepEqual(await answer(asking), { type: 'change-group', group: 'staff' });
    assert.equal(used, 0);
  });

  it('lets the person change it without answering the rest', async () => {
    const says =
      (group: string): Person =>
      async () => ({ type: 'change-group', group });
    assert.deepEqual(await formAnswerer({ ...nobody, person: says('staff') })(asking), { type: 'change-group', group: 'staff' });
    await assert.rejects(formAnswerer({ ...nobody, person: says('other') })(asking), /"other" is not one of the choices/);
    await assert.rejects(formAnswerer({ ...nobody, person: says('staff') })(form([text('username')])), /has no group/);
  });
});

describe('answering fields that depend on a choice', () => {
  const forStaff = { shownFor: { field: 'group_list', choices: ['staff'] } };
  const dependent = (initial: string) =>
    form([
      groups(['DEFAULT', 'Staff'], { initial }),
      password(),
      password('secondary_password', forStaff),
      text('secondary_username', { ...forStaff, initial: 'joe' }),
    ]);

  it('sends a field that is not shown empty or prefilled, without asking', async () => {
    const { person, asked } = personWith({ password: 'p' });
    const answer = formAnswerer({ ...nobody, answerers: [knows({ group_list: 'default', secondary_password: 'not this' })], person });
    assert.deepEqual(await answer(dependent('default')), {
      type: 'submit',
      values: { group_list: 'default', password: 'p', secondary_password: '', secondary_username: 'joe' },
    });
    assert.deepEqual(namesOf(asked[0]), ['password']);
  });

  it('asks a field that is shown for the choice', async () => {
    const { person, asked } = personWith({ password: 'p', secondary_password: 's', secondary_username: 'ann' });
    const answer = formAnswerer({ ...nobody, answerers: [knows({ group_list: 'staff' })], person });
    assert.deepEqual(await answer(dependent('staff')), {
      type: 'submit',
      values: { group_list: 'staff', password: 'p', secondary_password: 's', secondary_username: 'ann' },
    });
    assert.deepEqual(namesOf(asked[0]), ['password', 'secondary_password', 'secondary_username']);
  });

  it('leaves it to the person who makes the choice what belongs to it', async () => {
    const asked: AuthForm[] = [];
    const person: Person = async (asking) => {
      asked.push(asking);
      return { type: 'submit', values: { group_list: 'default', password: 'p' } };
    };
    const answer = formAnswerer({ ...nobody, answerers: [knows({ secondary_password: 'tentative' })], person });
    assert.deepEqual(await answer(dependent('default')), {
      type: 'submit',
      values: { group_list: 'default', password: 'p', secondary_password: '', secondary_username: 'joe' },
    });
    assert.deepEqual(namesOf(asked[0]), ['group_list', 'password', 'secondary_username']);
    const incomplete: Person = async () => ({ type: 'submit', values: { group_list: 'staff', password: 'p' } });
    await assert.rejects(formAnswerer({ ...nobody, person: incomplete })(dependent('staff')), /lacks the field "secondary_password"/);
  });
});

describe('forms with nothing to fill in', () => {
  const empty = form([hidden('a', '1'), groups(['DEFAULT'])]);
  const filled = form([text('username')]);
  const options = { ...nobody, answerers: [knows({ username: 'a', group_list: 'staff' })] };

  it('end the log-in when two come one after the other', async () => {
    const log = new RecordedLog();
    const answer = formAnswerer({ ...options, log });
    assert.equal((await answer(empty)).type, 'submit');
    assert.deepEqual(await answer(empty), { type: 'cancel' });
    assert.equal(log.lines.at(-1), 'error forms with nothing to fill in forms=2');
  });

  it('may come one at a time', async () => {
    const answer = formAnswerer(options);
    for (const asking of [empty, filled, empty, filled]) assert.equal((await answer(asking)).type, 'submit');
  });

  it('are not counted when they only change the group: certificate log-ins have such', async () => {
    const answer = formAnswerer(options);
    assert.equal((await answer(form([groups(['DEFAULT', 'Staff'])]))).type, 'change-group');
    assert.equal((await answer(form([groups(['DEFAULT', 'Staff'], { initial: 'staff' })]))).type, 'submit');
    assert.equal((await answer(form([groups(['DEFAULT', 'Staff'], { initial: 'staff' })]))).type, 'cancel');
  });

  it('are not those in which a person chooses', async () => {
    const { person } = personWith({ group_list: 'default' });
    const answer = formAnswerer({ ...nobody, person });
    for (let i = 0; i < 3; i++) assert.equal((await answer(form([groups(['DEFAULT', 'Staff'])]))).type, 'submit');
  });
});
