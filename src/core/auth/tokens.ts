/**
 * One-time codes from a shared secret: HOTP (RFC 4226) by a counter, TOTP (RFC 6238) by the time.
 *
 * What a secret looks like to people is in token-secret.ts, which fields a code goes to in token-answerer.ts.
 */
import { HOTP, Secret as OtpSecret } from 'otpauth';
import { MisuseError } from '../errors.ts';
import { Secret } from '../secret.ts';

export type TokenMode = 'totp' | 'hotp';
export type TokenHash = 'sha1' | 'sha256' | 'sha512';

export interface TokenParameters {
  readonly mode: TokenMode;
  readonly key: Uint8Array;
  readonly hash: TokenHash;
  readonly digits: number;
  /** Seconds that a TOTP code is for. */
  readonly period: number;
  /** The counter of the next HOTP code. */
  readonly counter: number;
}

export const DEFAULT_TOKEN_DIGITS = 6;
export const DEFAULT_TOKEN_PERIOD = 30;
/** More codes than any token makes; a number holds it exactly. */
export const MAX_TOKEN_COUNTER: number = 2 ** 48;

/** A software token. The key stays inside. */
export class SoftToken {
  readonly mode: TokenMode;
  readonly #key: OtpSecret;
  readonly #parameters: TokenParameters;
  #counter: number;

  constructor(parameters: TokenParameters) {
    this.mode = parameters.mode;
    this.#key = new OtpSecret({ buffer: parameters.key.slice().buffer });
    this.#parameters = parameters;
    this.#counter = parameters.counter;
  }

  /** The counter of the next code. Throws {@link MisuseError} for TOTP, which has none. */
  get counter(): number {
    this.#expect('hotp');
    return this.#counter;
  }

  /** The next code of HOTP. The counter goes on, whether the code is accepted or not. */
  nextCode(): Secret {
    this.#expect('hotp');
    return this.codeAt(this.#counter++);
  }

  /** The number of the period that a time (wall-clock milliseconds since 1970) is in. */
  stepAt(time: number): number {
    this.#expect('totp');
    return Math.floor(time / 1000 / this.#parameters.period);
  }

  /** The code of TOTP for a period, as {@link stepAt} numbers them. */
  codeOfStep(step: number): Secret {
    this.#expect('totp');
    return this.codeAt(step);
  }

  /** The code of a counter of HOTP or a period of TOTP: for who checks codes, and looks before and behind. */
  codeAt(counter: number): Secret {
    const { hash, digits } = this.#parameters;
    return new Secret(HOTP.generate({ secret: this.#key, algorithm: hash.toUpperCase(), digits, counter }));
  }

  #expect(mode: TokenMode): void {
    if (this.mode !== mode) throw new MisuseError(`a ${this.mode.toUpperCase()} token has no ${mode === 'hotp' ? 'counter' : 'time'}`);
  }
}
