import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SoftToken } from '../../../src/core/auth/tokens.ts';
import { Secret } from '../../../src/core/secret.ts';
import { utf8 } from '../../../src/core/wire/text.ts';
import { OtpFile } from '../../../src/gateway/auth/otp-file.ts';
import { acceptOtp, type OtpRecord, parseOtpLine, renderOtpLine } from '../../../src/gateway/auth/otp-record.ts';
import { sampleConfig, sampleHost } from '../config-samples.ts';
import { AuthScene, formOf, START } from './auth-scene.ts';

/** Of RFC 4226, appendix D. */
const KEY = '3132333435363738393031323334353637383930';
const RFC_CODES = ['755224', '287082', '359152', '969429', '338314', '254676', '287922', '162583', '399871', '520489'];

const events = (more = ''): OtpRecord => recordOf(`HOTP alice - ${KEY} ${more}`);
const timed = (more = ''): OtpRecord => recordOf(`HOTP/T30 alice - ${KEY} ${more}`);

function recordOf(line: string): OtpRecord {
  const record = parseOtpLine(line);
  assert.ok(record !== undefined, line);
  return record;
}

function codeAt(step: number): string {
  return new SoftToken({ mode: 'totp', key: utf8('12345678901234567890'), hash: 'sha1', digits: 6, period: 30, counter: 0 })
    .codeAt(step)
    .reveal();
}

const PRESENT = Math.floor(START / 30_000);

describe('one-time codes by events', () => {
  it('are taken once, and those before them not any more', () => {
    const used = acceptOtp(events(), RFC_CODES[3] ?? '', START);
    assert.equal(used?.position, 3);
    assert.equal(used?.lastCode, '969429');
    for (const old of RFC_CODES.slice(0, 4)) assert.equal(acceptOtp(used ?? events(), old, START), undefined);
    assert.equal(acceptOtp(used ?? events(), RFC_CODES[4] ?? '', START)?.position, 4);
  });

  it('may be as far ahead as ocserv allows', () => {
    const token = new SoftToken({ mode: 'hotp', key: utf8('12345678901234567890'), hash: 'sha1', digits: 6, period: 0, counter: 0 });
    const before = events('3 969429 2026-11-23T12:00:00L');
    assert.equal(acceptOtp(before, token.codeAt(23).reveal(), START)?.position, 23);
    assert.equal(acceptOtp(before, token.codeAt(24).reveal(), START), undefined);
  });
});

describe('one-time codes by time', () => {
  it('are taken in their period and near it, forwards and backwards', () => {
    for (const off of [0, -1, 1, -20, 20]) assert.equal(acceptOtp(timed(), codeAt(PRESENT + off), START)?.position, off);
    for (const off of [-21, 21]) assert.equal(acceptOtp(timed(), codeAt(PRESENT + off), START), undefined);
  });

  it('are never taken twice, nor an earlier one after a later one', () => {
    const used = acceptOtp(timed(), codeAt(PRESENT + 2), START);
    assert.ok(used !== undefined);
    const again = recordOf(renderOtpLine(used)); // as a restart would find it
    for (const off of [-1, 0, 1, 2]) assert.equal(acceptOtp(again, codeAt(PRESENT + off), START + 1_000), undefined, String(off));
    assert.ok(acceptOtp(again, codeAt(PRESENT + 3), START + 1_000) !== undefined);
  });

  it('do not depend on the sum of drifts that ocserv writes', () => {
    const written = timed(`54 ${codeAt(PRESENT - 10)} ${new Date(START - 300_000).toISOString().slice(0, 19)}L`);
    assert.ok(acceptOtp(written, codeAt(PRESENT), START) !== undefined);
  });
});

