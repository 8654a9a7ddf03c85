/** Finding the choice that someone means by a text, as openconnect does (spec "Client command line", section 3.1, `--authgroup`). */
import type { Choice } from './form.ts';

export type ChoiceMatch = { readonly type: 'found'; readonly choice: Choice } | { readonly type: 'several' } | { readonly type: 'none' };

/** Compares with the labels without case: the whole label first, else the beginning of exactly one. Equal labels are told apart by their case. */
export function matchChoice(choices: readonly Choice[], text: string): ChoiceMatch {
  const wanted = text.toLowerCase();
  const candidates = [
    choices.filter((choice) => choice.label === text),
    choices.filter((choice) => choice.label.toLowerCase() === wanted),
    choices.filter((choice) => choice.label.toLowerCase().startsWith(wanted)),
  ].find((matches) => matches.length > 0);
  const [choice] = candidates ?? [];
  if (choice === undefined) return { type: 'none' };
  return candidates?.length === 1 ? { type: 'found', choice } : { type: 'several' };
}
