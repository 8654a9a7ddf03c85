/**
 * Puts the codes of a software token into the fields that want them, and stops when they are not taken. Which fields those are, the vendors say:
 * they mark them as `otp`.
 *
 * Read first: spec "AnyConnect", section 3.8; spec "Client command line", section 3.2.
 */
import type { Logger } from '../log.ts';
import type { Secret } from '../secret.ts';
import { printable } from '../wire/text.ts';
import type { Answerer } from './answerers.ts';
import type { ParsedTokenSecret } from './token-secret.ts';

/** A field gets two codes: the second in case the first was used already, or the clocks differ. Then a person is asked. */
const MAX_CODES_OF_A_FIELD = 2;

/** A gateway that renames its fields does not get one code after the other. */
const MAX_CODES_OF_A_LOGIN = 6;

export interface TokenAnswererOptions {
  /** Wall-clock time in milliseconds since 1970. */
  readonly now: () => number;
  /** Keeps the secret with its new counter (HOTP). It must be kept before the code leaves: a code must not be made twice. */
  readonly persist?: (secret: Secret) => Promise<void>;
  readonly log: Logger;
}

/** One for each log-in. */
export function tokenAnswerer(secret: ParsedTokenSecret, options: TokenAnswererOptions): Answerer {
  const { token } = secret;
  const codesOf = new Map<string, number>();
  let codes = 0;
  let lastStep = Number.NEGATIVE_INFINITY;

  /** Adjacent at most: the present period's code, or the next one's where that was sent already. */
  const nextStep = () => Math.max(token.stepAt(options.now()), lastStep + 1);
  const isTooEarly = () => token.mode === 'totp' && nextStep() > token.stepAt(options.now()) + 1;

  const makeCode = async (): Promise<Secret> => {
    if (token.mode === 'totp') {
      lastStep = nextStep();
      return token.codeOfStep(lastStep);
    }
    const code = token.nextCode();
    await options.persist?.(secret.render());
    return code;
  };

  return (form, field) => {
    if (field.kind !== 'otp') return undefined;
    const key = JSON.stringify([form.id, field.name]);
    const before = codesOf.get(key) ?? 0;
    if (before === MAX_CODES_OF_A_FIELD || codes === MAX_CODES_OF_A_LOGIN || isTooEarly()) {
      options.log.log('warn', 'token gives no more codes', { field: printable(field.label) });
      return undefined;
    }
    return () => {
      codesOf.set(key, before + 1);
      codes++;
      return makeCode();
    };
  };
}
