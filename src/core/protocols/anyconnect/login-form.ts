/**
 * The form inside a log-in document, both ways, and as the form that anyone can answer.
 *
 * Read first: spec "AnyConnect", sections 3.3 (form, input, select), 3.7 (groups) and 3.8 (codes).
 */
import type { AuthField, AuthForm, Choice } from '../../auth/form.ts';
import { PeerMisbehavedError, UnsupportedError } from '../../errors.ts';
import { attribute, elementsOf, textOf, type XmlElement, xmlElement } from '../../markup/xml.ts';
import { printable } from '../../wire/text.ts';

export interface LoginForm {
  /** Where the answer goes; `/` if the gateway does not say. */
  readonly action: string;
  readonly inputs: readonly FormInput[];
}

export type FormInput =
  | {
      readonly type: 'text' | 'password' | 'hidden' | 'sso';
      readonly name: string;
      readonly label: string;
      readonly value: string;
      /** Belongs to the second authentication: asked only for groups that have one. */
      readonly isSecondAuth: boolean;
    }
  | { readonly type: 'select'; readonly name: string; readonly label: string; readonly options: readonly SelectOption[] };

export interface SelectOption {
  readonly value: string;
  readonly label: string;
  readonly isSelected: boolean;
  readonly hasSecondAuth: boolean;
  /** The group needs no name and password. */
  readonly isWithoutAaa: boolean;
  readonly secondaryUsername?: string;
  readonly isSecondaryUsernameEditable: boolean;
}

/** The name of the field that chooses a group. */
export const GROUP_FIELD = 'group_list';

const SECONDARY_USERNAME = 'secondary_username';

/** Inputs and options of one form. */
const MAX_INPUTS = 100;
const MAX_OPTIONS = 1000;

export function parseLoginForm(form: XmlElement): LoginForm {
  const method = attribute(form, 'method') ?? 'POST';
  if (method.toUpperCase() !== 'POST')
    throw new PeerMisbehavedError(`log-in form: expected method POST, got ${printable(method).slice(0, 20)}`);
  const inputs = elementsOf(form).flatMap((element) => parseInput(element) ?? []);
  if (inputs.length > MAX_INPUTS) throw new PeerMisbehavedError(`log-in form: at most ${MAX_INPUTS} inputs, got ${inputs.length}`);
  return { action: attribute(form, 'action') ?? '/', inputs };
}

/** Undefined for what is not to be answered: buttons, unknown types, inputs without a name. */
function parseInput(element: XmlElement): FormInput | undefined {
  const name = attribute(element, 'name');
  if (name === undefined || name === '') return undefined;
  const label = printable(attribute(element, 'label') ?? '');
  if (element.name === 'select') {
    const options = elementsOf(element)
      .filter((option) => option.name === 'option')
      .map(parseOption);
    if (options.length > MAX_OPTIONS) throw new PeerMisbehavedError(`log-in form: at most ${MAX_OPTIONS} choices, got ${options.length}`);
    return options.length === 0 ? undefined : { type: 'select', name, label, options };
  }
  const type = attribute(element, 'type');
  if (element.name !== 'input' || !isInputType(type)) return undefined;
  return { type, name, label, value: attribute(element, 'value') ?? '', isSecondAuth: attribute(element, 'second-auth') === '1' };
}

function isInputType(type: string | undefined): type is 'text' | 'password' | 'hidden' | 'sso' {
  return type === 'text' || type === 'password' || type === 'hidden' || type === 'sso';
}

function parseOption(option: XmlElement): SelectOption {
  const label = printable(textOf(option)).trim();
  const secondaryUsername = attribute(option, SECONDARY_USERNAME);
  return {
    value: attribute(option, 'value') ?? textOf(option).trim(),
    label,
    isSelected: attribute(option, 'selected') === 'true',
    hasSecondAuth: attribute(option, 'second-auth') === '1',
    isWithoutAaa: attribute(option, 'noaaa') === '1',
    ...(secondaryUsername !== undefined && { secondaryUsername }),
    isSecondaryUsernameEditable: attribute(option, 'secondary_username_editable') === 'true',
  };
}

export function renderLoginForm(form: LoginForm): XmlElement {
  return xmlElement('form', { method: 'post', action: form.action }, form.inputs.map(renderInput));
}

