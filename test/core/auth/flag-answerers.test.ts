import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formAnswerer, type Person } from '../../../src/core/auth/answerers.ts';
import { type LoginAnswers, loginAnswerers, parseFormEntry } from '../../../src/core/auth/flag-answerers.ts';
import type { AuthForm } from '../../../src/core/auth/form.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { revealed, Secret } from '../../../src/core/secret.ts';
import { choices, form, groups, otp, password, RecordedLog, text } from '../../support/forms.ts';

/** Answers forms with these flags; the person answers `?` to everything. What is sent, as text. */
function loginWith(answers: LoginAnswers): { log: RecordedLog; send: (asking: AuthForm) => Promise<Record<string, string> | string> } {
  const log = new RecordedLog();
  const person: Person = async (asking) => ({
    type: 'submit',
    values: Object.fromEntries(asking.fields.map((field) => [field.name, field.kind === 'choice' ? (field.choices[0]?.value ?? '') : '?'])),
  });
  const answer = formAnswerer({ answerers: loginAnswerers(answers, log), person, log });
  return {
    log,
    send: async (asking) => {
      const result = await answer(asking);
      if (result.type !== 'submit') return result.type;
      return Object.fromEntries(Object.entries(result.values).map(([name, value]) => [name, revealed(value)]));
    },
  };
}

const entries = (...texts: string[]) => texts.map(parseFormEntry);

describe('--user', () => {
  it('fills every text field whose name begins with user or uname, in every round', async () => {
    const { send } = loginWith({ user: 'ann' });
    const asking = form([text('username'), text('UserName2'), text('uname'), text('domain'), password('user_password')]);
    const expected = { username: 'ann', UserName2: 'ann', uname: 'ann', domain: '?', user_password: '?' };
    assert.deepEqual(await send(asking), expected);
    assert.deepEqual(await send(asking), expected);
  });
});

describe('--authgroup', () => {
  it('takes the group with this label', async () => {
    assert.equal(await loginWith({ group: 'staff' }).send(form([groups(['DEFAULT', 'Staff people'])])), 'change-group');
    const { send } = loginWith({ group: 'STAFF PEOPLE' });
    assert.deepEqual(await send(form([groups(['DEFAULT', 'Staff people'], { initial: 'staff-people' })])), { group_list: 'staff-people' });
  });

  it('says when it matches several or none, and leaves the choice to the person', async () => {
    const { send, log } = loginWith({ group: 'st' });
    assert.deepEqual(await send(form([groups(['Staff', 'Students'])])), { group_list: 'staff' });
    assert.deepEqual(await send(form([groups(['A', 'B'])])), { group_list: 'a' });
    assert.deepEqual(log.lines, [
      'error choice matches several field=GROUP: choice=st',
      'error choice not available field=GROUP: choice=st',
    ]);
  });

  it('does not answer other selectors', async () => {
    const role = { kind: 'choice', name: 'role', label: 'Role:', choices: choices(['Reader', 'Staff']) } as const;
    assert.deepEqual(await loginWith({ group: 'Staff' }).send(form([role])), { role: 'reader' });
  });
});

describe('the first password', () => {
  it('goes to the first password field, once', async () => {
    const { send } = loginWith({ password: new Secret('pw') });
    assert.deepEqual(await send(form([text('username')])), { username: '?' });
    assert.deepEqual(await send(form([password(), password('secondary_password')])), { password: 'pw', secondary_password: '?' });
    assert.deepEqual(await send(form([password()])), { password: '?' });
  });

  it('is still there after the group has changed', async () => {
    const { send } = loginWith({ password: new Secret('pw'), formEntries: entries('main:group_list=Staff') });
    assert.equal(await send(form([groups(['DEFAULT', 'Staff']), password()])), 'change-group');
    assert.deepEqual(await send(form([groups(['DEFAULT', 'Staff'], { initial: 'staff' }), password()])), {
      group_list: 'staff',
      password: 'pw',
    });
  });

  it('may be empty', async () => {
    assert.deepEqual(await loginWith({ password: new Secret('') }).send(form([password()])), { password: '' });
  });

  it('goes to a code field where no token makes codes', async () => {
    assert.deepEqual(await loginWith({ password: new Secret('123456') }).send(form([otp()])), { otp: '123456' });
  });
});

