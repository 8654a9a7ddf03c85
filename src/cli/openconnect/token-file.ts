/** The secret of a software token: given as it is, or in a file that is rewritten as the token's counter advances (spec "CLI", `--token-secret`). */
import { readFile } from 'node:fs/promises';
import type { ParsedTokenSecret } from '../../core/auth/token-secret.ts';
import { MisuseError, SallyportError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import { Secret } from '../../core/secret.ts';
import { replaceFile } from '../../node/replace-file.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { TokenSettings } from './settings.ts';

export type LoadedToken =
  | { readonly mode: 'oidc'; readonly bearer: Secret }
  | {
      readonly mode: 'totp' | 'hotp';
      readonly secret: ParsedTokenSecret;
      /** Keeps the secret with its new counter, where it came from a file. What the system refuses is said, and the log-in goes on, as openconnect's does. */
      keep(secret: Secret): Promise<void>;
    };

/** Code of the error of a secret that is none, or that cannot be read. Its message is openconnect's line: tools look for it. */
export const TOKEN_REFUSED = 'ERR_TOKEN';

/** `@file` and `/file` name a file; anything else is the secret. Throws {@link SallyportError} ({@link TOKEN_REFUSED}). */
export async function loadToken({ mode, secret }: TokenSettings, log: Logger): Promise<LoadedToken> {
  const file = fileOf(secret);
  const text = file === undefined ? secret : await readSecret(file);
  if (mode === 'oidc') return { mode, bearer: new Secret(text.reveal().trim()) };
  const keep = async (next: Secret) => {
    if (file === undefined) return;
    try {
      await replaceFile(file, Buffer.from(next.reveal()), { mayWriteInPlace: true });
    } catch (error) {
      log.log('error', 'token not kept', { reason: systemErrorText(error) });
    }
  };
  return { mode, secret: await parsed(mode, text), keep };
}

function fileOf(secret: Secret): string | undefined {
  const text = secret.reveal();
  if (text.startsWith('@')) return text.slice(1);
  return text.startsWith('/') ? text : undefined;
}

async function readSecret(file: string): Promise<Secret> {
  try {
    return new Secret(await readFile(file, 'utf8'));
  } catch (error) {
    throw new SallyportError(TOKEN_REFUSED, `Failed to open ${file}: ${systemErrorText(error)}`, { cause: error });
  }
}

async function parsed(mode: 'totp' | 'hotp', secret: Secret): Promise<ParsedTokenSecret> {
  const { parseTokenSecret } = await import('../../core/auth/token-secret.ts'); // few need it
  try {
    return parseTokenSecret(mode, secret);
  } catch (error) {
    if (!(error instanceof MisuseError)) throw error;
    throw new SallyportError(TOKEN_REFUSED, 'Soft token string is invalid', { cause: error });
  }
}
