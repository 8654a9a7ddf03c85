/**
 * A gateway's side of log-ins by forms of HTML: what a client posts, checked, for back ends that ask for one thing after the other. What two vendors have
 * in common.
 *
 * Read first: spec "Fortinet", section 9; spec "F5", section 9.
 */
import type { AuthStep, LoginHints } from '../auth/dialogue.ts';
import type { FormValues } from '../auth/form.ts';
import { PeerMisbehavedError } from '../errors.ts';
import { parseForm } from '../http/form-urlencoded.ts';
import { checkHttpLimit } from '../http/limits.ts';
import { type HttpHeaders, type HttpRequest, headerValue } from '../http/message.ts';
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
