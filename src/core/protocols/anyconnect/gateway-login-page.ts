/**
 * The documents of a log-in as ocserv lays them out, line by line: questions and the welcome. `gateway-document.ts` reads them.
 *
 * Read first: spec "AnyConnect", sections 3.3, 3.5, 3.7 and 3.10. Unlike ocserv's, what people have written is escaped.
 */
import type { AuthField, AuthForm, ChoiceField } from '../../auth/form.ts';
import { escapedAttribute, escapedText } from '../../markup/xml.ts';
import type { ProfileReference } from './gateway-document.ts';

/** `bare`: without the envelope, for openconnect of before version 4. */
export type Dialect = 'envelope' | 'bare';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';
const VERSION = '<version who="sg">0.1(1)</version>';

/** Where all answers go. */
const ACTION = '/auth';

export function renderQuestion(form: AuthForm, dialect: Dialect): string {
  const section = [
    `<auth id="${dialect === 'bare' ? bareId(form) : 'main'}">`,
    texts(form),
    `<form method="post" action="${ACTION}">`,
    ...inputsFirst(form.fields).map(renderField),
    '</form></auth>',
  ].filter((line) => line !== '');
  return dialect === 'bare' ? `${[DECLARATION, ...section].join('\n')}\n` : envelope('auth-request', section);
}

/** Observed: the page of the name is `main`, all others `passwd`. */
function bareId({ fields }: AuthForm): string {
  return fields.some(({ kind }) => kind === 'text' || kind === 'choice') ? 'main' : 'passwd';
}

/** What was wrong stands in front of the message: clients of ocserv look for it there. */
function texts({ banner, message, error }: AuthForm): string {
  const text = [error, message].filter((part) => part !== undefined).join('\n');
  return element('banner', banner) + element('message', text === '' ? undefined : text);
}

function element(name: string, text: string | undefined): string {
  return text === undefined ? '' : `<${name}>${escapedText(text)}</${name}>`;
}

/** Observed: the group comes last, whatever comes before it. */
function inputsFirst(fields: readonly AuthField[]): AuthField[] {
  return [...fields.filter(({ kind }) => kind !== 'choice'), ...fields.filter(({ kind }) => kind === 'choice')];
}

function renderField(field: AuthField): string {
  const names = `name="${escapedAttribute(field.name)}" label="${escapedAttribute(field.label)}"`;
  switch (field.kind) {
    case 'choice':
      return [`<select ${names}>`, ...currentFirst(field).map(renderOption), '</select>'].join('\n');
    case 'hidden':
      return `<input type="hidden" ${names} value="${escapedAttribute(field.value)}" />`;
    case 'text':
    case 'password':
    case 'otp': {
      const value = field.initial === undefined ? '' : ` value="${escapedAttribute(field.initial)}"`;
      return `<input type="${field.kind === 'text' ? 'text' : 'password'}" ${names}${value} />`;
    }
  }
}

/** Observed: ocserv marks no option: the one that is chosen already is the first. */
function currentFirst({ choices, initial }: ChoiceField): ChoiceField['choices'] {
  return [...choices.filter(({ value }) => value === initial), ...choices.filter(({ value }) => value !== initial)];
}

/** An option without a value is sent by its text: so is one that stands for no group. */
function renderOption({ value, label }: ChoiceField['choices'][number]): string {
  return `<option${value === '' ? '' : ` value="${escapedAttribute(value)}"`}>${escapedText(label)}</option>`;
}

/** The end of a log-in. Its cookies are the headers' business. */
export function renderWelcome(banner: string | undefined, profile: ProfileReference | undefined, dialect: Dialect): string {
  const section = ['<auth id="success">', `<title>SSL VPN Service</title>${element('banner', banner)}</auth>`];
  if (dialect === 'bare') return `${[DECLARATION, ...section].join('\n')}\n`;
  const head = [DECLARATION, '<config-auth client="vpn" type="complete">', VERSION, ...section].join('\n');
  // Observed: with a profile there is no line end at the end.
  return profile === undefined ? `${head}</config-auth>\n` : `${head}\n${renderProfile(profile)}</config-auth>`;
}

function renderProfile({ uri, sha1 }: ProfileReference): string {
  const reference = `<uri>${escapedText(uri)}</uri><hash type="sha1">${sha1}</hash>`;
  const manifest = `<vpn rev="1.0"><file type="profile" service-type="user">${reference}</file></vpn>`;
  return `<config client="vpn" type="private"><vpn-profile-manifest>${manifest}</vpn-profile-manifest>\n</config>`;
}

/** The answer to a client that has logged itself off (spec 3.6). */
export function renderGoodbye(): string {
  return `${DECLARATION}\n<config-auth client="vpn" type="complete">\n${VERSION}\n</config-auth>\n`;
}

function envelope(type: 'auth-request', section: readonly string[]): string {
  return [DECLARATION, `<config-auth client="vpn" type="${type}">`, VERSION, ...section, '</config-auth>'].join('\n');
}
