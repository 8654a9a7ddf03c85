/** The questions of a log-in, in ocserv's words (Observed: test/vectors/anyconnect, and ocserv 1.1.6 beside us). */
import { LOGIN_FIELDS } from '../../core/auth/dialogue.ts';
import type { AuthForm, Choice, ChoiceField } from '../../core/auth/form.ts';
import type { LoginPageConfig } from '../config/gateway-config.ts';
import type { Prompt } from './back-end.ts';

const FORM_ID = 'main';

/** Groups that are offered; a longer list is cut. */
const MAX_GROUPS_OFFERED = 256;

export function usernameForm(groups: ChoiceField | undefined, error?: string): AuthForm {
  return {
    id: FORM_ID,
    message: 'Please enter your username.',
    ...(error !== undefined && { error }),
    fields: [{ kind: 'text', name: LOGIN_FIELDS.username, label: 'Username:' }, ...(groups === undefined ? [] : [groups])],
  };
}

export function groupForm(groups: ChoiceField): AuthForm {
  return { id: FORM_ID, message: 'Please select your group.', fields: [groups] };
}

export function promptForm({ message, label, kind }: Prompt, name: string, error?: string): AuthForm {
  return { id: FORM_ID, message, ...(error !== undefined && { error }), fields: [{ kind, name, label }] };
}

/** Groups that can be chosen, and what a choice means. */
export class GroupMenu {
  readonly #choices: readonly Choice[];
  readonly #defaultLabel: string | undefined;

  /** @param own those of the user's certificate, which come before the configured ones, or those of the back end instead of these */
  constructor({ groups, defaultGroupLabel }: LoginPageConfig, own: readonly string[]) {
    const labels = new Map(groups.map(({ name, label }) => [name, label]));
    const names = [...own.filter((name) => !labels.has(name)), ...labels.keys()];
    this.#choices = names.slice(0, MAX_GROUPS_OFFERED).map((name) => ({ value: name, label: labels.get(name) ?? name }));
    this.#defaultLabel = defaultGroupLabel;
  }

  /** The field for a form; undefined: there is nothing to choose from. */
  field(chosen: string | undefined): ChoiceField | undefined {
    if (this.#choices.length === 0) return undefined;
    const own = this.#defaultLabel === undefined ? [] : [{ value: this.#defaultLabel, label: this.#defaultLabel }];
    // The chosen group comes first (spec "AnyConnect", section 3.7): so old clients take it that know no `selected`.
    const choices = [...own, ...this.#choices].sort((a, b) => Number(b.value === chosen) - Number(a.value === chosen));
    const initial = choices[0]?.value ?? '';
    return { kind: 'choice', name: LOGIN_FIELDS.group, label: 'Group:', choices, initial, isGroup: true };
  }

  /** The group that a client means by its value or its label; undefined: the user's own first one, or a group that is not offered. */
  groupOf(text: string | undefined): string | undefined {
    if (text === undefined || text === '' || text === this.#defaultLabel) return undefined;
    const exact = this.#choices.find(({ value }) => value === text) ?? this.#choices.find(({ label }) => label === text);
    return exact?.value;
  }

  /** Whether this can be sent by a client that has seen the menu. */
  offers(text: string | undefined): boolean {
    return text === undefined || text === '' || text === this.#defaultLabel || this.groupOf(text) !== undefined;
  }
}
