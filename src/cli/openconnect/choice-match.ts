/** Which choice of a form is meant by what a person or an option says (spec "CLI", `--authgroup`). */
import type { Choice } from '../../core/auth/form.ts';

export type ChoiceMatch = { readonly type: 'found'; readonly choice: Choice } | { readonly type: 'several' | 'none' };

/** Compared with the labels, without regard to case: the whole label, else a prefix that only one label has. */
export function matchChoice(choices: readonly Choice[], said: string): ChoiceMatch {
  const wanted = said.toLowerCase();
  const exact = choices.find((choice) => choice.label.toLowerCase() === wanted);
  if (exact !== undefined) return { type: 'found', choice: exact };
  const [choice, ...others] = choices.filter(({ label }) => label.toLowerCase().startsWith(wanted));
  if (choice === undefined) return { type: 'none' };
  return others.length > 0 ? { type: 'several' } : { type: 'found', choice };
}
