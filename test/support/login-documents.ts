/** Arbitrary parts of AnyConnect's log-in documents, such that what is written is read back as it was. */
import fc from 'fast-check';
import type { FormInput, LoginForm, SelectOption } from '../../src/core/protocols/anyconnect/login-form.ts';

/** What XML must escape is in there; white space around it would be taken off, and a percent sign could ask for a parameter. */
export const trimmedText: fc.Arbitrary<string> = fc.stringMatching(
  /^[a-zA-Z0-9<>&"'é漢=;.][a-zA-Z0-9 <>&"'é漢=;.]{0,10}[a-zA-Z0-9<>&"'é漢=;.]$/,
);

const options: fc.Arbitrary<SelectOption> = fc
  .record({
    value: fc.oneof(fc.constant(''), trimmedText),
    label: trimmedText,
    isSelected: fc.boolean(),
    hasSecondAuth: fc.boolean(),
    isWithoutAaa: fc.boolean(),
    secondaryUsername: fc.option(trimmedText, { nil: undefined }),
    isSecondaryUsernameEditable: fc.boolean(),
  })
  .map(defined);

const inputs: fc.Arbitrary<FormInput> = fc.oneof(
  fc
    .record({
      type: fc.constantFrom('text' as const, 'password' as const, 'hidden' as const, 'sso' as const),
      name: trimmedText,
      label: fc.oneof(fc.constant(''), trimmedText),
      value: fc.oneof(fc.constant(''), trimmedText),
      isSecondAuth: fc.boolean(),
    })
    .map(defined),
  fc
    .record({
      type: fc.constant('select' as const),
      name: fc.oneof(fc.constant('group_list'), trimmedText),
      label: fc.oneof(fc.constant(''), trimmedText),
      options: fc.array(options, { minLength: 1, maxLength: 4 }),
    })
    .map(defined),
);

export const loginForms: fc.Arbitrary<LoginForm> = fc
  .record({
    action: fc.oneof(fc.constant('/'), trimmedText),
    inputs: fc.array(inputs, { maxLength: 5 }),
  })
  .map(defined);

/** A plain object without what is undefined: that is how a parser says that something is not there. */
export function defined<T extends object>(record: T): { [Name in keyof T]: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]: Exclude<T[Name], undefined>;
  };
}
