/**
 * A step of a log-in as a page, both ways: a form of HTML, or one that a script would make of JSON.
 *
 * Read first: spec "F5", sections 2.3, 2.4 and 2.6. Pages are for browsers: whatever cannot be read is left out.
 */
import type { AuthField, AuthForm } from '../../auth/form.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { type HtmlForm, parseHtmlPage } from '../../markup/html-form.ts';
import { escapedAttribute, escapedText } from '../../markup/xml.ts';
import { printable } from '../../wire/text.ts';

export interface LoginPage {
  readonly id: string;
  readonly title?: string;
  readonly message?: string;
  /** Where the form is posted to, as it is written; undefined: to where the page came from. */
  readonly action?: string;
  /** In the order in which they are sent. */
  readonly fields: readonly PageField[];
}

export type PageField =
  | { readonly kind: 'text' | 'password' | 'hidden'; readonly name: string; readonly value: string; readonly label?: string }
  | { readonly kind: 'choice'; readonly name: string; readonly choices: readonly PageChoice[] };

export interface PageChoice {
  readonly value: string;
  readonly label: string;
  readonly isSelected?: boolean;
}

/** The id that clients look for in the first form. */
export const FORM_ID = 'auth_form';
/** The choice that is the group of a user. */
export const DOMAIN_FIELD = 'domain';

const TITLE_CELL = 'credentials_table_header';
const MESSAGE_CELL = 'credentials_table_postheader';

/** Characters of a page, fields of a form (spec 9). */
const MAX_PAGE_LENGTH = 1024 * 1024;
const MAX_FIELDS = 64;
const MAX_TEXT_LENGTH = 2000;

/** Undefined: the page has no form. Throws {@link PeerMisbehavedError} for one that is too large, or not posted. */
export function parseLoginPage(html: string): LoginPage | undefined {
  const { form, cells } = parseHtmlPage(html, MAX_PAGE_LENGTH);
  if (form === undefined) return parseScriptedPage(html);
  if (form.method !== 'post')
    throw new PeerMisbehavedError(`The gateway's form is sent by ${printable(form.method).slice(0, 20)}, not by post.`);
  const title = shown(cells.get(TITLE_CELL));
  const message = shown(cells.get(MESSAGE_CELL));
  return {
    id: form.id ?? FORM_ID,
    ...(title !== undefined && { title }),
    ...(message !== undefined && { message }),
    ...(form.action !== undefined && form.action !== '' && { action: form.action }),
    fields: fieldsOf(form),
  };
}

/** Choices go first, as clients send them. Of fields with one name the first counts. */
function fieldsOf({ inputs, selects }: HtmlForm): PageField[] {
  const choices = selects.map(({ name, options }): PageField => {
    return { kind: 'choice', name, choices: options.map(({ value, text, isSelected }) => ({ value, label: text, isSelected })) };
  });
  const others = inputs.flatMap(({ type, name, value, isChecked }): PageField[] => {
    const kind = KINDS[type];
    if (kind === undefined || (type === 'checkbox' && !isChecked)) return [];
    return [{ kind, name, value }];
  });
  return unrepeated([...choices, ...others]);
}

const KINDS: Readonly<Record<string, 'text' | 'password' | 'hidden'>> = {
  text: 'text',
  username: 'text',
  email: 'text',
  password: 'password',
  hidden: 'hidden',
  checkbox: 'hidden',
};

function unrepeated(fields: readonly PageField[]): PageField[] {
  const named = fields.filter(({ name }, i) => name !== '' && fields.findIndex((other) => other.name === name) === i);
  if (named.length > MAX_FIELDS) throw new PeerMisbehavedError(`the gateway's form has more than ${MAX_FIELDS} fields`);
  return named;
}

