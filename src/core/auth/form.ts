/**
 * The questions of a log-in: asked once by whatever protocol, answered anywhere (flags, token generator, terminal, GUI, call-back).
 * A gateway's back end asks with the same form; each vendor renders it in its own words and parses it back.
 */
import type { Secret } from '../secret.ts';

export interface AuthForm {
  /** Stable for each page: `--form-entry id:field=value` and saved answers refer to it. */
  readonly id: string;
  readonly banner?: string;
  readonly message?: string;
  /** What was wrong with the last answer. */
  readonly error?: string;
  /** In the order they are asked. */
  readonly fields: readonly AuthField[];
}

export type AuthField = InputField | ChoiceField | (FieldName & { readonly kind: 'hidden'; readonly value: string });

export interface InputField extends FieldName {
  /** `otp`: a one-time code, which a token generator may answer; a person can too. */
  readonly kind: 'text' | 'password' | 'otp';
  /** What a person is offered; what is sent if the field is not shown. */
  readonly initial?: string;
  /** A group that is written, as the gateway does not say which there are. */
  readonly isGroup?: boolean;
}

export interface ChoiceField extends FieldName {
  readonly kind: 'choice';
  readonly choices: readonly Choice[];
  /** The value that is chosen already; of a group, the one this form is for. Default: the first. */
  readonly initial?: string;
  /** Another group has another form: taking one asks the gateway again ({@link FormAnswer}). */
  readonly isGroup?: boolean;
  /** May be left unanswered: the best that works is taken then. */
  readonly canBeLeft?: boolean;
}

interface FieldName {
  readonly name: string;
  readonly label: string;
  /** Asked only while one of these choices is taken: `choices` are values of the field `field`. */
  readonly shownFor?: { readonly field: string; readonly choices: readonly string[] };
}

export interface Choice {
  /** What is sent. */
  readonly value: string;
  /** What is shown, and what people type. */
  readonly label: string;
}

/** A field that someone answers. */
export type AskedField = InputField | ChoiceField;

export function canBeLeft(field: AuthField): boolean {
  return field.kind === 'choice' && field.canBeLeft === true;
}

/** Whether a field is asked, by the choices taken so far; `taken` gives those (undefined: none yet). */
export function isShown(field: AuthField, taken: (field: string) => string | undefined): boolean {
  if (field.shownFor === undefined) return true;
  const choice = taken(field.shownFor.field);
  return choice !== undefined && field.shownFor.choices.includes(choice);
}

export type FormValues = Readonly<Record<string, string | Secret>>;

/** A field's value, if there is one: gateways choose the names, and one may be called `constructor`. */
export function valueIn(values: FormValues, name: string): string | Secret | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

export type FormAnswer =
  | { readonly type: 'submit'; readonly values: FormValues }
  /** Ask the gateway for that group's form: the value of a choice of the group field. */
  | { readonly type: 'change-group'; readonly group: string }
  | { readonly type: 'cancel' };
