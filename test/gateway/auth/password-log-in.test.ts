import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { AuthMethod } from '../../../src/gateway/config/gateway-config.ts';
import { processorTime } from '../../support/processor-time.ts';
import { type HostWishes, sampleConfig, sampleHost } from '../config-samples.ts';
import { AuthScene, cookieOf, formOf, ip } from './auth-scene.ts';

/** SHA-256 crypt of `correct horse`. */
const HASH = execFileSync('openssl', ['passwd', '-5', '-salt', 'sallyport', 'correct horse'], { encoding: 'utf8' }).trim();

const PASSWORDS = `alice:staff,admins:${HASH}\nbob:*:!${HASH}\ncarol:*:${HASH}\n`;

async function scene(wishes: HostWishes = {}): Promise<AuthScene> {
  const opened = new AuthScene();
  writeFileSync(opened.file('passwords'), PASSWORDS);
  const plain: AuthMethod = { method: 'plain', passwordFile: opened.file('passwords') };
  await opened.open(sampleConfig(sampleHost({ ...wishes, auth: { required: [plain], ...wishes.auth } })));
  return opened;
}

describe('log-in by password', () => {
  it('asks for the name, then for the password, in ocserv’s words', async () => {
    await using auth = await scene();
    const { dialogue, step } = await auth.service.begin(auth.hints());
    assert.deepEqual(formOf(step), {
      id: 'main',
      message: 'Please enter your username.',
      fields: [{ kind: 'text', name: 'username', label: 'Username:' }],
    });
    const second = await auth.service.answer(dialogue, { username: 'alice' }, ip('192.0.2.7'));
    assert.ok(second !== undefined);
    assert.deepEqual(formOf(second), {
      id: 'main',
      message: 'Please enter your password.',
      fields: [{ kind: 'password', name: 'password', label: 'Password:' }],
    });
  });

  it('admits with a cookie of 256 bits, and takes the first group of the user', async () => {
    await using auth = await scene();
    const step = await auth.logInAs('alice', 'correct horse');
    assert.equal(step.type === 'admitted' && step.user, 'alice');
    assert.equal(step.type === 'admitted' && step.group, 'staff');
    assert.equal(Buffer.from(cookieOf(step).reveal(), 'base64').length, 32);
    assert.deepEqual(auth.failures, []);
  });

  it('takes the right password on the second and third try', async () => {
    await using auth = await scene();
    assert.equal((await auth.logInAs('alice', 'no', 'correct horse')).type, 'admitted');
    assert.equal((await auth.logInAs('alice', 'no', 'nor this', 'correct horse')).type, 'admitted');
    assert.deepEqual(auth.failures, Array(3).fill('192.0.2.7'));
  });

  it('says that a password was wrong, and refuses after the third', async () => {
    await using auth = await scene();
    const { dialogue } = await auth.service.begin(auth.hints());
    const answer = (values: Record<string, string>) => auth.service.answer(dialogue, values, ip('192.0.2.8'));
    await answer({ username: 'alice' });
    const again = await answer({ password: 'wrong' });
    assert.equal(again && formOf(again).error, 'Login failed.');
    assert.equal(again && formOf(again).message, 'Please enter your password.');
    await answer({ password: 'wrong' });
    assert.deepEqual(await answer({ password: 'wrong' }), { type: 'refused', message: 'Login failed.' });
    assert.equal(await answer({ password: 'correct horse' }), undefined, 'the dialogue is over');
    assert.equal(await auth.service.knows(dialogue), false);
    assert.deepEqual(auth.failures, Array(3).fill('192.0.2.8'));
  });

  it('answers for unknown and locked users as for a wrong password', async () => {
    await using auth = await scene();
    const wrong = await auth.logInAs('alice', 'wrong');
    assert.deepEqual(await auth.logInAs('nobody', 'correct horse'), wrong);
    assert.deepEqual(await auth.logInAs('bob', 'correct horse'), wrong);
  });

  it('takes about as long for an unknown user as for a wrong password', async () => {
    await using auth = await scene();
    const time = async (user: string) => {
      const began = processorTime();
      await auth.logInAs(user, 'wrong', 'wrong');
      return processorTime() - began;
    };
    await time('alice'); // the library is loaded
    const samples: [number, number][] = [];
    for (let i = 0; i < 5; i++) samples.push([await time('alice'), await time('nobody')]);
    const least = (of: 0 | 1) => Math.min(...samples.map((sample) => sample[of]));
    assert.ok(least(1) > least(0) / 3, `unknown ${least(1)} ms, known ${least(0)} ms: no hash was made for the unknown one`);
  });

  it('asks for a name again that no user can have', async () => {
    await using auth = await scene();
    for (const username of ['', '..', 'a/b', 'a\nb', 'x'.repeat(64)]) {
      assert.equal(formOf(await auth.logIn([{ username }])).message, 'Please enter your username.', username);
    }
  });

  it('reads the file again when it has changed', async () => {
    await using auth = await scene();
    assert.equal((await auth.logInAs('dave', 'correct horse')).type, 'ask');
    writeFileSync(auth.file('passwords'), `dave:*:${HASH}\n`);
    assert.equal((await auth.logInAs('dave', 'correct horse')).type, 'admitted');
    assert.equal((await auth.logInAs('alice', 'correct horse')).type, 'ask');
  });

  it('refuses while the file cannot be read, and says so in the log alone', async () => {
    await using auth = await scene({ auth: { required: [{ method: 'plain', passwordFile: '/nonexistent/passwords' }] } });
    assert.deepEqual(await auth.logInAs('alice', 'correct horse'), { type: 'refused', message: 'Login failed.' });
    assert.deepEqual(
      auth.logged.map(({ event, fields }) => [event, fields?.reason]),
      [['password file', 'No such file or directory']],
    );
    assert.deepEqual(auth.failures, []);
  });

  it('ends a log-in that takes too long or says too much', async () => {
    await using auth = await scene();
    const { dialogue } = await auth.service.begin(auth.hints());
    auth.now += 239_999;
    assert.equal(await auth.service.knows(dialogue), true);
    auth.now += 1;
    assert.equal(await auth.service.knows(dialogue), false);
    assert.equal(await auth.service.answer(dialogue, { username: 'alice' }, ip('192.0.2.7')), undefined);
    assert.equal((await auth.logIn([{ username: 'a'.repeat(10_000) }])).type, 'refused');
  });

  it('never shows a password, a cookie or the id of a dialogue in its log or its listing', async () => {
    await using auth = await scene();
    const { dialogue } = await auth.service.begin(auth.hints());
    await auth.service.answer(dialogue, { username: 'alice' }, ip('192.0.2.7'));
    const cookie = cookieOf(await auth.logInAs('alice', 'a wrong one', 'correct horse')).reveal();
    const shown = JSON.stringify([auth.logged, await auth.service.sessions()]);
    for (const secret of [dialogue, cookie, 'a wrong one', 'correct horse', HASH]) assert.ok(!shown.includes(secret));
  });

  it('keeps log-ins apart by address when there are too many', async () => {
    await using auth = await scene();
    const { dialogue: other } = await auth.service.begin(auth.hints({ remote: { address: ip('192.0.2.99'), port: 1 } }));
    const { dialogue: first } = await auth.service.begin(auth.hints());
    for (let i = 0; i < 1_000; i++) await auth.service.begin(auth.hints());
    assert.equal(await auth.service.knows(first), false);
    assert.equal(await auth.service.knows(other), true);
  });
});