describe('--form-entry', () => {
  it('is written FORM:FIELD=VALUE, with anything in the value', () => {
    assert.deepEqual(
      ['main:username=a', 'main:password=a=b:c', ':x=', 'frmLogin:user name=\n'].map((text) => {
        const entry = parseFormEntry(text);
        return [entry.form, entry.field, entry.value.reveal()];
      }),
      [
        ['main', 'username', 'a'],
        ['main', 'password', 'a=b:c'],
        ['', 'x', ''],
        ['frmLogin', 'user name', '\n'],
      ],
    );
    for (const bad of ['', 'main', 'main:secretvalue', 'main=secretvalue']) {
      assert.throws(
        () => parseFormEntry(bad),
        (error) => error instanceof MisuseError && !error.message.includes('secretvalue'),
      );
    }
  });

  it('answers text, password and select fields of its form, in place of a person', async () => {
    const { send } = loginWith({ formEntries: entries('main:username=U', 'main:group_list=g', 'main:password=P', 'other:username=X') });
    assert.deepEqual(await send(form([groups(['G', 'H']), text('username'), password()])), {
      group_list: 'g',
      username: 'U',
      password: 'P',
    });
    assert.deepEqual(await send(form([text('username')], { id: 'other' })), { username: 'X' });
    assert.deepEqual(await send(form([text('username')], { id: 'third' })), { username: '?' });
  });

  it('counts the last one for a field', async () => {
    assert.deepEqual(await loginWith({ formEntries: entries('main:a=1', 'main:a=2') }).send(form([text('a')])), { a: '2' });
  });

  it('sends a password once: it was refused, or another one is wanted', async () => {
    const { send } = loginWith({ formEntries: entries('main:username=U', 'main:password=wrong', 'challenge:answer=C') });
    const asking = form([text('username'), password()]);
    assert.deepEqual(await send(asking), { username: 'U', password: 'wrong' });
    assert.deepEqual(await send(asking), { username: 'U', password: '?' });
    assert.deepEqual(await send(form([password('answer')], { id: 'challenge' })), { answer: 'C' });
  });

  it('comes after the first password, which is for the first round', async () => {
    const { send } = loginWith({ password: new Secret('first'), formEntries: entries('main:password=second') });
    for (const expected of ['first', 'second', '?']) assert.deepEqual(await send(form([password()])), { password: expected });
  });

  it('is never used for hidden fields', async () => {
    const { send } = loginWith({ formEntries: entries('main:token=mine') });
    assert.deepEqual(await send(form([{ kind: 'hidden', name: 'token', label: '', value: 'theirs' }])), { token: 'theirs' });
  });

  it('says when it is no choice', async () => {
    const { send, log } = loginWith({ formEntries: entries('main:group_list=x') });
    assert.deepEqual(await send(form([groups(['G', 'H'])])), { group_list: 'g' });
    assert.deepEqual(log.lines, ['error choice not available field=GROUP: choice=x']);
  });
});

describe('saved answers', () => {
  it('are asked last, by form and field, and a secret is sent once', async () => {
    const asked: string[] = [];
    const saved = async (formId: string, field: string) => {
      asked.push(`${formId}:${field}`);
      return { username: 'saved', password: new Secret('kept'), group_list: 'h' }[field];
    };
    const { send } = loginWith({ user: 'ann', saved });
    const asking = form([groups(['G', 'H'], { initial: 'h' }), text('username'), password(), text('city')]);
    assert.deepEqual(await send(asking), { group_list: 'h', username: 'ann', password: 'kept', city: '?' });
    assert.deepEqual(await send(asking), { group_list: 'h', username: 'ann', password: '?', city: '?' });
    assert.deepEqual(asked.slice(0, 3), ['main:group_list', 'main:password', 'main:city']);
  });
});
