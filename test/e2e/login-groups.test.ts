/** Groups: named, chosen, ambiguous, unknown, alone (spec "Client command-line contract", `--authgroup` and section 6). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { OcservOptions } from '../support/ocserv.ts';
import type { OcservSettings } from '../support/ocserv-config.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { LoginLab } from './login-lab.ts';

const skip = missing('root', 'netns', 'ocserv', 'openssl');

const BOB = { name: 'bob', password: 'sesame open', groups: ['staff', 'admins'] };
const BOBS_LINE = `${BOB.password}\n`;
const GROUPS: OcservSettings = {
  'select-group': ['staff[Staff people]', 'admins[Admin people]', 'stuff'],
  'default-select-group': 'DEFAULT',
};
const PROMPT = 'Group: [DEFAULT|Staff people|Admin people|stuff]:';

const withGroups = (options: OcservOptions = {}): Promise<LoginLab> => LoginLab.open({ users: [BOB], settings: GROUPS, ...options });

/** The groups that were sent with each request, as XML and as forms write them. */
function groupsSent(login: LoginLab): (string | undefined)[] {
  return login.requests().map(({ body = '' }) => /<group-select>(.*?)<|group_list=([^&]*)/.exec(body)?.slice(1).find(Boolean));
}

describe('log-in to a group', { skip, timeout: HANG_LIMIT }, () => {
  const answers: readonly (readonly [why: string, authgroup: string, value: string])[] = [
    ['the label', 'Staff people', 'staff'],
    ['the label in another case', 'STAFF PEOPLE', 'staff'],
    ['a beginning that only one label has', 'adm', 'admins'],
  ];
  for (const [why, authgroup, value] of answers) {
    it(`takes the group of --authgroup by ${why}, and sends its value`, async () => {
      await using login = await withGroups();
      const options = ['--cookieonly', '--user', 'bob', '--authgroup', authgroup];
      for (const dialect of [[], ['--no-xmlpost']]) {
        const run = await login.run([...options, ...dialect, ...login.pinned], { input: BOBS_LINE });
        assert.equal(run.code, 0, run.output);
        assert.doesNotMatch(run.stderr, /Group:/);
      }
      // XML asks for that group's form first, and says the group with each answer; the old dialect answers the form it has.
      const sent = groupsSent(login);
      assert.deepEqual(
        [sent.slice(0, 3), sent.slice(-3)],
        [
          [undefined, value, value],
          [undefined, value, undefined],
        ],
      );
    });
  }

  it('asks once at the terminal, until the answer is a group', async () => {
    await using login = await withGroups();
    const input = `nosuch\nst\nAdmin people\n${BOBS_LINE}`;
    const run = await login.run(['--cookieonly', '--user', 'bob', ...login.pinned], { input });
    assert.equal(run.code, 0, run.output);
    const questions = [`${PROMPT}Auth choice "nosuch" not available`, `${PROMPT}Auth choice "st" matches multiple options`];
    assert.ok(run.stderr.includes(`${questions.join('\n')}\n${PROMPT}POST `), run.stderr);
    assert.equal(run.stderr.split('Group:').length - 1, 3);
  });

  it('asks where --authgroup names no group or several, and does not complain again', async () => {
    await using login = await withGroups();
    for (const [authgroup, complaint] of [
      ['nosuch', 'not available'],
      ['st', 'matches multiple options'],
    ]) {
      const options = ['--cookieonly', '--user', 'bob', '--authgroup', authgroup ?? ''];
      const run = await login.run([...options, ...login.pinned], { input: `staff\n${BOBS_LINE}` });
      assert.equal(run.code, 0, run.output);
      assert.equal(run.stderr.split(`Auth choice "${authgroup}" ${complaint}\n${PROMPT}`).length, 2);
      assert.equal(run.stderr.split('Auth choice').length, 2);
    }
  });

  it('fails where --authgroup names no group or several and nobody is there', async () => {
    await using login = await withGroups();
    for (const authgroup of ['nosuch', 'st']) {
      const run = await login.run(['--cookieonly', '--non-inter', '--user', 'bob', '--authgroup', authgroup, ...login.pinned]);
      assert.equal(run.code, 1);
      assert.ok(run.stderr.includes(`${PROMPT}***\nUser input required in non-interactive mode\n`), run.stderr);
    }
  });

  it('takes the group of --form-entry, whose field is group_list', async () => {
    await using login = await withGroups();
    const entries = ['group_list=Staff people', 'username=bob', `password=${BOB.password}`].flatMap((entry) => ['-F', `main:${entry}`]);
    const run = await login.run(['--cookieonly', ...entries, ...login.pinned]);
    assert.equal(run.code, 0, run.output);
    assert.deepEqual(groupsSent(login).slice(0, 3), [undefined, 'staff', 'staff']);
  });

  it('does not ask where there is but one group, and shows it', async () => {
    await using login = await withGroups({ settings: { 'select-group': ['staff[Staff people]'] } });
    const run = await login.run(['--cookieonly', '--user', 'bob', ...login.pinned], { input: BOBS_LINE });
    assert.equal(run.code, 0, run.output);
    assert.ok(run.stderr.includes('\nGroup: [Staff people]:Staff people\n'), run.stderr);
    assert.deepEqual(groupsSent(login).slice(0, 2), [undefined, 'staff']);
  });

  it('is refused a group that the user is not in', async () => {
    await using login = await withGroups();
    const run = await login.run(['--cookieonly', '--user', 'bob', '--authgroup', 'stuff', ...login.pinned], { input: BOBS_LINE });
    assert.equal(run.code, 1);
    assert.match(run.stderr, /401 Authentication failed/);
  });

  it('says that a group in the URL is unknown to this gateway', async () => {
    await using login = await withGroups();
    const [option, pin, gateway] = login.pinned;
    const byUrl = await login.run(['--cookieonly', option, pin, `https://${gateway}/staff`]);
    const byOption = await login.run(['--cookieonly', option, pin, '--usergroup', 'staff', gateway]);
    for (const { code, stderr } of [byUrl, byOption]) {
      assert.equal(code, 1);
      assert.match(stderr, /^POST https:\/\/[\d.]+\/staff$/m);
      assert.match(stderr, /HTTP\/1\.1 404 Not found/);
    }
  });
});