describe('groups', () => {
  const groups = [
    { name: 'staff', label: 'The Staff' },
    { name: 'guests', label: 'guests' },
  ];

  it('are offered with the entry for the user’s own group first', async () => {
    await using auth = await scene({ login: { groups, defaultGroupLabel: 'My own' } });
    const { step } = await auth.service.begin(auth.hints());
    assert.deepEqual(formOf(step).fields[1], {
      kind: 'choice',
      name: 'group_list',
      label: 'Group:',
      initial: 'My own',
      isGroup: true,
      choices: [
        { value: 'My own', label: 'My own' },
        { value: 'staff', label: 'The Staff' },
        { value: 'guests', label: 'guests' },
      ],
    });
  });

  it('begin with the one that the client has chosen', async () => {
    await using auth = await scene({ login: { groups, defaultGroupLabel: 'My own' } });
    const { step } = await auth.service.begin(auth.hints({ group: 'guests' }));
    const [, field] = formOf(step).fields;
    assert.equal(field?.kind === 'choice' && field.initial, 'guests');
    assert.equal(field?.kind === 'choice' && field.choices[0]?.value, 'guests');
  });

  it('are chosen by name or by label', async () => {
    await using auth = await scene({ login: { groups, defaultGroupLabel: 'My own' } });
    for (const [chosen, expected] of [
      ['staff', 'staff'],
      ['The Staff', 'staff'],
      ['My own', 'staff'],
    ] as const) {
      const step = await auth.logIn([{ username: 'alice', group_list: chosen }, { password: 'correct horse' }]);
      assert.equal(step.type === 'admitted' && step.group, expected, chosen);
    }
  });

  it('keep out who is not in the chosen one', async () => {
    await using auth = await scene({ login: { groups } });
    const step = await auth.logIn([{ username: 'alice', group_list: 'guests' }, { password: 'correct horse' }]);
    assert.equal(step.type, 'refused');
    const none = await auth.logInAs('carol', 'correct horse');
    assert.equal(none.type, 'admitted');
    assert.equal(none.type === 'admitted' && none.group, undefined);
  });

  it('are those of the back end where the administrator says so', async () => {
    await using auth = await scene({ login: { groups: [{ name: 'staff', label: 'The Staff' }], listsOwnGroups: true } });
    const [, field] = formOf((await auth.service.begin(auth.hints())).step).fields;
    assert.deepEqual(field?.kind === 'choice' && field.choices, [
      { value: 'admins', label: 'admins' },
      { value: 'staff', label: 'The Staff' },
    ]);
  });
});

