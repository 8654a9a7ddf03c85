/** Answers the forms of a log-in from {@link LoginOptions}: what was given beforehand, codes, then whoever is asked. */
import { formAnswerer } from '../core/auth/answerers.ts';
import { loginAnswerers } from '../core/auth/flag-answerers.ts';
import type { AuthForm, FormAnswer } from '../core/auth/form.ts';
import { tokenAnswerer } from '../core/auth/token-answerer.ts';
import { parseTokenSecret } from '../core/auth/token-secret.ts';
import type { Logger } from '../core/log.ts';
import { checkedOnForm } from './called-back.ts';
import { secretOf } from './client-settings.ts';
import type { LoginOptions } from './connect-options.ts';

/** What one log-in hands its forms to. `onUser`: told who logs in, when that has been answered. */
export function formAnswers(options: LoginOptions, log: Logger, onUser: (user: string) => void): (form: AuthForm) => Promise<FormAnswer> {
  const { user, group, password, token, formEntries, onForm } = options;
  const answer = formAnswerer({
    answerers: loginAnswerers(
      {
        ...(user !== undefined && { user }),
        ...(group !== undefined && { group }),
        ...(password !== undefined && { password: secretOf(password) }),
        ...(formEntries !== undefined && { formEntries: formEntries.map((entry) => ({ ...entry, value: secretOf(entry.value) })) }),
        ...(token !== undefined && {
          token: tokenAnswerer(parseTokenSecret(token.mode, secretOf(token.secret)), {
            now: () => Date.now(),
            ...(token.keep !== undefined && { persist: token.keep }),
            log,
          }),
        }),
      },
      log,
    ),
    ...(onForm !== undefined && { person: checkedOnForm(onForm) }),
    log,
  });
  return async (form) => {
    const given = await answer(form);
    const name = given.type === 'submit' ? userIn(form, given.values) : undefined;
    if (name !== undefined) onUser(name);
    return given;
  };
}

/** Gateways name the field for the user `username` or so (spec "Client command line", section 3.1, `--user`). */
function userIn(form: AuthForm, values: Readonly<Record<string, unknown>>): string | undefined {
  const field = form.fields.find(({ kind, name }) => kind === 'text' && /^(?:user|uname)/i.test(name));
  const value = field === undefined ? undefined : values[field.name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
