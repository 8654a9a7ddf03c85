/**
 * The completion protocol of openconnect (spec "CLI", section 12): the shell runs `COMP_CWORD=n openconnect --autocomplete WORD…` and reads
 * candidates, one a line, or a directive.
 *
 *   HOSTNAME | USERNAME | FILENAME | EXECUTABLE     the shell completes it itself
 *   filter                                          of the names, as bash writes it; '' for all
 *   prefix                                          what of the word is not part of the name: -c, --script=, @
 */
import { type OptionSyntax, optionsNamed, readArguments } from '../getopt-long.ts';
import type { Completion } from './option-spec.ts';
import { OPTIONS, type OptionName, optionSyntax } from './options.ts';

/** `words` are what follows `--autocomplete`; the word to complete is number `index`, counted from one. undefined: there is no such word. */
export function completionLines(words: readonly string[], index: number, platform: NodeJS.Platform): readonly string[] | undefined {
  const word = words[index - 1];
  if (word === undefined) return undefined;
  const syntax = optionSyntax(platform);
  const before = words.slice(0, index - 1);
  const awaiting = awaitedBy(before, syntax);
  if (awaiting !== undefined) return valueLines(awaiting, word, '');
  if (before.includes('--') || !word.startsWith('-')) return ['HOSTNAME'];
  return optionLines(word, syntax);
}

/** The option whose argument comes next, if the last word is one that wants it. */
function awaitedBy(before: readonly string[], syntax: readonly OptionSyntax<OptionName>[]): OptionName | undefined {
  // With the word behind it the option is complete; so it is found by the value that is put there.
  const probe = '\0';
  for (const argument of readArguments([...before, probe], syntax, { programName: '' })) {
    if (argument.type === 'option' && argument.value === probe) return argument.name;
  }
  return undefined;
}

function optionLines(word: string, syntax: readonly OptionSyntax<OptionName>[]): readonly string[] {
  const equals = word.indexOf('=');
  if (word.startsWith('--') && equals >= 0) {
    const [option, ...others] = optionsNamed(word.slice(2, equals), syntax);
    const isUsable = option?.takesArgument === true && others.length === 0;
    return isUsable ? valueLines(option.name, word.slice(equals + 1), word.slice(0, equals + 1)) : [];
  }
  if (word.startsWith('--') || word === '-') {
    const start = word.slice(2);
    return syntax.filter(({ name }) => name.startsWith(start)).map(({ name }) => `--${name}`);
  }
  const option = syntax.find(({ short }) => short === word.charAt(1));
  if (option === undefined) return [];
  if (word.length === 2) return [`--${option.name}`];
  return option.takesArgument ? valueLines(option.name, word.slice(2), word.slice(0, 2)) : [];
}

const DIRECTIVES: Readonly<Record<Exclude<Completion['kind'], 'choices'>, string>> = {
  filename: 'FILENAME',
  executable: 'EXECUTABLE',
  username: 'USERNAME',
  hostname: 'HOSTNAME',
};

/** `attached` is what stands before the value in the same word. */
function valueLines(name: OptionName, value: string, attached: string): readonly string[] {
  const completes = OPTIONS.find((option) => option.name === name)?.completes;
  if (completes === undefined) return [];
  if (completes.kind === 'choices')
    return completes.choices.filter((choice) => choice.startsWith(value)).map((choice) => attached + choice);
  const { filter = "''", marker = '' } = completes.kind === 'filename' ? completes : {};
  // Where a marker says that a file is meant, other text is none; an absolute path needs no marker.
  if (marker !== '' && value !== '' && !value.startsWith(marker) && !value.startsWith('/')) return [];
  const prefix = attached + (value.startsWith(marker) ? marker : '');
  return [DIRECTIVES[completes.kind], filter, ...(prefix === '' ? [] : [prefix])];
}
