/**
 * Names, passwords, groups and one-time codes: openconnect to our gateway.
 *
 * Read first: spec "Gateway contract", section 3, and spec "AnyConnect", sections 3.7 and 3.8.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { HOTP, Secret, TOTP } from 'otpauth';
import { ALICE, type OcservUser } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { ALICES_LINE, type LoginLab } from '../login-lab.ts';
import { skip } from '../tunnel-scene.ts';
import { openLogin } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: HANG_LIMIT };

/** What openconnect prints of a session: its cookie. */
const COOKIE = /^(?:openconnect_strapkey=\S+; )?webvpn=[A-Za-z0-9+/]{43}=\n$/;

/** So far ahead of the clock is a typed code, within what the gateway allows for: whatever a client makes in this test is older. */
const AHEAD = 5 * 60_000;

const asAlice = (login: LoginLab): string[] => ['--cookieonly', '--user', ALICE.name, ...login.pinned];

describe('log-in to our gateway by password', OPTIONS, () => {
  it('lets in who knows the password, by XML and without, and gives each log-in a cookie of its own', async () => {
    await using login = await openLogin();
    const cookies = new Set<string>();
    for (const dialect of [[], [], ['--no-xmlpost']]) {
      const { code, stdout, output } = await login.runPeer([...dialect, ...asAlice(login)], { input: ALICES_LINE });
      assert.equal(code, 0, output);
      assert.match(stdout, COOKIE);
      cookies.add(stdout);
    }
    assert.equal(cookies.size, 3);
    assert.equal((await login.ocserv.control.sessions()).length, 3);
  });

  it('lets in with the right password after a wrong one, in the same log-in, which ocserv does not', async () => {
    await using login = await openLogin();
    for (const guesses of [['guess one'], ['guess one', 'guess two']]) {
      for (const guess of guesses) login.secrets.add(guess);
      const input = `${guesses.join('\n')}\n${ALICES_LINE}`;
      const ours = await login.runPeer(asAlice(login), { input });
      assert.equal(ours.code, 0, ours.output);
      assert.equal(ours.stderr.match(/^Login failed\.$/gm)?.length, guesses.length);
      assert.match(ours.stdout, COOKIE);
    }
  });

  it('asks three times and no more', async () => {
    await using login = await openLogin();
    for (const guess of ['guess one', 'guess two', 'guess three']) login.secrets.add(guess);
    const input = `guess one\nguess two\nguess three\n${ALICES_LINE}`;
    const { code, stdout, stderr } = await login.runPeer(asAlice(login), { input });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.equal(stderr.match(/^Password:$/gm)?.length, 3, stderr);
    assert.match(stderr, /Got HTTP response: HTTP\/1\.1 401 Authentication failed\n/);
  });

  it('asks and refuses a user that it does not know as one whose password is wrong', async () => {
    await using login = await openLogin();
    login.secrets.add('a guess');
    const said = async (user: string) => {
      const { code, output } = await login.runPeer(['--cookieonly', '--user', user, ...login.pinned], { input: 'a guess\n'.repeat(3) });
      assert.equal(code, 1, output);
      return output;
    };
    assert.equal(await said('nobody'), await said(ALICE.name));
  });

  const users: readonly OcservUser[] = [
    { name: 'empty', password: '' },
    { name: 'sp@cial', password: '!@#$%^&*()<>' },
    { name: 'ü ser"<&>\'', password: 'pä"ss <&> \'$`\\x' },
    { name: 'long', password: 'x'.repeat(120) },
  ];
  for (const user of users) {
    const { name, password } = user;
    it(`takes the password ${JSON.stringify(password.slice(0, 40))} of ${name}, by XML and without, and no longer one`, async () => {
      await using login = await openLogin({ users: [user] });
      for (const dialect of [[], ['--no-xmlpost']]) {
        const args = ['--cookieonly', '--user', name, ...dialect, ...login.pinned];
        const run = await login.runPeer(args, { input: `${password}\n` });
        assert.equal(run.code, 0, run.output);
        assert.match(run.stdout, COOKIE);
        assert.equal((await login.runPeer(args, { input: `${password}x\n` })).code, 1);
      }
    });
  }

  it('refuses a user whose entry is locked', async () => {
    await using login = await openLogin();
    await login.lab.server.run('ocpasswd', ['--passwd', path.join(login.ocserv.folder, 'passwords'), '--lock', ALICE.name]);
    assert.equal((await login.runPeer(asAlice(login), { input: ALICES_LINE })).code, 1);
    await login.lab.server.run('ocpasswd', ['--passwd', path.join(login.ocserv.folder, 'passwords'), '--unlock', ALICE.name]);
    assert.equal((await login.runPeer(asAlice(login), { input: ALICES_LINE })).code, 0, 'the file is read anew');
  });
});

