/**
 * Answers that were given beforehand, on the command line or by a program, and what is kept from being sent again.
 *
 * Read first: answerers.ts; spec "Client command line", sections 3.1, 3.2 and 6.
 */
import { MisuseError } from '../errors.ts';
import type { Logger } from '../log.ts';
import { Secret } from '../secret.ts';
import { printable } from '../wire/text.ts';
import type { Answer, Answerer } from './answerers.ts';
import { matchChoice } from './choices.ts';
import type { AskedField, AuthForm, ChoiceField } from './form.ts';

/** `--form-entry`: the answer to the field `field` of the forms with this id. */
export interface FormEntry {
  readonly form: string;
  readonly field: string;
  readonly value: Secret;
}

/** Reads `FORM:FIELD=VALUE`. Throws {@link MisuseError}, which does not show it: the value may be a password. */
export function parseFormEntry(text: string): FormEntry {
  const match = /^([^:]*):([^=]*)=(.*)$/s.exec(text);
  if (match === null) throw new MisuseError('a form entry is written FORM_ID:FIELD_NAME=VALUE');
  const [, form = '', field = '', value = ''] = match;
  return { form, field, value: new Secret(value) };
}

export interface LoginAnswers {
  /** Fills every text field whose name begins with `user` or `uname`. */
  readonly user?: string;
  /** Takes the group with this label, or the only one whose label begins so; where groups are written, writes it. */
  readonly group?: string;
  /** Fills the first password field, once. */
  readonly password?: Secret;
  /** The last one for a field counts. A password among them is sent once: then the gateway has refused it, or asks for another. */
  readonly formEntries?: readonly FormEntry[];
  /** Makes one-time codes (token-answerer.ts). */
  readonly token?: Answerer;
  /** Answers from a store, by form and field; a secret is sent once, as above. Choices are stored by their value. */
  readonly saved?: (form: string, field: string) => Promise<string | Secret | undefined>;
}

/** The answerers for all of these, in the order in which they are asked. A field for a code gets no password, so the token comes before. */
export function loginAnswerers(answers: LoginAnswers, log: Logger): Answerer[] {
  const { user, group, token, password, formEntries, saved } = answers;
  return [
    ...(user === undefined ? [] : [userAnswerer(user)]),
    ...(group === undefined ? [] : [groupAnswerer(group, log)]),
    ...(token === undefined ? [] : [token]),
    ...(password === undefined ? [] : [passwordAnswerer(password)]),
    ...(formEntries === undefined ? [] : [secretsOnce(formEntryAnswerer(formEntries, log))]),
    ...(saved === undefined ? [] : [secretsOnce((form, field) => saved(form.id, field.name))]),
  ];
}

function userAnswerer(user: string): Answerer {
  return (_, field) => (field.kind === 'text' && /^(?:user|uname)/i.test(field.name) ? user : undefined);
}

function groupAnswerer(group: string, log: Logger): Answerer {
  return (_, field) => {
    if (field.isGroup !== true) return undefined;
    return field.kind === 'choice' ? choiceFor(field, group, log) : group;
  };
}

function passwordAnswerer(password: Secret): Answerer {
  let isUsed = false;
  /** Where it was offered last: a second field of the same form gets nothing. */
  let offer: { readonly form: AuthForm; readonly field: AskedField } | undefined;
  return (form, field) => {
    const isTaken = isUsed || (offer?.form === form && offer.field !== field);
    if (isTaken || !isSecret(field)) return undefined;
    offer = { form, field };
    return () => {
      isUsed = true;
      return password;
    };
  };
}

function formEntryAnswerer(entries: readonly FormEntry[], log: Logger): Answerer {
  return (form, field) => {
    const value = entries.findLast((entry) => entry.form === form.id && entry.field === field.name)?.value;
    return value === undefined || field.kind !== 'choice' ? value : choiceFor(field, value.reveal(), log);
  };
}

/** Keeps an answerer from sending a secret again to a field that has had one: it was refused, and a third time may lock the account. */
function secretsOnce(answerer: Answerer): Answerer {
  const sent = new Set<string>();
  return async (form, field) => {
    if (!isSecret(field)) return answerer(form, field);
    const key = JSON.stringify([form.id, field.name]);
    if (sent.has(key)) return undefined;
    const answer: Answer | undefined = await answerer(form, field);
    if (answer === undefined) return undefined;
    return () => {
      sent.add(key);
      return typeof answer === 'function' ? answer() : answer;
    };
  };
}

function isSecret(field: AskedField): boolean {
  return field.kind === 'password' || field.kind === 'otp';
}

/** The value of the choice that `text` means; undefined, and said in the log, if that is none or several. */
function choiceFor(field: ChoiceField, text: string, log: Logger): string | undefined {
  const match = matchChoice(field.choices, text);
  if (match.type === 'found') return match.choice.value;
  const event = match.type === 'several' ? 'choice matches several' : 'choice not available';
  log.log('error', event, { field: printable(field.label), choice: text });
  return undefined;
}
