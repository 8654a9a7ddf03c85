import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formAnswerer } from '../../../src/core/auth/answerers.ts';
import { loginAnswerers, parseFormEntry } from '../../../src/core/auth/flag-answerers.ts';
import type { AuthForm } from '../../../src/core/auth/form.ts';
import { tokenAnswerer } from '../../../src/core/auth/token-answerer.ts';
import { parseTokenSecret } from '../../../src/core/auth/token-secret.ts';
import type { TokenMode } from '../../../src/core/auth/tokens.ts';
import { revealed, Secret } from '../../../src/core/secret.ts';
import { form, otp, password, RecordedLog, text } from '../../support/forms.ts';

/** The key of RFC 4226: its codes by counter. */
const KEY = '12345678901234567890';
const CODES = ['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489'];

interface Login {
  readonly log: RecordedLog;
  readonly kept: string[];
  now: number;
  send(asking: AuthForm): Promise<Record<string, string>>;
}

/** A log-in with a token at second 35, in the second period; the person answers `?`. */
function loginWith(mode: TokenMode, more: { password?: string; entry?: string } = {}): Login {
  const log = new RecordedLog();
  const kept: string[] = [];
  const token = tokenAnswerer(parseTokenSecret(mode, new Secret(mode === 'hotp' ? `${KEY},1` : KEY)), {
    now: () => login.now,
    persist: async (secret) => {
      kept.push(secret.reveal().replace(KEY, 'KEY'));
    },
    log,
  });
  const answerers = loginAnswerers(
    {
      token,
      ...(more.password === undefined ? {} : { password: new Secret(more.password) }),
      ...(more.entry === undefined ? {} : { formEntries: [parseFormEntry(more.entry)] }),
    },
    log,
  );
  const answer = formAnswerer({
    answerers,
    person: async (asking) => ({ type: 'submit', values: Object.fromEntries(asking.fields.map((field) => [field.name, '?'])) }),
    log,
  });
  const login: Login = {
    log,
    kept,
    now: 35_000,
    send: async (asking) => {
      const result = await answer(asking);
      assert.ok(result.type === 'submit');
      return Object.fromEntries(Object.entries(result.values).map(([name, value]) => [name, revealed(value)]));
    },
  };
  return login;
}

describe('token answerer', () => {
  it('fills only what a vendor marks as a code', async () => {
    const login = loginWith('totp');
    const asked = form([text('username'), password('secondary_password'), otp()], { id: 'challenge', message: 'Enter your OTP.' });
    assert.deepEqual(await login.send(asked), { username: '?', secondary_password: '?', otp: CODES[1] });
  });

  it('makes the code of the moment at which the form is sent', async () => {
    const login = loginWith('totp');
    assert.deepEqual(await login.send(form([otp()])), { otp: CODES[1] });
    const later = loginWith('totp');
    later.now = 65_000;
    assert.deepEqual(await later.send(form([otp()])), { otp: CODES[2] });
  });

  it('tries the adjacent code of TOTP once, then asks the person', async () => {
    const login = loginWith('totp');
    assert.deepEqual(await login.send(form([otp()])), { otp: CODES[1] });
    assert.deepEqual(await login.send(form([otp()])), { otp: CODES[2] });
    assert.deepEqual(await login.send(form([otp()])), { otp: '?' });
    assert.equal(login.log.lines.at(-1), 'warn token gives no more codes field=Code:');
  });

  it('takes the present code for a second try when time has gone on', async () => {
    const login = loginWith('totp');
    await login.send(form([otp()]));
    login.now = 95_000;
    assert.deepEqual(await login.send(form([otp()])), { otp: CODES[3] });
  });

  it('never makes a code of TOTP twice, nor one from further ahead than the next period', async () => {
    const login = loginWith('totp');
    assert.deepEqual(await login.send(form([otp('a')])), { a: CODES[1] });
    assert.deepEqual(await login.send(form([otp('b')])), { b: CODES[2] });
    assert.deepEqual(await login.send(form([otp('c')])), { c: '?' });
    login.now = 65_000;
    assert.deepEqual(await login.send(form([otp('c')])), { c: CODES[3] });
  });

  it('counts HOTP on, and keeps the counter before each code leaves', async () => {
    const login = loginWith('hotp');
    assert.deepEqual(await login.send(form([otp()])), { otp: CODES[1] });
    assert.deepEqual(login.kept, ['KEY,2']);
    assert.deepEqual(await login.send(form([otp()])), { otp: CODES[2] });
    assert.deepEqual(await login.send(form([otp()])), { otp: '?' });
    assert.deepEqual(login.kept, ['KEY,2', 'KEY,3']);
  });

  it('sends no code whose counter could not be kept', async () => {
    const token = tokenAnswerer(parseTokenSecret('hotp', new Secret(KEY)), {
      now: () => 0,
      persist: () => Promise.reject(new Error('disk full')),
      log: new RecordedLog(),
    });
    await assert.rejects(formAnswerer({ answerers: [token], log: new RecordedLog() })(form([otp()])), /disk full/);
  });

  it('does not give a gateway that renames its fields one code after the other', async () => {
    const login = loginWith('hotp');
    const sent: string[] = [];
    for (let i = 0; i < 8; i++) sent.push((await login.send(form([otp(`otp${i}`)])))[`otp${i}`] ?? '');
    assert.deepEqual(sent, [...CODES.slice(1, 7), '?', '?']);
  });

  it('logs in where a gateway asks for a password and then for a code in a field of the same name', async () => {
    const login = loginWith('totp', { password: 'pw' });
    assert.deepEqual(await login.send(form([password()])), { password: 'pw' });
    assert.deepEqual(await login.send(form([otp('password')])), { password: CODES[1] });
  });

  it('leaves the first password and the form entries to the fields that are no codes', async () => {
    const login = loginWith('totp', { password: 'pw', entry: 'challenge:answer=entry' });
    assert.deepEqual(await login.send(form([otp('answer')], { id: 'challenge' })), { answer: CODES[1] });
    assert.deepEqual(await login.send(form([password()])), { password: 'pw' });
  });
});
