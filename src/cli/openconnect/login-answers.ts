/** Who answers the forms of a log-in on the command line: options first, then the token, then the person (spec "CLI", section 6). */
import { formAnswerer, type Person } from '../../core/auth/answerers.ts';
import { loginAnswerers } from '../../core/auth/flag-answerers.ts';
import { type AuthForm, type FormAnswer, isShown } from '../../core/auth/form.ts';
import { tokenAnswerer } from '../../core/auth/token-answerer.ts';
import { parseTokenSecret } from '../../core/auth/token-secret.ts';
import type { Logger } from '../../core/log.ts';
import type { Secret } from '../../core/secret.ts';
import { askPerson, showForm } from './ask-person.ts';
import type { LoginSettings, MessageLevel } from './settings.ts';
import type { Terminal } from './terminal.ts';
import type { LoadedToken } from './token-file.ts';

export interface LoginAnswersOptions {
  readonly login: LoginSettings;
  readonly token: LoadedToken | undefined;
  readonly terminal: Terminal;
  readonly level: MessageLevel;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** What `LoginIo.ask` is: one for each log-in. */
export function loginAnswers(options: LoginAnswersOptions): (form: AuthForm) => Promise<FormAnswer> {
  const { login, token, terminal, level, log } = options;
  const { user, authgroup, password, formEntries, passwordsAllowed } = login;
  const code = token === undefined || token.mode === 'oidc' ? undefined : codesOf(token, token.mode, log);
  const answer = formAnswerer({
    answerers: loginAnswerers(
      {
        ...(user !== undefined && { user }),
        ...(authgroup !== undefined && { group: authgroup }),
        ...(password !== undefined && { password }),
        // The last one for a field counts; here the last one given comes first.
        formEntries: formEntries.toReversed(),
        ...(code !== undefined && { token: code }),
      },
      log,
    ),
    person: personAt(options),
    show: (form) => showForm(terminal, form, level),
    log,
  });
  return async (form) => {
    if (passwordsAllowed || !form.fields.some((field) => field.kind === 'password' || field.kind === 'otp')) return answer(form);
    log.log('error', 'passwords not allowed');
    return { type: 'cancel' };
  };
}

function codesOf(token: LoadedToken, mode: 'totp' | 'hotp', log: Logger): ReturnType<typeof tokenAnswerer> {
  return tokenAnswerer(parseTokenSecret(mode, token.secret), { now: () => Date.now(), persist: (secret) => token.keep(secret), log });
}

/** Asks for one field after the other. A group is asked first; another group has another form. */
function personAt({ terminal, signal }: LoginAnswersOptions): Person {
  return async (form) => {
    const values: Record<string, string | Secret> = Object.create(null);
    for (const field of form.fields) {
      if (field.kind === 'hidden' || !isShown(field, (name) => taken(values, name))) continue;
      const value = await askPerson(terminal, field, { signal });
      if (field.kind === 'choice' && field.isGroup === true && value !== (field.initial ?? field.choices[0]?.value)) {
        return { type: 'change-group', group: String(value) };
      }
      values[field.name] = value;
    }
    return { type: 'submit', values };
  };
}

function taken(values: Readonly<Record<string, string | Secret>>, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}
