/**
 * What a client says in the body of a log-in request, as a document or as a form: the group and the answers, whatever they are wrapped in.
 *
 * Read first: spec "AnyConnect", sections 3.1, 3.4, 3.6, 3.7 and 3.10. Nothing throws: what cannot be understood says nothing.
 */
import { LOGIN_FIELDS } from '../../auth/dialogue.ts';
import { SallyportError } from '../../errors.ts';
import { parseForm } from '../../http/form-urlencoded.ts';
import { Secret } from '../../secret.ts';
import { fromUtf8, utf8 } from '../../wire/text.ts';
import { parseClientDocument } from './client-document.ts';

export interface LoginWords {
  /** `init`: wants a form. `auth-reply`: answers one. `logout`: wants its session ended. */
  readonly type: 'init' | 'auth-reply' | 'logout';
  /** By value or by label. */
  readonly group?: string;
  /** The answers by the names of their fields, the group among them. */
  readonly values: Readonly<Record<string, string | Secret>>;
  /** logout: what the session is known by, where it is not in a cookie. */
  readonly sessionToken?: Secret;
}

/** Bytes of a user's or group's name (spec 12.2), and of everything else that people type. */
const MAX_NAME_BYTES = 63;
const MAX_VALUE_BYTES = 4096;

/** Characters of a field's name: those that gateways ask for have fewer than half. */
const MAX_FIELD_NAME = 64;

/** Answers that one request has. */
const MAX_ANSWERS = 32;

const NOTHING: LoginWords = { type: 'init', values: {} };

/** Undefined: a name or an answer is longer than any can be. */
export function parseLoginWords(body: Uint8Array): LoginWords | undefined {
  const text = fromUtf8(body);
  // ocserv's test: documents may have anything in front.
  const start = text.indexOf('<?xml');
  try {
    return start < 0 ? formWords(text) : documentWords(text.slice(start));
  } catch (error) {
    if (error instanceof SallyportError) return NOTHING;
    throw error;
  }
}

function documentWords(text: string): LoginWords | undefined {
  const { type, group, fields = [], sessionToken } = parseClientDocument(text);
  return words(type, fields, group, sessionToken);
}

/** A form without fields is the first request of a client that speaks no XML. */
function formWords(text: string): LoginWords | undefined {
  const fields = parseForm(text);
  return words(fields.length === 0 ? 'init' : 'auth-reply', fields, undefined);
}

type Fields = readonly (readonly [name: string, value: string | Secret])[];

function words(type: LoginWords['type'], fields: Fields, documentGroup: string | undefined, sessionToken?: Secret): LoginWords | undefined {
  if (fields.length > MAX_ANSWERS) return undefined;
  const answers = fields.map(([name, value]) => [name, typeof value === 'string' ? new Secret(value) : value] as const);
  const answerTo = (wanted: string) => answers.find(([name]) => name === wanted)?.[1];
  const chosen = documentGroup ?? answerTo(LOGIN_FIELDS.group)?.reveal() ?? answerTo('group-select')?.reveal();
  const group = chosen === '' ? undefined : chosen;
  const username = answerTo(LOGIN_FIELDS.username)?.reveal();
  const isTooLong = (value: string | undefined, limit: number) => value !== undefined && utf8(value).length > limit;
  if (isTooLong(group, MAX_NAME_BYTES) || isTooLong(username, MAX_NAME_BYTES)) return undefined;
  if (answers.some(([name, value]) => name.length > MAX_FIELD_NAME || isTooLong(value.reveal(), MAX_VALUE_BYTES))) return undefined;
  if (isTooLong(sessionToken?.reveal(), MAX_VALUE_BYTES)) return undefined;
  return {
    type,
    ...(group !== undefined && { group }),
    values: {
      ...passwords(answers),
      ...Object.fromEntries(answers),
      ...(username !== undefined && { [LOGIN_FIELDS.username]: username }),
      ...(group !== undefined && { [LOGIN_FIELDS.group]: group }),
    },
    ...(sessionToken !== undefined && { sessionToken }),
  };
}

/** Spec 3.10: clients call the one secret that they have been asked for what they like. */
function passwords(answers: readonly (readonly [string, Secret])[]): Record<string, Secret> {
  const first = answers.find(([name]) => /password/i.test(name))?.[1];
  return first === undefined ? {} : { [LOGIN_FIELDS.password]: first, [LOGIN_FIELDS.secondPassword]: first };
}
