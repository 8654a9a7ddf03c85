/**
 * A credential file with its encrypted parts opened. Asks for a password only if a part that is wanted cannot be had without one,
 * and at most once for a file.
 */
import { Secret } from '../../core/secret.ts';
import { PasswordNeededError, type ProtectedFile, WrongPasswordError } from './credential-error.ts';
import type { CredentialItem, KeyFormat } from './credential-file.ts';
import { decrypt } from './password-based-encryption.ts';
import { type PasswordForms, passwordForms } from './password-bytes.ts';
import { openPkcs12, type Pkcs12Contents, type Pkcs12File } from './pkcs12.ts';

/** Asks the person for the password of a file. Undefined: no answer. */
export type AskPassword = (what: ProtectedFile) => Promise<Secret | undefined>;

export interface PasswordSource {
  /** What was given beforehand: used for every file that needs one, and then nobody is asked. */
  readonly password?: Secret | undefined;
  readonly askPassword?: AskPassword | undefined;
  /** Character set of the locale, as `localeCharset` names it: one of those that the file's maker may have used. */
  readonly charset: string;
}

export interface OpenedCertificate {
  readonly der: Uint8Array;
  readonly localKeyId?: string;
}

export interface OpenedKey {
  readonly format: KeyFormat;
  readonly der: Uint8Array;
  readonly localKeyId?: string;
}

/** What is in a file, in its order. */
export interface OpenedFile {
  readonly certificates: readonly OpenedCertificate[];
  readonly keys: readonly OpenedKey[];
}

/**
 * Opens what is wanted of a file. Throws {@link WrongPasswordError} or {@link PasswordNeededError}; UnsupportedError for a wanted key
 * that we cannot use; {@link SallyportError} for damage.
 */
export async function openItems(
  path: string,
  items: readonly CredentialItem[],
  wanted: { readonly keys: boolean },
  source: PasswordSource,
): Promise<OpenedFile> {
  const password = new FilePassword(path, source);
  const certificates: OpenedCertificate[] = [];
  const keys: OpenedKey[] = [];
  for (const item of items) {
    if (item.type === 'certificate') {
      certificates.push({ der: item.der });
    } else if (item.type === 'pkcs12') {
      const contents = await openPkcs12File(item.file, password);
      certificates.push(...contents.certificates);
      keys.push(...contents.keys.map((key) => ({ format: 'pkcs8' as const, ...key })));
    } else if (wanted.keys) {
      keys.push(await openKey(item, password));
    }
  }
  return { certificates, keys };
}

async function openPkcs12File(file: Pkcs12File, password: FilePassword): Promise<Pkcs12Contents> {
  // Many files have an empty password, which nobody should be asked for.
  const unasked = password.isGiven ? undefined : await openPkcs12(file, password.formsOf(new Secret('')));
  return unasked ?? password.open('PKCS#12', (forms) => openPkcs12(file, forms));
}

type KeyItem = Extract<CredentialItem, { type: 'key' | 'encrypted-key' | 'unsupported-key' }>;

async function openKey(item: KeyItem, password: FilePassword): Promise<OpenedKey> {
  switch (item.type) {
    case 'key':
      return item;
    case 'encrypted-key':
      return {
        format: item.format,
        der: await password.open(item.protection, (forms) => decrypt(item.encryption, item.ciphertext, forms)),
      };
    case 'unsupported-key':
      throw item.why;
  }
}

/** The password of one file. */
class FilePassword {
  readonly #path: string;
  readonly #source: PasswordSource;
  #answer: Secret | undefined;

  constructor(path: string, source: PasswordSource) {
    this.#path = path;
    this.#source = source;
    this.#answer = source.password;
  }

  get isGiven(): boolean {
    return this.#answer !== undefined;
  }

  formsOf(password: Secret): PasswordForms {
    return passwordForms(password, this.#source.charset);
  }

  /** Hands over the forms of the password, which is asked for if it was not given. An attempt that yields undefined found it wrong. */
  async open<T>(format: ProtectedFile['format'], attempt: (forms: PasswordForms) => Promise<T | undefined>): Promise<T> {
    const what = { file: this.#path, format };
    this.#answer ??= await this.#source.askPassword?.(what);
    if (this.#answer === undefined) throw new PasswordNeededError(what);
    const opened = await attempt(this.formsOf(this.#answer));
    if (opened === undefined) throw new WrongPasswordError(what);
    return opened;
  }
}