describe('log-in to a group of our gateway', OPTIONS, () => {
  const BOB: OcservUser = { name: 'bob', password: 'sesame open', groups: ['staff', 'admins'] };
  const GROUPS: OcservSettings = {
    'select-group': ['staff[Staff people]', 'admins[Admin people]', 'stuff'],
    'default-select-group': 'DEFAULT',
  };

  async function groupOf(authgroup: string | undefined): Promise<string> {
    await using login = await openLogin({ users: [BOB], settings: GROUPS });
    const group = authgroup === undefined ? [] : ['--authgroup', authgroup];
    const run = await login.runPeer(['--cookieonly', '--user', 'bob', ...group, ...login.pinned], { input: `${BOB.password}\n` });
    if (run.code !== 0) return /HTTP\/1\.1 (401 .*)/.exec(run.stderr)?.[1] ?? run.stderr;
    const [session] = await login.ocserv.control.sessions();
    return String(session?.Groupname);
  }

  for (const [authgroup, group] of [
    ['Staff people', 'staff'],
    ['Admin people', 'admins'],
    ['DEFAULT', 'staff'],
    ['stuff', '401 Authentication failed'],
  ] as const) {
    it(`${authgroup} is ${group}`, async () => assert.equal(await groupOf(authgroup), group));
  }

  it('offers them with their labels, the default one first', async () => {
    await using login = await openLogin({ users: [BOB], settings: GROUPS });
    const run = await login.runPeer(['--cookieonly', '--user', 'bob', ...login.pinned], { input: `Admin people\n${BOB.password}\n` });
    assert.equal(run.code, 0, run.output);
    assert.match(run.stderr, /Group: \[DEFAULT\|Staff people\|Admin people\|stuff\]:/);
  });

  it('lists the groups of the password file where it is told to', async () => {
    await using login = await openLogin({ users: [BOB], settings: { 'auto-select-group': true } });
    const run = await login.runPeer(['--cookieonly', '--user', 'bob', '--authgroup', 'admins', ...login.pinned], {
      input: `${BOB.password}\n`,
    });
    assert.equal(run.code, 0, run.output);
    assert.equal((await login.ocserv.control.sessions())[0]?.Groupname, 'admins');
  });
});

describe('log-in to our gateway with a one-time code', OPTIONS, () => {
  const KEY = Buffer.from('12345678901234567890'); // RFC 4226, appendix D

  it('asks for it after the password, takes each once, and counts in its file as ocserv does', async () => {
    await using login = await openLogin({ login: 'password-and-code', users: [{ ...ALICE, otp: { kind: 'HOTP', secret: KEY } }] });
    login.secrets.add(KEY.toString('hex'));
    const codes = [0, 1, 2].map((counter) => HOTP.generate({ secret: new Secret({ buffer: Uint8Array.from(KEY).buffer }), counter }));
    const enter = (code = '') => login.runPeer(asAlice(login), { input: `${ALICES_LINE}${code}\n` });
    for (const code of codes) {
      const run = await enter(code);
      assert.equal(run.code, 0, run.output);
      assert.match(run.stdout, COOKIE);
    }
    assert.equal((await enter(codes[1])).code, 1, 'it was used');
    assert.equal((await enter('000000')).code, 1);
    assert.match(readFileSync(path.join(login.ocserv.folder, 'otps'), 'utf8'), /^HOTP\talice\t-\t\w+\t2\t359152\t/);
  });

  it('takes the codes of a secret and the time, typed, or made by our client', async () => {
    await using login = await openLogin({ login: 'password-and-code', users: [{ ...ALICE, otp: { kind: 'HOTP/T30', secret: KEY } }] });
    const secret = `0x${KEY.toString('hex')}`;
    login.secrets.add(secret);
    const token = ['--token-mode=totp', '--token-secret', secret, '--passwd-on-stdin'];
    const made = () => login.run([...token, ...asAlice(login)], { input: ALICES_LINE });
    const first = await made();
    assert.equal(first.code, 0, first.output);
    const code = new TOTP({ secret: new Secret({ buffer: Uint8Array.from(KEY).buffer }) }).generate({ timestamp: Date.now() + AHEAD });
    const typed = await login.runPeer(asAlice(login), { input: `${ALICES_LINE}${code}\n` });
    assert.equal(typed.code, 0, typed.output);
    const again = await made();
    assert.equal(again.code, 1, 'a later one was used');
  });
});
