import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { LineReader } from '../../../src/cli/openconnect/line-reader.ts';
import { loginAnswers } from '../../../src/cli/openconnect/login-answers.ts';
import type { LoginSettings, MessageLevel } from '../../../src/cli/openconnect/settings.ts';
import { NoAnswerError, Terminal } from '../../../src/cli/openconnect/terminal.ts';
import { type LoadedToken, loadToken } from '../../../src/cli/openconnect/token-file.ts';
import type { AuthForm, FormAnswer } from '../../../src/core/auth/form.ts';
import { CancelledError } from '../../../src/core/errors.ts';
import { revealed, Secret } from '../../../src/core/secret.ts';
import { form, groups, hidden, otp, password, RecordedLog, text } from '../../support/forms.ts';

interface Given {
  readonly login?: Partial<LoginSettings>;
  readonly token?: LoadedToken;
  readonly level?: MessageLevel;
  readonly signal?: AbortSignal;
  /** Lines of standard input. */
  readonly typed?: string;
}

function answering({ login, token, level = 1, signal = new AbortController().signal, typed = '' }: Given) {
  const input = new PassThrough();
  input.end(typed);
  let screen = '';
  const terminal = new Terminal({
    input: new LineReader(input),
    screen: { write: (shown) => (screen += shown) },
    decode: (bytes) => Buffer.from(bytes).toString('utf8'),
    nonInteractive: login?.nonInteractive ?? false,
    answersOnStdin: login?.password !== undefined,
  });
  const log = new RecordedLog();
  const settings = { passwordsAllowed: true, nonInteractive: false, formEntries: [], httpAuth: [], xmlPost: true, ...login };
  const answer = loginAnswers({ login: settings, token, terminal, level, log, signal });
  return { answer: async (asked: AuthForm) => shown(await answer(asked)), log, seen: () => screen };
}

/** The answer with its secrets to be read. */
function shown(answer: FormAnswer): FormAnswer {
  if (answer.type !== 'submit') return answer;
  return { type: 'submit', values: Object.fromEntries(Object.entries(answer.values).map(([name, value]) => [name, revealed(value)])) };
}

const submit = (values: Record<string, string>): FormAnswer => ({ type: 'submit', values });

describe('answers of the command line', () => {
  it('come from options, then from the person, field by field', async () => {
    const { answer, seen } = answering({ login: { user: 'alice' }, typed: 'open sesame\n' });
    const asked = form([text('username'), password(), hidden('tgroup', 'x')], { message: 'Please log in.' });
    assert.deepEqual(await answer(asked), submit({ username: 'alice', password: 'open sesame', tgroup: 'x' }));
    assert.equal(seen(), 'Please log in.\nPassword:\n');
  });

  it('take the last form entry for a field first', async () => {
    const entry = (value: string) => ({ form: 'main', field: 'username', value: new Secret(value) });
    const { answer } = answering({ login: { formEntries: [entry('given last'), entry('given first')] } });
    assert.deepEqual(await answer(form([text('username')])), submit({ username: 'given last' }));
  });

  it('leave out banner and message with --quiet, but never the error', async () => {
    const texts = { banner: 'Welcome', message: 'Please log in.', error: 'Login failed.' };
    const { answer, seen } = answering({ level: 0, login: { user: 'alice' } });
    await answer(form([text('username')], texts));
    assert.equal(seen(), 'Login failed.\n');
  });

  it('end where the input ends, and where the log-in is cancelled', async () => {
    await assert.rejects(answering({}).answer(form([text('username')])), NoAnswerError);
    const cancelled = answering({ signal: AbortSignal.abort(), typed: 'alice\n' });
    await assert.rejects(cancelled.answer(form([text('username')])), CancelledError);
  });

  it('give neither a name nor a password with --no-passwd, and show nothing of the form', async () => {
    for (const field of [text('username'), password(), otp()]) {
      const { answer, log, seen } = answering({ login: { passwordsAllowed: false, user: 'alice' } });
      assert.deepEqual(await answer(form([field], { message: 'Please log in.' })), { type: 'cancel' });
      assert.deepEqual(log.lines, ['error passwords not allowed']);
      assert.equal(seen(), '');
    }
  });

  it('choose a group with --no-passwd all the same: a certificate needs no password', async () => {
    const { answer } = answering({ login: { passwordsAllowed: false, authgroup: 'Staff' } });
    assert.deepEqual(await answer(form([groups(['Staff', 'Admins'])])), submit({ group_list: 'staff' }));
  });
});

describe('a group that a person takes', () => {
  const fields = [groups(['Default', 'Staff people', 'Admins']), text('username')];
  const ofStaff = form([groups(['Default', 'Staff people', 'Admins'], { initial: 'staff-people' }), text('username')]);

  it('is asked for first, and not again in the form that it brings', async () => {
    const { answer, seen } = answering({ login: { user: 'alice' }, typed: 'staff\n' });
    assert.deepEqual(await answer(form(fields)), { type: 'change-group', group: 'staff-people' });
    assert.deepEqual(await answer(ofStaff), submit({ group_list: 'staff-people', username: 'alice' }));
    assert.equal(seen(), 'GROUP: [Default|Staff people|Admins]:');
  });

  it('needs no other form if it is the one that is chosen already', async () => {
    const { answer } = answering({ login: { user: 'alice' }, typed: 'default\n' });
    assert.deepEqual(await answer(form(fields)), submit({ group_list: 'default', username: 'alice' }));
  });

  it('can be left by an empty line, where the form says so', async () => {
    const list = groups(['Default', 'Staff'], { canBeLeft: true });
    assert.deepEqual(await answering({ typed: '\n' }).answer(form([list])), submit({}));
    const { answer, seen } = answering({ typed: '\nStaff\n' });
    assert.deepEqual(await answer(form([groups(['Default', 'Staff'])])), { type: 'change-group', group: 'staff' });
    assert.match(seen(), /Auth choice "" matches multiple options/);
  });

  it('stands for a group of the options that there is not', async () => {
    const { answer, log } = answering({ login: { user: 'alice', authgroup: 'nosuch' }, typed: 'staff\n' });
    assert.deepEqual(await answer(form(fields)), { type: 'change-group', group: 'staff-people' });
    assert.deepEqual(await answer(ofStaff), submit({ group_list: 'staff-people', username: 'alice' }));
    assert.equal(log.lines.filter((line) => line.includes('choice not available')).length, 1);
  });

  it('is asked for again where it is no longer offered', async () => {
    const { answer } = answering({ login: { user: 'alice' }, typed: 'staff\nadmins\n' });
    await answer(form(fields));
    const others = form([groups(['Default', 'Admins'], { initial: 'default' }), text('username')]);
    assert.deepEqual(await answer(others), { type: 'change-group', group: 'admins' });
  });
});

describe('a software token', () => {
  it('fills the fields for codes, and the password those for passwords', async () => {
    const token = await loadToken({ mode: 'hotp', secret: new Secret('12345678901234567890') }, new RecordedLog());
    const { answer } = answering({ login: { password: new Secret('open sesame') }, token });
    // RFC 4226, appendix D
    assert.deepEqual(await answer(form([password(), otp()])), submit({ password: 'open sesame', otp: '755224' }));
    assert.deepEqual(await answer(form([otp()])), submit({ otp: '287082' }));
  });
});