function renderInput(input: FormInput): XmlElement {
  const { type, name, label } = input;
  if (type === 'select') return xmlElement('select', { name, label }, input.options.map(renderOption));
  return xmlElement('input', {
    ...{ type, name, label },
    ...(input.value !== '' && { value: input.value }),
    ...(input.isSecondAuth && { 'second-auth': '1' }),
  });
}

function renderOption(option: SelectOption): XmlElement {
  const attributes = {
    value: option.value,
    ...(option.isSelected && { selected: 'true' }),
    ...(option.hasSecondAuth && { 'second-auth': '1' }),
    ...(option.isWithoutAaa && { noaaa: '1' }),
    ...(option.secondaryUsername !== undefined && { [SECONDARY_USERNAME]: option.secondaryUsername }),
    ...(option.isSecondaryUsernameEditable && { secondary_username_editable: 'true' }),
  };
  return xmlElement('option', attributes, [option.label]);
}

/** What goes around the fields. */
export type FormTexts = Pick<AuthForm, 'id' | 'banner' | 'message' | 'error'>;

/**
 * The form for whoever answers; `group` is the value that was chosen already. Selects come before all other fields.
 * Throws {@link UnsupportedError} for a form that only a browser can answer.
 */
export function authFormOf(form: LoginForm, texts: FormTexts, group: string | undefined): AuthForm {
  if (form.inputs.some((input) => input.type === 'sso')) throw noSingleSignOn();
  const groups = groupOptions(form);
  const current = groups?.find((option) => option.value === group) ?? groups?.find((option) => option.isSelected) ?? groups?.[0];
  const fields = selectsFirst(form.inputs).map((input) => fieldOf(input, texts, groups, current));
  return { ...texts, fields };
}

export function noSingleSignOn(): UnsupportedError {
  return new UnsupportedError('The gateway wants the log-in to happen in a browser (single sign-on), which does not exist yet.');
}

function groupOptions(form: LoginForm): readonly SelectOption[] | undefined {
  const select = form.inputs.find((input) => input.type === 'select' && input.name === GROUP_FIELD);
  return select?.type === 'select' ? select.options : undefined;
}

/** The inputs in the order in which they are asked and, by old gateways, answered. */
export function selectsFirst(inputs: readonly FormInput[]): FormInput[] {
  return [...inputs.filter((input) => input.type === 'select'), ...inputs.filter((input) => input.type !== 'select')];
}

function fieldOf(
  input: FormInput,
  texts: FormTexts,
  groups: readonly SelectOption[] | undefined,
  current: SelectOption | undefined,
): AuthField {
  const { name, label } = input;
  if (input.type === 'select') {
    const choices: Choice[] = input.options.map((option) => ({ value: option.value, label: option.label }));
    const isGroup = name === GROUP_FIELD;
    const initial = isGroup ? current?.value : input.options.find((option) => option.isSelected)?.value;
    return { kind: 'choice', name, label, choices, ...(initial !== undefined && { initial }), ...(isGroup && { isGroup }) };
  }
  if (input.type === 'hidden') return { kind: 'hidden', name, label, value: input.value };
  const shown = groups?.filter((option) => !option.isWithoutAaa && (!input.isSecondAuth || option.hasSecondAuth));
  const shownFor =
    shown === undefined || shown.length === groups?.length ? {} : { shownFor: { field: GROUP_FIELD, choices: shown.map((o) => o.value) } };
  const isAsked = current !== undefined && shown?.includes(current) === true;
  if (name === SECONDARY_USERNAME && input.isSecondAuth && isAsked && current.secondaryUsername !== undefined) {
    if (!current.isSecondaryUsernameEditable) return { kind: 'hidden', name, label, value: current.secondaryUsername };
    return { kind: 'text', name, label, initial: current.secondaryUsername, ...shownFor };
  }
  const kind = input.type === 'text' ? 'text' : isCode(texts, name) ? 'otp' : 'password';
  return { kind, name, label, ...(input.value !== '' && { initial: input.value }), ...shownFor };
}

/**
 * Spec 3.8: what a token generator answers. ocserv asks for the code on a page that differs from that of the password only in its message:
 * "Please enter your OTP password."
 */
function isCode({ id, message = '', error = '' }: FormTexts, name: string): boolean {
  if (name === 'secondary_password' || id === 'challenge') return true;
  return id === 'main' && name === 'password' && /\botp\b/i.test(`${message}\n${error}`);
}
