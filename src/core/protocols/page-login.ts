/**
 * A gateway's side of log-ins by forms of HTML: what a client posts, checked, for back ends that ask for one thing after the other. What several vendors
 * have in common.
 *
 * Read first: spec "Fortinet", section 9; spec "F5", section 9.
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS, type LoginHints } from '../auth/dialogue.ts';
import type { AuthField, AuthForm, FormValues } from '../auth/form.ts';
import { PeerMisbehavedError } from '../errors.ts';
import { parseForm } from '../http/form-urlencoded.ts';
import { checkHttpLimit } from '../http/limits.ts';
import { type HttpHeaders, type HttpRequest, headerValue } from '../http/message.ts';
import type { Logger } from '../log.ts';
import { Secret } from '../secret.ts';
import { fromUtf8, utf8 } from '../wire/text.ts';
import type { ClientFacts } from './gateway-protocol.ts';

/** Of one form. */
const MAX_BODY_LENGTH = 16_384;
const MAX_FIELDS = 64;

/** Bytes of one value: longer ones are nobody's name, password or code, and what a worker hands on has limits of its own. */
const MAX_VALUE_BYTES = 4096;

/** Bytes of a group's name, as with AnyConnect. */
const MAX_GROUP_BYTES = 63;

/** Characters of the User-Agent that are kept. */
const MAX_USER_AGENT_LENGTH = 255;

export type LoginFields = ReadonlyMap<string, string>;

/** The first value of each name. Throws {@link PeerMisbehavedError} for a form that is too large, and for one that has any of `once` twice. */
export function parseLoginForm({ body }: Pick<HttpRequest, 'body'>, once: readonly string[]): LoginFields {
  checkHttpLimit(body.length, MAX_BODY_LENGTH, 'bytes of a form');
  const pairs = parseForm(fromUtf8(body));
  checkHttpLimit(pairs.length, MAX_FIELDS, 'form fields');
  for (const [, value] of pairs) checkHttpLimit(utf8(value).length, MAX_VALUE_BYTES, 'bytes of a value');
  const fields = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (!fields.has(name)) fields.set(name, value);
    else if (once.includes(name)) throw new PeerMisbehavedError('The log-in form has a field twice.');
  }
  return fields;
}

/** What a back end says in the end to a client that brings a name and a password, or more, at once, where it asks for one thing after the other. */
export async function answerInTurn(dialogue: AuthDialogue, first: AuthStep, given: readonly FormValues[]): Promise<AuthStep> {
  let step = first;
  for (const values of given) if (asksFor(step, values)) step = await dialogue.next(values);
  return step;
}

/** What clients bring at once, for {@link answerInTurn}. */
export function nameAndPassword(name: string = '', password: string = ''): readonly [name: FormValues, password: FormValues] {
  return [{ [LOGIN_FIELDS.username]: name }, { [LOGIN_FIELDS.password]: new Secret(password) }];
}

/** One answer to whatever was asked: a password, a code, or a word. */
export function replyOf(text: string): FormValues {
  const secret = new Secret(text);
  return { [LOGIN_FIELDS.password]: secret, [LOGIN_FIELDS.secondPassword]: secret };
}

/** What is asked in the middle of a log-in. Undefined: the client puts its own first question again, as a name or a password was wrong. */
export function questionIn({ fields, error }: AuthForm): AuthField | undefined {
  const [field, ...others] = fields.filter(({ kind }) => kind !== 'hidden');
  const isFirst = field === undefined || others.length > 0 || field.kind === 'choice' || field.name === LOGIN_FIELDS.username;
  return isFirst || error !== undefined ? undefined : field;
}

/** Tells the administrator how a log-in has ended; of a question it tells nothing. */
export function logOutcome(log: Logger, step: AuthStep): void {
  if (step.type === 'admitted') log.log('info', step.isPass === true ? 'pass given' : 'logged in', { user: step.user, group: step.group });
  else if (step.type === 'refused') log.log('info', 'log-in refused', { reason: step.message });
}

/** Whether a step asks for any of these values, and nothing was wrong with the one before. */
export function asksFor(step: AuthStep, values: FormValues): boolean {
  return step.type === 'ask' && step.form.error === undefined && step.form.fields.some(({ name }) => Object.hasOwn(values, name));
}

/** A group whose name is none is left out: nobody learns which groups there are. */
export function loginHints({ remote, local, host, certificateChain }: ClientFacts, headers: HttpHeaders, group = ''): LoginHints {
  const isName = group !== '' && utf8(group).length <= MAX_GROUP_BYTES;
  return {
    ...{ remote, local, userAgent: userAgentOf(headers) },
    ...(host !== undefined && { host }),
    ...(isName && { group }),
    ...(certificateChain !== undefined && { certificateChain }),
  };
}

export function userAgentOf(headers: HttpHeaders): string {
  return (headerValue(headers, 'User-Agent') ?? '').slice(0, MAX_USER_AGENT_LENGTH);
}
