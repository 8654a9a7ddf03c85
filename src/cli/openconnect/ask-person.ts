/** The forms of a log-in at the terminal (spec "CLI", section 6). */

import { matchChoice } from '../../core/auth/choices.ts';
import type { AuthField, AuthForm, Choice } from '../../core/auth/form.ts';
import { Secret } from '../../core/secret.ts';
import type { ReadOptions } from './line-reader.ts';
import type { MessageLevel } from './settings.ts';
import type { Terminal } from './terminal.ts';

/** Shows what a form says before its questions. `--quiet` (level 0) leaves the error only. */
export function showForm(terminal: Terminal, form: Pick<AuthForm, 'banner' | 'message' | 'error'>, level: MessageLevel): void {
  for (const text of [level > 0 && form.banner, level > 0 && form.message, form.error]) {
    if (text) terminal.show(text);
  }
}

/** Asks for one field. The answer of a choice is its value; passwords and codes come as {@link Secret}. */
export async function askPerson(
  terminal: Terminal,
  field: Exclude<AuthField, { readonly kind: 'hidden' }>,
  options: ReadOptions = {},
): Promise<string | Secret> {
  switch (field.kind) {
    case 'text':
      return terminal.ask(field.label, options);
    case 'password':
    case 'otp':
      return new Secret(await terminal.ask(field.label, { ...options, hidden: true }));
    case 'choice':
      return (await askChoice(terminal, field.label, field.choices, options)).value;
  }
}

/** `Group: [one|two]:` until the answer is one of them. A single choice is taken without asking. */
async function askChoice(terminal: Terminal, label: string, choices: readonly Choice[], options: ReadOptions): Promise<Choice> {
  const prompt = `${label} [${choices.map((choice) => choice.label).join('|')}]:`;
  const [only, ...others] = choices;
  if (only !== undefined && others.length === 0) {
    terminal.show(prompt + only.label);
    return only;
  }
  for (;;) {
    const said = await terminal.ask(prompt, options);
    const match = matchChoice(choices, said);
    if (match.type === 'found') return match.choice;
    terminal.show(match.type === 'none' ? `Auth choice "${said}" not available` : `Auth choice "${said}" matches multiple options`);
  }
}
