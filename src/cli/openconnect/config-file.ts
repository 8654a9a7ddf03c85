/**
 * The syntax of `--config` files (spec "CLI", section 2).
 *
 *   # comment
 *   name                      an option without an argument
 *   name value                the full long name, blanks, the rest of the line
 *   name = value              at most one equals sign
 *
 * A value is verbatim: no quotes, no escapes, `#` and trailing blanks are part of it. An empty value counts as none.
 */
import type { OptionSyntax } from '../getopt-long.ts';

export type ConfigLine<Name extends string = string> =
  | { readonly type: 'option'; readonly name: Name; readonly value: string | undefined }
  | { readonly type: 'error'; readonly message: string };

/** Far more than all options with the longest of values. */
export const MAX_CONFIG_BYTES: number = 1 << 20;

/** Yields the options in the order of the file; the caller acts on each before it asks for the next, and stops at an error. */
export function* readConfigLines<Name extends string>(text: string, syntax: readonly OptionSyntax<Name>[]): Generator<ConfigLine<Name>> {
  for (const [index, line] of text.split('\n').entries()) {
    // As in C, a NUL ends the line.
    const content = line
      .replace(/\r$/, '')
      .replace(/\0.*$/s, '')
      .replace(/^[ \t]+/, '');
    if (content === '' || content.startsWith('#')) continue;
    yield readLine(content, index + 1, syntax);
  }
}

function readLine<Name extends string>(content: string, lineNumber: number, syntax: readonly OptionSyntax<Name>[]): ConfigLine<Name> {
  const error = (message: string) => ({ type: 'error', message }) as const;
  // Observed: the name is what stands before the first blank; only a known name before an equals sign is cut there.
  const [word = ''] = /^[^ \t]*/.exec(content) ?? [];
  const equals = word.indexOf('=');
  const option = syntax.find(({ name }) => name === (equals < 0 ? word : word.slice(0, equals)));
  if (option === undefined) return error(`Unrecognised option at line ${lineNumber}: '${word}'`);

  const rest = content.slice(option.name.length);
  const value = rest.replace(/^[ \t]*=?[ \t]*/, '');
  if (option.takesArgument) {
    return value === ''
      ? error(`Option '${option.name}' requires an argument at line ${lineNumber}`)
      : { type: 'option', name: option.name, value };
  }
  const hasValue = /[^ \t]/.test(rest);
  return hasValue
    ? error(`Option '${option.name}' does not take an argument at line ${lineNumber}`)
    : { type: 'option', name: option.name, value: undefined };
}
