/** One-time codes after the password: typed, made of a secret, counted in a file; at the real ocserv with its file of codes. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { HOTP, Secret, TOTP } from 'otpauth';
import { ALICE, type OcservOtp } from '../support/ocserv.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ALICES_LINE, LoginLab } from './login-lab.ts';

const skip = missing('root', 'netns', 'ocserv', 'openssl');

/** That of RFC 4226, appendix D. */
const KEY = Buffer.from('12345678901234567890');
const HEX = KEY.toString('hex');
const SECRET = new Secret({ buffer: Uint8Array.from(KEY).buffer });

const withCodes = async (kind: OcservOtp['kind']): Promise<LoginLab> => {
  const login = await LoginLab.open({ login: 'password-and-code', users: [{ ...ALICE, otp: { kind, secret: KEY } }] });
  for (const secret of [KEY.toString(), HEX, SECRET.base32]) login.secrets.add(secret);
  return login;
};
const BY_PASSWORD = ['--cookieonly', '--user', ALICE.name, '--passwd-on-stdin'];

/** The codes that the gateway took or refused, in the passwords' fields after the first. */
const codesSent = (login: LoginLab): string[] =>
  login.requests().flatMap(({ body = '' }) => /<password>(\d{6})<\/password>/.exec(body)?.[1] ?? []);

describe('log-in with a one-time code', { skip, timeout: HANG_LIMIT }, () => {
  it('fills the second round of ocserv, and counts in the file of a HOTP secret', async () => {
    await using login = await withCodes('HOTP');
    const file = path.join(login.lab.folder, 'token');
    writeFileSync(file, `0x${HEX}\n`, { mode: 0o640 });
    for (const counter of [0, 1, 2]) {
      const run = await login.run([...BY_PASSWORD, '--token-mode=hotp', `--token-secret=@${file}`, ...login.pinned], {
        input: ALICES_LINE,
      });
      assert.equal(run.code, 0, run.output);
      assert.equal(readFileSync(file, 'utf8'), `0x${HEX},${counter + 1}\n`);
      assert.equal(statSync(file).mode & 0o777, 0o640);
    }
    assert.deepEqual(
      codesSent(login),
      [0, 1, 2].map((counter) => HOTP.generate({ secret: SECRET, counter })),
    );
    // It is the gateway's file that says that it was the code.
    assert.match(readFileSync(path.join(login.ocserv.folder, 'otps'), 'utf8'), /^HOTP\talice\t-\t\w+\t2\t359152\t/);
  });

  for (const [how, secret] of [
    ['as it is', KEY.toString()],
    ['in hex', `0x${HEX}`],
    ['in Base32', `base32:${SECRET.base32}`],
    ['with its hash', `sha1:base32:${SECRET.base32.toLowerCase()}`],
  ] as const) {
    it(`makes a TOTP code of a secret that is written ${how}`, async () => {
      await using login = await withCodes('HOTP/T30');
      const args = [...BY_PASSWORD, '--non-inter', '--token-mode', 'TOTP', '--token-secret', secret];
      const run = await login.run([...args, ...login.pinned], { input: ALICES_LINE });
      assert.equal(run.code, 0, run.output);
      const [code] = codesSent(login);
      const delta = TOTP.validate({ secret: SECRET, token: code ?? '', window: 2 });
      assert.ok(delta === 0 || delta === -1, `${delta}`); // it was made a moment ago, perhaps in the last period
    });
  }

  it('does not write to the file of a TOTP secret', async () => {
    await using login = await withCodes('HOTP/T30');
    const file = path.join(login.lab.folder, 'token');
    writeFileSync(file, `base32:${SECRET.base32}`);
    const { ino } = statSync(file);
    const run = await login.run([...BY_PASSWORD, '--token-mode=totp', `--token-secret=${file}`, ...login.pinned], { input: ALICES_LINE });
    assert.equal(run.code, 0, run.output);
    assert.equal(statSync(file).ino, ino);
  });

  it('takes password and code from two lines, with nobody there', async () => {
    await using login = await withCodes('HOTP');
    const code = HOTP.generate({ secret: SECRET, counter: 0 });
    const run = await login.run([...BY_PASSWORD, '--non-inter', ...login.pinned], { input: `${ALICES_LINE}${code}\n` });
    assert.equal(run.code, 0, run.output);
    assert.match(run.stderr, /^Please enter your OTP password\.\nPassword:\n/m);
  });

  it('fails with a wrong code, and with a secret that is none before it connects', async () => {
    await using login = await withCodes('HOTP');
    const wrong = await login.run([...BY_PASSWORD, ...login.pinned], { input: `${ALICES_LINE}000000\n` });
    assert.equal(wrong.code, 1);
    for (const secret of ['base32:!!!', '0xzz', '@/nonexistent']) {
      const run = await login.run([...BY_PASSWORD, '--token-mode=hotp', `--token-secret=${secret}`, ...login.pinned], {
        input: ALICES_LINE,
      });
      assert.equal(run.code, 1);
      assert.match(run.stderr, secret.startsWith('@') ? /\/nonexistent/ : /^Soft token string is invalid/);
      assert.doesNotMatch(run.output, /POST/);
    }
  });
});
