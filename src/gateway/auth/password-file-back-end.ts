/**
 * Passwords from ocserv's file, and one-time codes from mod-authn-otp's after them (`plain[passwd=FILE,otp=FILE]`).
 *
 * An unknown user is asked for the same and answered after the same work as a known one.
 */
import type { Logger } from '../../core/log.ts';
import type { Secret } from '../../core/secret.ts';
import { systemErrorText } from '../../node/system-error.ts';
import { type BackEndLogin, type LoginAttempt, PASSWORD_PROMPT, type PasswordBackEnd, type Prompt, type Verdict } from './back-end.ts';
import { CurrentFile } from './current-file.ts';
import type { OtpFile } from './otp-file.ts';
import { type PasswordEntry, parsePasswordFile } from './password-file.ts';
import type { PasswordHasher } from './password-hash.ts';

/** Observed: ocserv asks for a code in the field of the password, with these words. */
const OTP_PROMPT: Prompt = { message: 'Please enter your OTP password.', label: 'Password:', kind: 'otp', isSecond: false };

/** Of no password: what an unknown user's is compared with, where the file has no entry to take the kind of hash from. */
const NOBODYS_HASH = '$5$................$................................................';

/** Behind the last `$`; of bcrypt the salt goes with it, which takes as long. */
const RESULT_OF_HASH = /[^$]{22,}$/;

export interface PasswordFileOptions {
  readonly passwordFile?: string;
  readonly otp?: OtpFile;
  readonly hasher: PasswordHasher;
  readonly log: Logger;
}

export class PasswordFileBackEnd implements PasswordBackEnd {
  readonly #passwords: CurrentFile<ReadonlyMap<string, PasswordEntry>> | undefined;
  readonly #otp: OtpFile | undefined;
  readonly #hasher: PasswordHasher;
  readonly #log: Logger;

  constructor({ passwordFile, otp, hasher, log }: PasswordFileOptions) {
    this.#passwords =
      passwordFile === undefined ? undefined : new CurrentFile(passwordFile, (bytes) => parsePasswordFile(bytes.toString()));
    this.#otp = otp;
    this.#hasher = hasher;
    this.#log = log;
  }

  login(attempt: LoginAttempt): BackEndLogin {
    let entry: PasswordEntry | undefined;
    let isAskedForCode = false;
    const askForCode = (): Verdict => {
      isAskedForCode = true;
      return { type: 'ask', prompt: OTP_PROMPT };
    };
    return {
      begin: async () =>
        this.#passwords === undefined && this.#otp !== undefined ? askForCode() : { type: 'ask', prompt: PASSWORD_PROMPT },
      answer: async (value) => {
        if (isAskedForCode) return this.#checkCode(attempt.user, entry?.groups ?? [], value);
        const found = await this.#checkPassword(attempt.user, value);
        if ('type' in found) return found;
        entry = found;
        return this.#otp === undefined ? { type: 'accepted', groups: entry.groups } : askForCode();
      },
      close: () => undefined,
    };
  }

  async groups(): Promise<readonly string[]> {
    const entries = await this.#entries();
    return [...new Set([...(entries?.values() ?? [])].flatMap((entry) => entry.groups))];
  }

  async #checkPassword(user: string, password: Secret): Promise<PasswordEntry | Verdict> {
    const entries = await this.#entries();
    if (entries === undefined) return { type: 'unavailable' };
    const entry = entries.get(user);
    const outcome = await this.#hasher.verify(password, entry?.hash ?? decoyOf(entries));
    if (outcome === 'busy') {
      this.#log.log('warn', 'too many passwords to check', {});
      return { type: 'unavailable' };
    }
    if (outcome === 'unsupported' && entry !== undefined) {
      this.#log.log('warn', 'password hash of a kind that is not known here', { user });
    }
    return outcome === 'right' && entry !== undefined && !entry.isLocked ? entry : { type: 'wrong', isFinal: false };
  }

  async #checkCode(user: string, groups: readonly string[], code: Secret): Promise<Verdict> {
    try {
      // Observed: with ocserv a wrong code ends the log-in.
      return (await this.#otp?.check(user, code)) === true ? { type: 'accepted', groups } : { type: 'wrong', isFinal: true };
    } catch (error) {
      this.#log.log('error', 'file of one-time codes', { file: this.#otp?.path, reason: systemErrorText(error) });
      return { type: 'unavailable' };
    }
  }

  async #entries(): Promise<ReadonlyMap<string, PasswordEntry> | undefined> {
    try {
      return await this.#passwords?.read();
    } catch (error) {
      this.#log.log('error', 'password file', { file: this.#passwords?.path, reason: systemErrorText(error) });
      return undefined;
    }
  }
}

/** A hash that takes as long as those of the file do, and that no password has: the first one's, with its result struck out. */
function decoyOf(entries: ReadonlyMap<string, PasswordEntry>): string {
  for (const { hash } of entries.values()) {
    if (hash.startsWith('$')) return hash.replace(RESULT_OF_HASH, (result) => '.'.repeat(result.length));
  }
  return NOBODYS_HASH;
}