describe('sessions of the service', () => {
  it('outlive a restart in a file that only its owner reads, and that holds no cookie', async () => {
    await using auth = await scene();
    const cookie = cookieOf(await auth.logInAs('alice', 'correct horse'));
    const before = await auth.service.session(cookie, ip('192.0.2.7'));
    const config = sampleConfig(sampleHost({ auth: { required: [{ method: 'plain', passwordFile: auth.file('passwords') }] } }));
    await auth.open(config);
    assert.deepEqual(await auth.service.session(cookie, ip('192.0.2.7')), before);
    assert.equal(before?.user, 'alice');
    assert.equal(statSync(auth.file('sessions.db')).mode & 0o777, 0o600);
    assert.ok(!readFileSync(auth.file('sessions.db')).includes(cookie.reveal()));
  });

  it('begin anew over a file that is damaged', async () => {
    await using auth = new AuthScene();
    writeFileSync(auth.file('sessions.db'), 'this is not a database, but long enough to be looked at'.repeat(100));
    await auth.open(sampleConfig());
    assert.deepEqual(await auth.service.sessions(), []);
    assert.match(auth.logged[0]?.event ?? '', /put aside/);
  });

  it('are listed with log-ins that are under way', async () => {
    await using auth = await scene();
    const { dialogue } = await auth.service.begin(auth.hints());
    assert.deepEqual(
      (await auth.service.sessions()).map(({ state }) => state),
      ['pre-auth'],
    );
    await auth.service.answer(dialogue, { username: 'alice' }, ip('192.0.2.7'));
    assert.deepEqual(
      (await auth.service.sessions()).map(({ state, user }) => [state, user]),
      [['authenticating', 'alice']],
    );
    await auth.service.answer(dialogue, { password: 'correct horse' }, ip('192.0.2.7'));
    assert.deepEqual(
      (await auth.service.sessions()).map(({ state, inUse }) => [state, inUse]),
      [['authenticated', 0]],
    );
  });

  it('stay over a reload', async () => {
    await using auth = await scene();
    const cookie = cookieOf(await auth.logInAs('alice', 'correct horse'));
    await auth.service.reload(sampleConfig(sampleHost({ auth: { required: [{ method: 'certificate' }] } })));
    assert.equal((await auth.service.session(cookie, ip('192.0.2.7')))?.user, 'alice');
    assert.equal((await auth.service.begin(auth.hints())).step.type, 'refused', 'a password is not a way in any more');
  });
});
