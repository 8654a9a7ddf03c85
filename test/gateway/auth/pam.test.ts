/** Log-ins by the machine's PAM: throw-away users and service files in the lab's own /etc. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../src/core/log.ts';
import { PamBackEnd } from '../../../src/gateway/auth/pam-back-end.ts';
import { Lab } from '../../support/lab.ts';
import { missing } from '../../support/requirements.ts';
import { ip } from './auth-scene.ts';

const PROGRAM = path.join(import.meta.dirname, 'pam-program.ts');

const UNIX = 'auth required pam_unix.so\naccount required pam_unix.so\npassword required pam_unix.so\nsession required pam_permit.so\n';

async function machine(service: string): Promise<Lab> {
  const lab = await Lab.open({ router: false });
  writeFileSync(lab.server.file('/etc/pam.d/ocserv'), service);
  return lab;
}

async function addUser(lab: Lab, user: string, ...more: readonly (readonly string[])[]): Promise<void> {
  await lab.server.run('useradd', ['--user-group', user]);
  await lab.server.run('chpasswd', [], { input: `${user}:correct horse\n` });
  for (const [command = '', ...args] of more) await lab.server.run(command, args);
}

async function logIn(lab: Lab, user: string, answers: readonly string[], minGid = 0): Promise<readonly Record<string, unknown>[]> {
  const output = await lab.server.run(process.execPath, [PROGRAM], { input: JSON.stringify({ user, answers, minGid }) });
  return output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe('log-in by PAM', { skip: missing('root', 'netns', 'useradd', 'chpasswd') }, () => {
  it('admits who knows the password, with the groups that count', async () => {
    await using lab = await machine(UNIX);
    await addUser(lab, 'alice', ['groupadd', '--gid', '5000', 'vpnusers'], ['usermod', '--append', '--groups', 'vpnusers,daemon', 'alice']);
    const [question, verdict] = await logIn(lab, 'alice', ['correct horse'], 1000);
    assert.deepEqual(question, {
      type: 'ask',
      prompt: { message: 'Please enter your password.', label: 'Password:', kind: 'password', isSecond: false },
    });
    assert.equal(verdict?.type, 'accepted');
    assert.equal(verdict?.user, 'alice');
    assert.deepEqual(verdict?.groups, ['alice', 'vpnusers'], 'daemon is a group of the system');
  });

  it('answers a wrong password and an unknown user alike', async () => {
    await using lab = await machine(UNIX);
    await addUser(lab, 'alice');
    const wrong = await logIn(lab, 'alice', ['wrong']);
    assert.deepEqual(wrong.at(-1), { type: 'wrong', isFinal: false });
    assert.deepEqual(await logIn(lab, 'nobody-here', ['wrong']), wrong);
  });

  it('asks for a new password when the old one has run out, in PAM’s words with ocserv’s labels', async () => {
    await using lab = await machine(UNIX);
    await addUser(lab, 'alice', ['chage', '--lastday', '0', 'alice']);
    const steps = await logIn(lab, 'alice', ['correct horse', 'correct horse', 'battery staple 7', 'battery staple 7']);
    const prompts = steps.flatMap(({ prompt }) =>
      prompt === undefined ? [] : [prompt as { message: string; label: string; isSecond: boolean }],
    );
    assert.deepEqual(
      prompts.map(({ label, isSecond }) => [label, isSecond]),
      [
        ['Password:', false],
        ['Password1:', true],
        ['Password2:', true],
        ['Password3:', true],
      ],
    );
    assert.match(prompts[1]?.message ?? '', /Current password: $/);
    assert.match(prompts[3]?.message ?? '', /Retype new password: $/);
    assert.equal(steps.at(-1)?.type, 'accepted');
    assert.equal((await logIn(lab, 'alice', ['battery staple 7'])).at(-1)?.type, 'accepted');
  });

  it('refuses an account that has run out, for good', async () => {
    await using lab = await machine(UNIX);
    await addUser(lab, 'alice', ['chage', '--expiredate', '2001-01-01', 'alice']);
    assert.deepEqual((await logIn(lab, 'alice', ['correct horse'])).at(-1), { type: 'wrong', isFinal: true });
  });

  it('tells modules the client’s address, and shows what they say', async () => {
    await using lab = await machine('');
    const script = path.join(lab.folder, 'check.sh');
    const seen = path.join(lab.folder, 'seen');
    writeFileSync(script, `#!/bin/sh\nread -r password\necho "$PAM_USER $PAM_RHOST $PAM_SERVICE $password" > ${seen}\n`);
    chmodSync(script, 0o755);
    writeFileSync(
      lab.server.file('/etc/pam.d/ocserv'),
      `auth optional pam_echo.so Mind the gap\nauth required pam_exec.so expose_authtok ${script}\naccount required pam_permit.so\n`,
    );
    const [question, verdict] = await logIn(lab, 'carol', ['to the script']);
    assert.match(JSON.stringify(question), /"message":"Mind the gap\\n/);
    assert.equal(verdict?.type, 'accepted');
    assert.equal(readFileSync(seen, 'utf8'), 'carol 192.0.2.7 ocserv to the script\n');
  });

  it('tells session modules of a session’s begin and end, in this order', async () => {
    await using lab = await machine('');
    const script = path.join(lab.folder, 'session.sh');
    const seen = path.join(lab.folder, 'seen');
    writeFileSync(script, `#!/bin/sh\necho "$PAM_TYPE $PAM_USER $PAM_RHOST" >> ${seen}\n`);
    chmodSync(script, 0o755);
    writeFileSync(lab.server.file('/etc/pam.d/ocserv'), `session required pam_exec.so ${script}\n`);
    assert.equal(await lab.server.run(process.execPath, [path.join(import.meta.dirname, 'pam-session-program.ts')]), '');
    assert.equal(readFileSync(seen, 'utf8'), 'open_session carol 192.0.2.7\nclose_session carol 192.0.2.7\n');
  });

  it('can be ended while a module hangs', async () => {
    await using lab = await machine('');
    const script = path.join(lab.folder, 'hang.sh');
    const started = path.join(lab.folder, 'started');
    writeFileSync(script, `#!/bin/sh\n: > ${started}\nexec tail -f /dev/null\n`);
    chmodSync(script, 0o755);
    writeFileSync(lab.server.file('/etc/pam.d/ocserv'), `auth required pam_exec.so ${script}\n`);
    const program = await lab.server.start(process.execPath, [path.join(import.meta.dirname, 'pam-hang-program.ts'), started]);
    await program.waitFor(/unavailable/);
    assert.ok(existsSync(started), 'the module had begun');
    assert.equal((await program.finish()).code, 0);
  });
});

describe('PAM without a service', () => {
  it('refuses and does not wait', async () => {
    const back = new PamBackEnd({ log: silentLogger, service: 'sallyport-there-is-no-such-service' });
    const login = back.login({ user: 'alice', remote: ip('192.0.2.7'), local: ip('192.0.2.1'), userAgent: '' });
    const verdict = await login.begin();
    assert.notEqual(verdict.type, 'accepted');
    login.close();
  });
});
