/** Which choice of a form is meant by what a person or an option says (spec "CLI", `--authgroup`). */
import type { Choice } from '../../core/auth/form.ts';

/** Compared with the labels, without regard to case: the whole label, else a prefix that only one label has. */
export function matchChoice(choices: readonly Choice[], said: string): Choice | 'none' | 'several' {
  const wanted = said.toLowerCase();
  const exact = choices.find((choice) => choice.label.toLowerCase() === wanted);
  if (exact !== undefined) return exact;
  const [choice, ...others] = choices.filter(({ label }) => label.toLowerCase().startsWith(wanted));
  if (choice === undefined) return 'none';
  return others.length > 0 ? 'several' : choice;
}