describe('lines of the file of one-time codes', () => {
  it('are read as ocserv writes them', () => {
    const record = recordOf(`HOTP/T30\talice\t-\t${KEY}\t0\t692553\t2026-11-23T12:36:14L`);
    assert.deepEqual([record.period, record.digits, record.user, record.lastCode], [30, 6, 'alice', '692553']);
    assert.equal(renderOtpLine(record), `HOTP/T30\talice\t-\t${KEY}\t0\t692553\t2026-11-23T12:36:14L`);
  });

  it('can ask for more digits and other periods', () => {
    assert.equal(recordOf(`HOTP/E/8 alice - ${KEY}`).digits, 8);
    assert.equal(recordOf(`HOTP/T60/6 alice - ${KEY}`).period, 60);
    assert.equal(acceptOtp(recordOf(`HOTP/E/8 alice - ${KEY}`), '84755224', START)?.position, 0);
  });

  it('may have a PIN, which may stand before the code', () => {
    const record = recordOf(`HOTP alice 1234 ${KEY}`);
    assert.ok(acceptOtp(record, `1234${RFC_CODES[0]}`, START) !== undefined);
    assert.ok(acceptOtp(record, RFC_CODES[0] ?? '', START) !== undefined, 'ocserv does not ask for it');
    assert.equal(acceptOtp(record, `4321${RFC_CODES[0]}`, START), undefined);
  });

  it('are none of ours when they are comments or of other tokens', () => {
    for (const line of ['', '# HOTP alice - 00', `MOTP alice - ${KEY}`, 'HOTP alice -', 'HOTP alice - xyz', `HOTP/T0 alice - ${KEY}`]) {
      assert.equal(parseOtpLine(line), undefined, line);
    }
  });

  it('are read without an error, whatever they hold, and read back as written', () => {
    const words = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom('HOTP', 'HOTP/T30', '-', KEY, '0', '-3', '123456', '2026-11-23T12:36:14L'),
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 8 }), (line) => {
        const record = parseOtpLine(line.join(' '));
        if (record === undefined) return;
        const written = renderOtpLine(record);
        assert.equal(renderOtpLine(recordOf(written)), written);
      }),
    );
  });
});

describe('the file of one-time codes', () => {
  it('is rewritten as a whole with each code, and nothing else in it changes', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-otp-'));
    try {
      const file = path.join(folder, 'users.otp');
      writeFileSync(file, `# tokens\n\nMOTP carol - 00\nHOTP alice - ${KEY}\nHOTP bob - ${KEY}\n`, { mode: 0o640 });
      const otp = new OtpFile(file, () => START);
      // Both at once: only one may find the code unused.
      const outcomes = await Promise.all([1, 2].map(() => otp.check('alice', new Secret('755224'))));
      assert.deepEqual(outcomes.sort(), [false, true]);
      const lines = readFileSync(file, 'utf8').split('\n');
      assert.deepEqual([lines[0], lines[1], lines[2], lines[4], lines[5]], ['# tokens', '', 'MOTP carol - 00', `HOTP bob - ${KEY}`, '']);
      assert.match(lines[3] ?? '', new RegExp(`^HOTP\talice\t-\t${KEY}\t0\t755224\t\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dL$`));
      assert.equal(await otp.check('nobody', new Secret('755224')), false);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('is asked after the password, in ocserv’s words; a wrong code ends the log-in', async () => {
    await using auth = new AuthScene();
    const hash = execFileSync('openssl', ['passwd', '-5', 'pw'], { encoding: 'utf8' }).trim();
    writeFileSync(auth.file('passwords'), `alice:staff:${hash}\nbob:*:${hash}\n`);
    writeFileSync(auth.file('otps'), `HOTP alice - ${KEY}\n`);
    const required = [{ method: 'plain', passwordFile: auth.file('passwords'), otpFile: auth.file('otps') } as const];
    await auth.open(sampleConfig(sampleHost({ auth: { required } })));
    assert.deepEqual(formOf(await auth.logInAs('alice', 'pw')), {
      id: 'main',
      message: 'Please enter your OTP password.',
      fields: [{ kind: 'otp', name: 'password', label: 'Password:' }],
    });
    const step = await auth.logInAs('alice', 'pw', '755224');
    assert.equal(step.type === 'admitted' && step.group, 'staff');
    assert.equal((await auth.logInAs('alice', 'pw', '755224')).type, 'refused', 'it was used');
    assert.equal((await auth.logInAs('bob', 'pw', '287082')).type, 'refused', 'bob has no token');
    assert.equal(auth.failures.length, 2);
  });
});
