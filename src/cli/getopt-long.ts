/**
 * Reads an argument list as GNU getopt_long does, with its error messages, so that scripts written for a C program work unchanged.
 *
 * Read first: the GNU C library manual, "Parsing program options using getopt", and the messages of its `getopt.c` as programs print them.
 *
 *   -ab -ovalue -o value     clusters of short options; the last one of a cluster may take an argument
 *   --name --name=value --name value --na      a unique prefix will do; an exact name wins over a prefix
 *   operand                  anywhere (permutation), unless POSIXLY_CORRECT is set: then the first one ends the options
 *   --                       ends the options; `-` alone is an operand
 */

export interface OptionSyntax<Name extends string = string> {
  readonly name: Name;
  /** One character. */
  readonly short?: string;
  readonly takesArgument: boolean;
  /** Not found by a prefix, so that a prefix which others have alone stays theirs. */
  readonly exactOnly?: boolean;
}

export type Argument<Name extends string = string> =
  /** `value` is undefined for an option that takes none. */
  | { readonly type: 'option'; readonly name: Name; readonly value: string | undefined }
  | { readonly type: 'operand'; readonly value: string }
  /** The whole line that getopt_long prints. Reading can go on after it, as it can in C. */
  | { readonly type: 'error'; readonly message: string };

export interface ReadArgumentsOptions {
  /** What messages begin with: the name we were called by. */
  readonly programName: string;
  /** The first operand ends the options. Default: false. */
  readonly posixlyCorrect?: boolean;
}

/**
 * Yields the arguments from left to right; the caller acts on each before it asks for the next. `argv` is without the program's name.
 * The order of `syntax` is the order of the names in the message about an ambiguous prefix.
 */
export function* readArguments<Name extends string>(
  argv: readonly string[],
  syntax: readonly OptionSyntax<Name>[],
  options: ReadArgumentsOptions,
): Generator<Argument<Name>, void, undefined> {
  const error = (message: string) => ({ type: 'error', message: `${options.programName}: ${message}` }) as const;
  let at = 0;
  while (at < argv.length) {
    const word = argv[at++] ?? '';
    if (word === '--' || (options.posixlyCorrect === true && !isOption(word))) {
      for (const value of argv.slice(word === '--' ? at : at - 1)) yield { type: 'operand', value };
      return;
    }
    if (!isOption(word)) yield { type: 'operand', value: word };
    else if (word.startsWith('--')) yield readLong(word.slice(2));
    else yield* readCluster(word.slice(1));
  }

  function readLong(text: string): Argument<Name> {
    const equals = text.indexOf('=');
    const written = equals < 0 ? text : text.slice(0, equals);
    const candidates = optionsNamed(written, syntax);
    const [option] = candidates;
    if (option === undefined) return error(`unrecognized option '--${text}'`);
    if (candidates.length > 1) {
      const possibilities = candidates.map((candidate) => ` '--${candidate.name}'`).join('');
      return error(`option '--${text}' is ambiguous; possibilities:${possibilities}`);
    }
    const { name } = option;
    if (!option.takesArgument) {
      return equals < 0 ? { type: 'option', name, value: undefined } : error(`option '--${name}' doesn't allow an argument`);
    }
    if (equals >= 0) return { type: 'option', name, value: text.slice(equals + 1) };
    const value = argv[at++];
    return value === undefined ? error(`option '--${name}' requires an argument`) : { type: 'option', name, value };
  }

  function* readCluster(letters: string): Generator<Argument<Name>, void, undefined> {
    let rest = letters;
    while (rest !== '') {
      const letter = String.fromCodePoint(rest.codePointAt(0) ?? 0);
      rest = rest.slice(letter.length);
      const option = syntax.find((candidate) => candidate.short === letter);
      if (option === undefined) {
        yield error(`invalid option -- '${letter}'`);
      } else if (!option.takesArgument) {
        yield { type: 'option', name: option.name, value: undefined };
      } else {
        const value = rest === '' ? argv[at++] : rest;
        yield value === undefined ? error(`option requires an argument -- '${letter}'`) : { type: 'option', name: option.name, value };
        return;
      }
    }
  }
}

function isOption(word: string): boolean {
  return word.length > 1 && word.startsWith('-');
}

/** The option of exactly this name, else all that begin with it. */
export function optionsNamed<Name extends string>(written: string, syntax: readonly OptionSyntax<Name>[]): readonly OptionSyntax<Name>[] {
  const exact = syntax.find((option) => option.name === written);
  return exact === undefined ? syntax.filter((option) => option.exactOnly !== true && option.name.startsWith(written)) : [exact];
}
