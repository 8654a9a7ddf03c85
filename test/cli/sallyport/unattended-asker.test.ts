import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NO_ANSWER } from '../../../src/cli/sallyport/explanation.ts';
import { UnattendedAsker } from '../../../src/cli/sallyport/unattended-asker.ts';
import type { TrustQuestion } from '../../../src/client/server-trust.ts';
import type { AuthField, AuthForm } from '../../../src/core/auth/form.ts';
import { PeerRefusedError, SallyportError } from '../../../src/core/errors.ts';
import { revealed } from '../../../src/core/secret.ts';

const USER: AuthField = { kind: 'text', name: 'username', label: 'Username:' };
const PASSWORD: AuthField = { kind: 'password', name: 'password', label: 'Password:' };
const OTP: AuthField = { kind: 'otp', name: 'otp', label: 'Code' };
const COLOUR: AuthField = { kind: 'text', name: 'colour', label: 'Favourite colour' };
const GROUP: AuthField = {
  kind: 'choice',
  name: 'group_list',
  label: 'GROUP:',
  isGroup: true,
  choices: [
    { value: 's', label: 'Staff' },
    { value: 'g', label: 'Guests' },
  ],
};

function form(fields: readonly AuthField[], more: Partial<AuthForm> = {}): AuthForm {
  return { id: 'main', fields, ...more };
}

function asker(...lines: readonly string[]): UnattendedAsker {
  const left = [...lines];
  const nextSecret = lines.length === 0 ? undefined : () => Promise.resolve(left.shift());
  return new UnattendedAsker({ nextSecret, onCertificate: () => undefined });
}

/** What is said where a form is not answered. */
async function complaint(asked: AuthForm, who: UnattendedAsker = asker()): Promise<string> {
  try {
    await who.answer(asked);
  } catch (error) {
    assert.ok(error instanceof SallyportError);
    assert.equal(error.code, NO_ANSWER);
    return error.message;
  }
  return assert.fail('it was answered');
}

describe('a log-in that nobody attends', () => {
  it('names what the gateway asks for, and the option that answers it', async () => {
    assert.match(await complaint(form([USER])), /"Username".* --user\./);
    assert.match(await complaint(form([PASSWORD])), /"Password".* --password-stdin\./);
    assert.match(await complaint(form([OTP])), /"Code".* --token\./);
    assert.match(await complaint(form([GROUP])), /--group: "Staff", "Guests"\./);
    assert.match(
      await complaint(form([{ kind: 'text', name: 'method', label: 'authgroup:', isGroup: true }])),
      /"authgroup".* --group; it may be empty\./,
    );
    assert.match(await complaint(form([COLOUR])), /"main:colour=VALUE".* --answers\./);
  });

  it('leaves what can be left', async () => {
    assert.deepEqual(await asker().answer(form([{ ...GROUP, canBeLeft: true }])), { type: 'submit', values: {} });
  });

  it('takes further lines of standard input for secrets, each once', async () => {
    const who = asker('123456', '654321');
    for (const expected of ['123456', '654321']) {
      const answer = await who.answer(form([OTP]));
      assert.equal(answer.type === 'submit' && revealed(answer.values.otp ?? ''), expected);
    }
    assert.match(await complaint(form([OTP]), who), /nobody is there to answer/);
  });

  it('does not try a refused password again with the next line, as tries are counted', async () => {
    for (const refusal of [{ error: 'Login failed.' }, { message: 'Login failed.\nPlease enter your password.' }]) {
      const who = asker('next line');
      await assert.rejects(
        who.answer(form([PASSWORD], refusal)),
        (error: unknown) => error instanceof PeerRefusedError && error.message === 'The gateway refused the password: Login failed.',
      );
    }
  });

  it('repeats nothing of the gateway’s that would move the cursor', async () => {
    const said = await complaint(form([{ ...COLOUR, label: 'Colour\u001b[2J', name: 'c\r\n' }]));
    assert.doesNotMatch(said, /[\u0000-\u001f]/);
  });

  it('refuses a certificate that nobody vouches for, and says so', async () => {
    const asked: TrustQuestion[] = [];
    const who = new UnattendedAsker({ nextSecret: undefined, onCertificate: (question) => asked.push(question) });
    const question = { host: 'x', port: 443, fault: 'signer not found', pin: 'pin-sha256:A', certificate: new Uint8Array() };
    assert.equal(await who.trust(question), false);
    assert.deepEqual(asked, [question]);
  });

  it('says of which file the password is missing or wrong', () => {
    const file = { file: 'alice.p12', format: 'PKCS#12' } as const;
    assert.throws(() => asker().password(file, false), /alice\.p12 is protected.*--key-password-stdin/);
    assert.throws(() => asker().password(file, true), /The password of alice\.p12 is wrong/);
  });
});
