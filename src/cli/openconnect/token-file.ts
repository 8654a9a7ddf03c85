/** The secret of a software token: given as it is, or in a file that is rewritten as the token's counter advances (spec "CLI", `--token-secret`). */
import { readFile } from 'node:fs/promises';
import { MisuseError } from '../../core/errors.ts';
import { Secret } from '../../core/secret.ts';
import { replaceFile } from '../../node/replace-file.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { TokenSettings } from './settings.ts';

export interface LoadedToken {
  readonly mode: TokenSettings['mode'];
  readonly secret: Secret;
  /** Keeps the secret with its new counter, where it came from a file. */
  keep(secret: Secret): Promise<void>;
}

/** `@file` and `/file` name a file; anything else is the secret. Throws {@link MisuseError} if the file cannot be read. */
export async function loadToken({ mode, secret }: TokenSettings): Promise<LoadedToken> {
  const file = fileOf(secret);
  if (file === undefined) return { mode, secret, keep: () => Promise.resolve() };
  try {
    const text = await readFile(file, 'utf8');
    return { mode, secret: new Secret(text.trimEnd()), keep: (next) => replaceFile(file, Buffer.from(`${next.reveal()}\n`)) };
  } catch (error) {
    throw new MisuseError(`The token's file ${file} cannot be read: ${systemErrorText(error)}.`, { cause: error });
  }
}

function fileOf(secret: Secret): string | undefined {
  const text = secret.reveal();
  if (text.startsWith('@')) return text.slice(1);
  return text.startsWith('/') ? text : undefined;
}
