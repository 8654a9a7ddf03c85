/**
 * The answer to a log-in: the session in a document of Java Web Start, by position, or a further question in one of two syntaxes. Both ways.
 *
 * Read first: spec "GlobalProtect", sections 6.1 and 7.
 */
import { PeerMisbehavedError, UnsupportedError } from '../../errors.ts';
import { encodeFormText, percentDecode } from '../../http/form-urlencoded.ts';
import { child, childrenNamed, parseXml, renderXml, textOf, type XmlElement, type XmlLimits, xmlElement } from '../../markup/xml.ts';
import { toXmlText } from '../../markup/xml-names.ts';
import type { Secret } from '../../secret.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import { CLIENT_VERSION } from './paths.ts';
import { childText, XML_LIMITS } from './prelogin.ts';
import type { CookieField } from './session-cookie.ts';

export interface Challenge {
  readonly prompt: string;
  /** What the answer is sent with. */
  readonly state: string;
}

export type LoginAnswer =
  | { readonly type: 'challenge'; readonly challenge: Challenge }
  | { readonly type: 'refused'; readonly message: string }
  /** All but the computer's name. */
  | { readonly type: 'in'; readonly fields: ReadonlyMap<CookieField, string> }
  /** A document with another root: a portal's. */
  | { readonly type: 'document'; readonly root: XmlElement };

/** Where the arguments stand that are used again. */
const POSITIONS: readonly (readonly [CookieField, number])[] = [
  ['authcookie', 1],
  ['portal', 3],
  ['user', 4],
  ['domain', 7],
  ['preferred-ip', 15],
  ['preferred-ipv6', 18],
];
const CONNECTION_TYPE = 12;
const GENERATION = 14;
const ARGUMENTS = 19;
const MAX_ARGUMENTS = 64;
const MAX_STATE = 1024;
const MAX_PROMPT = 400;

/** Spec 7: three lines, of either line end. */
const SCRIPT =
  /^\s*var respStatus = "(Challenge|Error)[^"\n]*";\r?\nvar respMsg = "([^\n]*?)";\r?\nthisForm\.inputStr\.value = "([^\n]*?)";\s*$/;

/** Throws {@link PeerMisbehavedError} for what is no answer, and {@link UnsupportedError} for a session without a tunnel. */
export function parseLoginAnswer(body: Uint8Array | string, limits: Partial<XmlLimits> = XML_LIMITS): LoginAnswer {
  const text = typeof body === 'string' ? body : fromUtf8(body.subarray(0, limits.length));
  const script = SCRIPT.exec(text);
  if (script !== null) {
    const [, status, message = '', state = ''] = script;
    return status === 'Error' ? { type: 'refused', message: promptOf(message) } : challengeOf(message, state);
  }
  const root = parseXml(text, limits);
  switch (root.name) {
    case 'challenge':
      return challengeOf(childText(root, 'respmsg') ?? '', textOf(child(root, 'inputstr') ?? xmlElement('inputstr')).trim());
    case 'jnlp':
      return { type: 'in', fields: fieldsOf(root) };
    case 'response':
      return { type: 'refused', message: childText(root, 'error') ?? 'The gateway gives no reason.' };
    default:
      return { type: 'document', root };
  }
}

function fieldsOf(root: XmlElement): ReadonlyMap<CookieField, string> {
  const application = child(root, 'application-desc');
  const values = application === undefined ? [] : childrenNamed(application, 'argument').slice(0, MAX_ARGUMENTS).map(textOf);
  const at = (position: number) => {
    const value = values[position]?.trim();
    return value === undefined || value === '' || value === '(null)' || value === '-1' ? undefined : value;
  };
  if (at(CONNECTION_TYPE) !== 'tunnel') throw new UnsupportedError('The gateway gives this session no tunnel: it may be an internal one.');
  if (at(GENERATION) !== CLIENT_VERSION) throw new PeerMisbehavedError('The gateway speaks another generation of GlobalProtect.');
  const fields = new Map<CookieField, string>();
  for (const [name, position] of POSITIONS) {
    const value = at(position);
    // Escaped once too often, and only the plain form logs out.
    if (value !== undefined) fields.set(name, percentDecode(value));
  }
  if (!fields.has('authcookie') || !fields.has('user')) throw new PeerMisbehavedError('The gateway ended the log-in without a cookie.');
  return fields;
}

function challengeOf(prompt: string, state: string): LoginAnswer {
  if (state.length > MAX_STATE) throw new PeerMisbehavedError('The state of the gateway’s question is too long.');
  return { type: 'challenge', challenge: { prompt: promptOf(prompt), state } };
}

function promptOf(text: string): string {
  return printable(text).trim().slice(0, MAX_PROMPT);
}

export interface Admission {
  readonly authcookie: Secret;
  readonly user: string;
}

/** The name of our gateway's one configuration, and of no domain, as appliances write them. */
export const PORTAL_NAME = 'sallyport';
export const NO_DOMAIN = '(empty_domain)';

export function renderAdmission({ authcookie, user }: Admission): string {
  const values = Array<string>(ARGUMENTS).fill('');
  const set = (position: number, value: string) => {
    values[position] = value;
  };
  set(0, '(null)');
  set(1, authcookie.reveal());
  set(2, '0'.repeat(40));
  set(3, PORTAL_NAME);
  set(4, encodeFormText(user));
  set(5, 'gateway');
  set(6, 'vsys1');
  set(7, encodeFormText(NO_DOMAIN));
  set(CONNECTION_TYPE, 'tunnel');
  set(13, '-1');
  set(GENERATION, CLIENT_VERSION);
  const application = xmlElement(
    'application-desc',
    {},
    values.map((value) => xmlElement('argument', {}, [value])),
  );
  return `<?xml version="1.0" encoding="utf-8"?>\n${renderXml(xmlElement('jnlp', {}, [application]))}\n`;
}

/** What would end a line or a string of the script. */
const UNSAFE = /["\r\n]+/g;

/** The older of the two syntaxes; clients want these line ends, and no others. */
export function renderChallengeScript({ prompt, state }: Challenge): string {
  const safe = (text: string) => text.replace(UNSAFE, ' ');
  return `var respStatus = "Challenge";\nvar respMsg = "${safe(prompt)}";\nthisForm.inputStr.value = "${safe(state)}";\n`;
}

export function renderChallenge({ prompt, state }: Challenge, user: string): string {
  const text = (name: string, value: string) => xmlElement(name, {}, [toXmlText(value)]);
  return renderXml(xmlElement('challenge', {}, [text('user', user), text('inputstr', state), text('respmsg', prompt)]));
}