/** Spec 2.6: newer pages hand their form to a script. */
function parseScriptedPage(html: string): LoginPage | undefined {
  const start = /appLoader\.configure\(\s*(?=\{)/.exec(html);
  if (start === null) return undefined;
  const text = html.slice(start.index + start[0].length);
  const end = /\n[ \t]*\}\);/.exec(text); // on one line: `\s` would look at a page of empty lines again for each of them
  const form = end === null ? undefined : record(record(record(parseJson(`${text.slice(0, end.index)}\n}`)).logon).form);
  const fields = form?.fields;
  if (form === undefined || !Array.isArray(fields)) return undefined;
  const title = shown(textIn(form.title));
  return {
    id: textIn(form.id) ?? FORM_ID,
    ...(title !== undefined && { title }),
    fields: unrepeated(fields.flatMap((field: unknown) => scriptedField(record(field)))),
  };
}

function scriptedField({ type, name, caption, value, disabled }: Readonly<Record<string, unknown>>): PageField[] {
  const kind = KINDS[textIn(type) ?? ''];
  if (kind === undefined || textIn(name) === undefined || disabled === true) return [];
  const label = shown(textIn(caption));
  return [{ kind, name: textIn(name) ?? '', value: textIn(value) ?? '', ...(label !== undefined && { label }) }];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // a page whose script is of another kind: it has no form for us
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}

function textIn(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function shown(text: string | undefined): string | undefined {
  const clean = printable(text ?? '')
    .replace(/\s+/g, ' ')
    .trim();
  return clean === '' ? undefined : clean.slice(0, MAX_TEXT_LENGTH);
}

/** Whether a page asks for the same again. */
export function isSamePage(a: LoginPage, b: LoginPage): boolean {
  const names = ({ fields }: LoginPage) => fields.map(({ name }) => name).join('\n');
  return a.id === b.id && names(a) === names(b);
}

/** What a person, or whoever answers, is asked. @param group the choice that was taken @param isFurther a name and a password were given before */
export function formOf(page: LoginPage, error: string | undefined, group: string | undefined, isFurther: boolean): AuthForm {
  const hasText = page.fields.some(({ kind }) => kind === 'text');
  return {
    id: page.id,
    ...(page.title !== undefined && { banner: page.title }),
    ...(error === undefined ? page.message !== undefined && { message: page.message } : { error }),
    fields: page.fields.map((field): AuthField => {
      const { name } = field;
      if (field.kind === 'choice') {
        const initial = group ?? field.choices.find(({ isSelected }) => isSelected)?.value;
        const choices = field.choices.map(({ value, label }) => ({ value, label: printable(label) }));
        const isGroup = name === DOMAIN_FIELD;
        return {
          kind: 'choice',
          name,
          label: labelOf(name),
          choices,
          ...(initial !== undefined && { initial }),
          ...(isGroup && { isGroup }),
        };
      }
      if (field.kind === 'hidden') return { kind: 'hidden', name, label: name, value: field.value };
      const label = field.label ?? labelOf(name);
      if (field.kind === 'password') return { kind: isFurther && !hasText ? 'otp' : 'password', name, label };
      return { kind: 'text', name, label, ...(field.value !== '' && { initial: field.value }) };
    }),
  };
}

function labelOf(name: string): string {
  return `${printable(name)}:`;
}

/** A page that all clients known can read (spec 2.7). */
export function renderLoginPage({ id, title = '', message = '', action = '', fields }: LoginPage): string {
  const cell = (cellId: string, text: string) => `<tr><td id="${cellId}">${escapedText(text)}</td></tr>`;
  return [
    `<html><body><form id="${escapedAttribute(id)}" name="e1" method="post" action="${escapedAttribute(action)}" autocomplete="off">`,
    `<table>${cell(TITLE_CELL, title)}`,
    `${cell(MESSAGE_CELL, message)}</table>`,
    ...fields.map(renderField),
    '<input type="submit" value="Logon"/>',
    '</form></body></html>',
    '',
  ].join('\n');
}

function renderField(field: PageField): string {
  const name = escapedAttribute(field.name);
  if (field.kind !== 'choice') {
    const value = field.value === '' ? '' : ` value="${escapedAttribute(field.value)}"`;
    return `<input type="${field.kind}" name="${name}"${value}/>`;
  }
  const options = field.choices.map(({ value, label, isSelected }) => {
    const selected = isSelected === true ? ' selected="selected"' : '';
    return `<option value="${escapedAttribute(value)}"${selected}>${escapedText(label)}</option>`;
  });
  return `<select name="${name}">${options.join('')}</select>`;
}
