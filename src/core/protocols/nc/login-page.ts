/**
 * A step of a log-in as a page, both ways: a form that is known by its name, or roles to choose from.
 *
 * Read first: spec "Juniper NC", sections 3.3 to 3.5. Pages are for browsers: whatever cannot be read is left out.
 */
import type { AuthField, AuthForm } from '../../auth/form.ts';
import { PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { type HtmlForm, type HtmlInput, parseHtmlPage } from '../../markup/html-form.ts';
import { escapedAttribute, escapedText } from '../../markup/xml.ts';
import { printable } from '../../wire/text.ts';

export type LoginPage = FormPage | RolePage;

export interface FormPage {
  readonly kind: 'form';
  /** The name that the form is known by, or its id. */
  readonly id: string;
  /** A sign-in notification. */
  readonly message?: string;
  /** Where the form is posted to, as it is written; undefined: to where the page came from. */
  readonly action?: string;
  /** In the order in which they are sent. */
  readonly fields: readonly PageField[];
}

export interface RolePage {
  readonly kind: 'roles';
  readonly roles: readonly Role[];
}

export interface Role {
  readonly name: string;
  readonly href: string;
}

export type PageField =
  | { readonly kind: 'text' | 'password' | 'otp' | 'hidden'; readonly name: string; readonly value: string }
  | { readonly kind: 'choice'; readonly name: string; readonly choices: readonly PageChoice[] };

export interface PageChoice {
  readonly value: string;
  readonly label: string;
  readonly isSelected?: boolean;
}

export const LOGIN_FORM = 'frmLogin';
export const CODE_FORM = 'frmDefender';
const ROLE_FORM = 'frmSelectRoles';
const ROLE_TABLE = 'TABLE_SelectRole_1';

/** The choice that is the group of a user. */
export const REALM_FIELD = 'realm';

/** Forms that are known, with the button that is sent (spec 3.3). By name, but for two that are known by their id. */
const FORMS: Readonly<Record<string, { readonly button?: string; readonly hasCodes?: boolean }>> = {
  [LOGIN_FORM]: { button: 'btnSubmit' },
  loginForm: { button: 'submitButton' },
  [CODE_FORM]: { button: 'btnAction', hasCodes: true },
  frmNextToken: { button: 'btnAction', hasCodes: true },
  frmTotpToken: { button: 'totpactionEnter', hasCodes: true },
  frmConfirmation: { button: 'btnContinue' },
  hiddenform: { button: 'submit' },
  formSAMLSSO: { button: 'submit' },
};
const FORMS_BY_ID: readonly string[] = ['loginForm', 'formSAMLSSO'];

/** Buttons that are sent whatever the form. */
const ANY_BUTTONS: readonly string[] = ['sn-preauth-proceed', 'sn-postauth-proceed', 'secidactionEnter'];
const NOTICES: readonly string[] = ['sn-preauth-text', 'sn-postauth-text'];

/** Text fields that are one-time codes, in the form that ADFS makes. */
const CODE_FIELD = 'VerificationCode';

/** Characters of a page, fields of a form (spec 12). */
const MAX_PAGE_LENGTH = 1024 * 1024;
const MAX_FIELDS = 64;
const MAX_TEXT_LENGTH = 4000;

/** Undefined: the page has no form. Throws {@link PeerMisbehavedError} for one that is too large, unknown, or not posted; {@link PeerRefusedError} where
 * a host check has failed. */
export function parseLoginPage(html: string): LoginPage | undefined {
  const { form, links, texts } = parseHtmlPage(html, MAX_PAGE_LENGTH);
  if (form === undefined) return undefined;
  if (form.name === ROLE_FORM) {
    const roles = links.filter(({ table, text }) => table === ROLE_TABLE && text !== '');
    if (roles.length === 0) throw new PeerMisbehavedError('The gateway offers no role to choose.');
    return { kind: 'roles', roles: roles.map(({ text, href }) => ({ name: shown(text), href })) };
  }
  const id = knownId(form);
  if (form.method !== 'post') {
    throw new PeerMisbehavedError(`The gateway's form is sent by ${printable(form.method).slice(0, 20)}, not by post.`);
  }
  const message = shown(NOTICES.map((name) => texts.get(name) ?? '').join('\n'));
  return {
    ...{ kind: 'form', id },
    ...(message !== '' && { message }),
    ...(form.action !== undefined && form.action !== '' && { action: form.action }),
    fields: fieldsOf(form, id),
  };
}

function knownId({ name, id, action = '' }: HtmlForm): string {
  if (name !== undefined && Object.hasOwn(FORMS, name) && !FORMS_BY_ID.includes(name)) return name;
  if (id !== undefined && FORMS_BY_ID.includes(id)) return id;
  if (action.includes('remediate.cgi')) throw new PeerRefusedError('The gateway’s check of this machine has failed.');
  const words = shown(name ?? id ?? '').slice(0, 40);
  throw new PeerMisbehavedError(words === '' ? 'The gateway’s form has no name.' : `The gateway shows a form that is not known: ${words}.`);
}

/** Choices go first, as clients send them; of fields with one name the first counts. */
function fieldsOf({ inputs, selects }: HtmlForm, id: string): PageField[] {
  const { button, hasCodes } = FORMS[id] ?? {};
  const choices = selects.map(({ name, options }): PageField => {
    return { kind: 'choice', name, choices: options.map(({ value, text, isSelected }) => ({ value, label: text, isSelected })) };
  });
  let passwords = 0;
  const kindOf = ({ type, name }: HtmlInput): 'text' | 'password' | 'otp' | 'hidden' | undefined => {
    switch (type) {
      case 'hidden':
      case 'checkbox': // Always as if it were checked.
        return 'hidden';
      case 'submit':
        return name === button || ANY_BUTTONS.includes(name) ? 'hidden' : undefined;
      case 'text':
      case 'username':
      case 'email':
        return name === CODE_FIELD ? 'otp' : 'text';
      case 'password':
        passwords++;
        return hasCodes === true || passwords > 1 ? 'otp' : 'password';
      default:
        return undefined;
    }
  };
  const others = inputs.flatMap((input): PageField[] => {
    const kind = kindOf(input);
    return kind === undefined ? [] : [{ kind, name: input.name, value: input.value }];
  });
  const first = ({ name }: PageField, i: number, all: readonly PageField[]) => all.findIndex((other) => other.name === name) === i;
  const named = [...choices.filter(first).reverse(), ...others].filter(({ name }) => name !== '').filter(first);
  if (named.length > MAX_FIELDS) throw new PeerMisbehavedError(`the gateway's form has more than ${MAX_FIELDS} fields`);
  return named;
}

/** One code may follow another in it: a new one that is to be chosen, and the one after that. */
export function isForCodes({ id }: FormPage): boolean {
  return FORMS[id]?.hasCodes === true;
}

function shown(text: string): string {
  return printable(text)
    .replace(/[ \t]+/g, ' ')
    .trim()
    .slice(0, MAX_TEXT_LENGTH);
}

/** What a person, or whoever answers, is asked. @param realm the choice that was taken */
export function formOf({ id, message, fields }: FormPage, error: string | undefined, realm: string | undefined): AuthForm {
  return {
    id,
    ...(message !== undefined && { message }),
    ...(error !== undefined && { error }),
    fields: fields.map((field): AuthField => {
      const { name } = field;
      const label = `${printable(name)}:`;
      if (field.kind === 'choice') {
        const wanted = field.choices.find(({ value, label: text }) => value === realm || text === realm);
        const initial = (wanted ?? field.choices.find(({ isSelected }) => isSelected))?.value;
        const choices = field.choices.map(({ value, label: text }) => ({ value, label: printable(text) }));
        return { kind: 'choice', name, label, choices, ...(initial !== undefined && { initial }), isGroup: name === REALM_FIELD };
      }
      if (field.kind === 'hidden') return { kind: 'hidden', name, label: name, value: field.value };
      if (field.kind !== 'text' || field.value === '') return { kind: field.kind, name, label };
      return { kind: 'text', name, label, initial: field.value };
    }),
  };
}

/** The name of the one field of {@link roleForm}. */
export const ROLE_FIELD = 'role';

/** @param wanted as {@link formOf}'s `realm`: the same answer serves for both (spec 3.5) */
export function roleForm({ roles }: RolePage, wanted: string | undefined): AuthForm {
  const choices = roles.map(({ name }, i) => ({ value: String(i), label: name }));
  const initial = choices.find(({ label }) => label === wanted)?.value;
  return {
    id: ROLE_FORM,
    fields: [{ kind: 'choice', name: ROLE_FIELD, label: 'role:', choices, isGroup: true, ...(initial !== undefined && { initial }) }],
  };
}

/** A page that all clients known can read. Its button is the form's own. */
export function renderLoginPage({ id, message = '', action = '', fields }: FormPage): string {
  const button = FORMS[id]?.button ?? '';
  return [
    '<html><body>',
    ...(message === '' ? [] : [`<p>${escapedText(message)}</p>`]),
    `<form name="${escapedAttribute(id)}" action="${escapedAttribute(action)}" method="POST" autocomplete="off">`,
    ...(message === '' ? [] : [`<textarea name="${NOTICES[0]}" readonly="readonly">${escapedText(message)}</textarea>`]),
    ...fields.map(renderField),
    `<input type="submit" name="${escapedAttribute(button)}" value="Sign In"/>`,
    '</form></body></html>',
    '',
  ].join('\n');
}

function renderField(field: PageField): string {
  const name = escapedAttribute(field.name);
  if (field.kind !== 'choice') {
    const type = field.kind === 'otp' ? 'password' : field.kind;
    return `<input type="${type}" name="${name}" value="${escapedAttribute(field.value)}"/>`;
  }
  const options = field.choices.map(({ value, label, isSelected }) => {
    const selected = isSelected === true ? ' selected="selected"' : '';
    return `<option value="${escapedAttribute(value)}"${selected}>${escapedText(label)}</option>`;
  });
  return `<select name="${name}">${options.join('')}</select>`;
}
