/** What can be wrong with the user's own certificate and key. Nobody on the network is to blame; the message names the file and what to do. */
import { SallyportError } from '../../core/errors.ts';

/** A file that cannot be read, is damaged or is not what it should be; a key that belongs to another certificate. */
export class CredentialError extends SallyportError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: string }) {
    super(options?.code ?? 'ERR_CREDENTIAL', message, options);
  }
}

/** What a password protects; people are asked for it, and told that it is wrong, in words that depend on it. */
export interface ProtectedFile {
  readonly file: string;
  /** `PEM` is its traditional encryption; PKCS #8 may be in PEM or in DER. */
  readonly format: 'PKCS#12' | 'PKCS#8' | 'PEM';
}

/** The password does not open the file. The caller may ask again and load again: nothing is kept. */
export class WrongPasswordError extends CredentialError {
  readonly protectedFile: ProtectedFile;

  constructor(protectedFile: ProtectedFile) {
    super(`${protectedFile.file}: the password is wrong`, { code: 'ERR_WRONG_PASSWORD' });
    this.protectedFile = protectedFile;
  }
}

/** The file is protected, no password was given, and there was nobody to ask, or they did not answer. */
export class PasswordNeededError extends CredentialError {
  readonly protectedFile: ProtectedFile;

  constructor(protectedFile: ProtectedFile) {
    super(`${protectedFile.file}: it is protected by a password, and none was given`, { code: 'ERR_PASSWORD_NEEDED' });
    this.protectedFile = protectedFile;
  }
}
