/**
 * Nobody is there: standard input is no terminal, or `--json` was given. Questions end the log-in with an error that names the option which answers
 * them. The only answers are further lines of `--password-stdin`, each used once.
 */
import type { TrustQuestion } from '../../client/server-trust.ts';
import { type AskedField, type AuthForm, canBeLeft, type FormAnswer, isShown } from '../../core/auth/form.ts';
import { PeerRefusedError, SallyportError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import type { ProtectedFile } from '../../node/credentials/credential-error.ts';
import type { Asker } from './asker.ts';
import { NO_ANSWER, sentence } from './explanation.ts';
import { oneLine } from './words.ts';

export interface UnattendedOptions {
  /** The next line of standard input, where the password came from there too. */
  readonly nextSecret: (() => Promise<string | undefined>) | undefined;
  /** Told of a certificate that is refused. */
  readonly onCertificate: (question: TrustQuestion) => void;
}

export class UnattendedAsker implements Asker {
  readonly #options: UnattendedOptions;

  constructor(options: UnattendedOptions) {
    this.#options = options;
  }

  async answer(form: AuthForm): Promise<FormAnswer> {
    const fields = form.fields.filter((field): field is AskedField => field.kind !== 'hidden' && isShown(field, () => undefined));
    // What was refused is not tried again with the next line: that may be a code, and tries are counted.
    const refusal = refusalIn(form);
    if (refusal !== undefined) throw refused(refusal, fields);
    const values: [string, Secret][] = [];
    for (const field of fields.filter((one) => !canBeLeft(one))) {
      const line = field.kind === 'password' || field.kind === 'otp' ? await this.#options.nextSecret?.() : undefined;
      if (line === undefined) throw this.#unanswered(form, field);
      values.push([field.name, new Secret(line)]);
    }
    return { type: 'submit', values: Object.fromEntries(values) };
  }

  trust(question: TrustQuestion): Promise<boolean> {
    this.#options.onCertificate(question);
    return Promise.resolve(false);
  }

  password({ file }: ProtectedFile, isWrong: boolean): Promise<Secret> {
    const message = isWrong ? `The password of ${file} is wrong.` : `${file} is protected by a password.`;
    throw new SallyportError(NO_ANSWER, `${message} Give it as a line of standard input, with --key-password-stdin.`);
  }

  #unanswered(form: AuthForm, field: AskedField): SallyportError {
    const label = oneLine(field.label).replace(/[:\s]+$/, '');
    const question = `The gateway asks for "${label === '' ? oneLine(field.name) : label}", and nobody is there to answer.`;
    return new SallyportError(NO_ANSWER, `${question} ${this.#advice(form, field)}`);
  }

  #advice(form: AuthForm, field: AskedField): string {
    switch (field.kind) {
      case 'choice': {
        const choices = field.choices.map(({ label }) => `"${oneLine(label)}"`).join(', ');
        return field.isGroup === true ? `Choose one with --group: ${choices}.` : `Choose one of ${choices} with --answers.`;
      }
      case 'otp':
        return 'Give it as a line of standard input after the password, with --password-stdin, or have it made with --token.';
      case 'password':
        return this.#options.nextSecret === undefined
          ? 'Give it as a line of standard input, with --password-stdin.'
          : 'Give it as another line of standard input, after the password; or have codes made with --token.';
      case 'text':
        if (/^(?:user|uname)/i.test(field.name)) return 'Name yourself with --user.';
        if (field.isGroup === true) return 'Name it with --group; it may be empty.';
        return `Put a line "${oneLine(form.id)}:${oneLine(field.name)}=VALUE" into a file, and name that with --answers.`;
    }
  }
}

/** What was wrong with the last answer. Observed: ocserv says so in the message, `Login failed.` before what it asks for. */
function refusalIn({ error, message }: AuthForm): string | undefined {
  const [firstLine = ''] = (message ?? '').trim().split('\n');
  return error ?? (/\b(?:failed|denied|refused|incorrect|invalid|wrong)\b/i.test(firstLine) ? firstLine : undefined);
}

function refused(reason: string, fields: readonly AskedField[]): PeerRefusedError {
  const what = fields.some(({ kind }) => kind === 'password' || kind === 'otp') ? 'the password' : 'the log-in';
  return new PeerRefusedError(`The gateway refused ${what}: ${sentence(oneLine(reason))}`, { code: 'ERR_LOGIN_REFUSED' });
}
