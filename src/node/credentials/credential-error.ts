/** What can be wrong with the user's own certificate and key. Nobody on the network is to blame; the message names the file and what to do. */
import { SallyportError } from '../../core/errors.ts';

/** A file that cannot be read, is damaged or is not what it should be; a key that belongs to another certificate. */
export class CredentialError extends SallyportError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: string }) {
    super(options?.code ?? 'ERR_CREDENTIAL', message, options);
  }
}

/** The password does not open the file. The caller may ask again and load again: nothing is kept. */
export class WrongPasswordError extends CredentialError {
  constructor(file: string) {
    super(`The password for ${file} is wrong.`, { code: 'ERR_WRONG_PASSWORD' });
  }
}

/** The file is protected, no password was given, and there was nobody to ask, or they did not answer. */
export class PasswordNeededError extends CredentialError {
  constructor(file: string) {
    super(`${file} is protected by a password, and none was given.`, { code: 'ERR_PASSWORD_NEEDED' });
  }
}
