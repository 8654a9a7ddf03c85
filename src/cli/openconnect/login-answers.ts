/** Who answers the forms of a log-in on the command line: options first, then the token, then the person (spec "CLI", section 6). */
import { type Answerer, formAnswerer, type Person } from '../../core/auth/answerers.ts';
import { loginAnswerers } from '../../core/auth/flag-answerers.ts';
import { type AuthForm, type FormAnswer, isShown } from '../../core/auth/form.ts';
import { tokenAnswerer } from '../../core/auth/token-answerer.ts';
import type { Logger } from '../../core/log.ts';
import { revealed, type Secret } from '../../core/secret.ts';
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
  const chosen = new ChosenGroup();
  const { user, authgroup, password, formEntries, passwordsAllowed } = login;
  const code = token === undefined || token.mode === 'oidc' ? undefined : codesOf(token, log);
  const answer = formAnswerer({
    answerers: [
      chosen.answerer,
      ...loginAnswerers(
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
    ],
    person: personAt(options, chosen),
    show: (form) => showForm(terminal, form, level),
    log,
  });
  return async (form) => {
    // Observed: refused before a user's name is sent.
    if (passwordsAllowed || !form.fields.some(({ kind }) => kind === 'text' || kind === 'password' || kind === 'otp')) return answer(form);
    log.log('error', 'passwords not allowed');
    return { type: 'cancel' };
  };
}

function codesOf({ secret, keep }: Exclude<LoadedToken, { readonly mode: 'oidc' }>, log: Logger): Answerer {
  return tokenAnswerer(secret, { now: () => Date.now(), persist: keep, log });
}

/** The group that a person took: another group has another form, in which it is not asked for again. */
class ChosenGroup {
  #value: string | undefined;

  take(value: string): void {
    this.#value = value;
  }

  readonly answerer: Answerer = (_form, field) => {
    const isOffered = field.kind === 'choice' && field.isGroup === true && field.choices.some(({ value }) => value === this.#value);
    return isOffered ? this.#value : undefined;
  };
}

/** Asks for one field after the other. A group is asked first; another group has another form. */
function personAt({ terminal, signal }: LoginAnswersOptions, chosen: ChosenGroup): Person {
  return async (form) => {
    const values: Record<string, string | Secret> = Object.create(null);
    for (const field of form.fields) {
      if (field.kind === 'hidden' || !isShown(field, (name) => taken(values, name))) continue;
      const value = await askPerson(terminal, field, { signal });
      if (value === undefined) continue;
      if (field.kind === 'choice' && field.isGroup === true) {
        const group = revealed(value);
        chosen.take(group);
        if (group !== (field.initial ?? field.choices[0]?.value)) return { type: 'change-group', group };
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
