/**
 * The second factor as an HTML page with status 401: a form with hidden fields, a password field, and the prompt in bold.
 *
 * Read first: spec "Fortinet", section 2.5, with the limits of openfortivpn, within which a gateway keeps.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { parseHtmlPage } from '../../markup/html-form.ts';
import { escapedAttribute, escapedText } from '../../markup/xml.ts';
import { printable } from '../../wire/text.ts';

export interface ChallengePage {
  /** What a person is asked. */
  readonly message?: string;
  /** All that is sent, in the order of the document. */
  readonly fields: readonly ChallengeField[];
}

export interface ChallengeField {
  readonly kind: 'hidden' | 'text' | 'password';
  readonly name: string;
  /** What is sent of a hidden field. */
  readonly value: string;
}

const LOGIN_CHECK = '/remote/logincheck';
const MAX_PROMPT_LENGTH = 1000;

const VISIBLE: Readonly<Record<string, ChallengeField['kind']>> = {
  password: 'password',
  text: 'text',
  username: 'text',
  email: 'text',
};

/** Throws {@link PeerMisbehavedError} if the page has no form that can be answered. */
export function parseChallengePage(html: string): ChallengePage {
  const { form, bold } = parseHtmlPage(html);
  if (form === undefined) throw new PeerMisbehavedError('The gateway asks for more with a page that has no form.');
  if (form.method !== 'post')
    throw new PeerMisbehavedError(`The gateway's form wants to be sent by ${printable(form.method)}, not by post.`);
  const fields = new Map<string, ChallengeField>();
  for (const { type, name, value, style } of form.inputs) {
    const isHidden = type === 'hidden' || type === 'checkbox' || style === 'display: none;';
    const kind = isHidden ? 'hidden' : VISIBLE[type];
    if (kind !== undefined && name !== '' && !fields.has(name)) fields.set(name, { kind, name, value });
  }
  const message = printable(bold ?? '').slice(0, MAX_PROMPT_LENGTH);
  return { ...(message !== '' && { message }), fields: [...fields.values()] };
}

export function renderChallengePage({ message = '', fields }: ChallengePage): string {
  const inputs = fields.map(({ kind, name, value }) => {
    const shown = kind === 'hidden' ? ` value="${escapedAttribute(value)}"` : ' autocomplete="off"';
    return `<input type="${kind}" name="${escapedAttribute(name)}"${shown}>`;
  });
  return [
    '<html><head><title>login</title></head><body>',
    `<form action="${LOGIN_CHECK}" method="post">`,
    `<b>${escapedText(message)}</b>`,
    ...inputs,
    '<input type="submit" value="Login">',
    '</form></body></html>',
    '',
  ].join('\n');
}
