/** The forms of a log-in at the terminal (spec "CLI", section 6). */

import { matchChoice } from '../../core/auth/choices.ts';
import { type AskedField, type AuthForm, type Choice, type ChoiceField, canBeLeft } from '../../core/auth/form.ts';
import { Secret } from '../../core/secret.ts';
import type { ReadOptions } from './line-reader.ts';
import type { MessageLevel } from './settings.ts';
import type { Terminal } from './terminal.ts';

/** Shows what a form says before its questions, in openconnect's order, and what is not asked as there is no choice. `--quiet` (level 0) leaves the error and the latter. */
export function showForm(terminal: Terminal, form: Omit<AuthForm, 'id'>, level: MessageLevel): void {
  for (const text of [level > 0 && form.banner, form.error, level > 0 && form.message]) {
    if (text) terminal.show(text);
  }
  for (const field of form.fields) {
    if (field.kind === 'choice' && field.choices.length === 1) terminal.show(`${choicePrompt(field)}${field.choices[0]?.label}`);
  }
}

/** Asks for one field. The answer of a choice is its value; passwords and codes come as {@link Secret}. Undefined: it was left, as it can be. */
export async function askPerson(terminal: Terminal, field: AskedField, options: ReadOptions = {}): Promise<string | Secret | undefined> {
  switch (field.kind) {
    case 'text':
      return terminal.ask(field.label, options);
    case 'password':
    case 'otp':
      return new Secret(await terminal.ask(field.label, { ...options, hidden: true }));
    case 'choice':
      return (await askChoice(terminal, field, options))?.value;
  }
}

/** `Group: [one|two]:` */
function choicePrompt({ label, choices }: ChoiceField): string {
  return `${label} [${choices.map((choice) => choice.label).join('|')}]:`;
}

/** Asks until the answer is one of the choices, or an empty line where the field can be left. */
async function askChoice(terminal: Terminal, field: ChoiceField, options: ReadOptions): Promise<Choice | undefined> {
  for (;;) {
    const said = await terminal.ask(choicePrompt(field), options);
    if (said === '' && canBeLeft(field)) return undefined;
    const match = matchChoice(field.choices, said);
    if (match.type === 'found') return match.choice;
    terminal.show(match.type === 'none' ? `Auth choice "${said}" not available` : `Auth choice "${said}" matches multiple options`);
  }
}
