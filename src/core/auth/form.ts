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

export type AuthField =
  | (FieldName & { readonly kind: 'text' | 'password'; readonly initial?: string })
  /** A one-time code: a token generator may answer; a person can too. */
  | (FieldName & { readonly kind: 'otp' })
  | (FieldName & { readonly kind: 'choice'; readonly choices: readonly Choice[]; readonly initial?: string; readonly isGroup?: boolean })
  | (FieldName & { readonly kind: 'hidden'; readonly value: string });

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

export type FormValues = Readonly<Record<string, string | Secret>>;

export type FormAnswer =
  | { readonly type: 'submit'; readonly values: FormValues }
  /** Ask the gateway for that group's form: the value of a choice of the group field. */
  | { readonly type: 'change-group'; readonly group: string }
  | { readonly type: 'cancel' };
