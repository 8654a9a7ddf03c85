/** Loads the user's certificate, asking for the password of its file where one is needed (spec "CLI", section 3.2). */
import type { Logger } from '../../core/log.ts';
import { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type ClientIdentity, loadClientIdentity } from '../../node/credentials/client-identity.ts';
import { type ProtectedFile, WrongPasswordError } from '../../node/credentials/credential-error.ts';
import { fileSystemId } from '../../node/credentials/file-system-id.ts';
import type { CertificateSettings } from './settings.ts';
import type { Terminal } from './terminal.ts';

/** Times that a person is asked for a password. */
const MAX_TRIES = 3;

/** openconnect's prompts and complaints. */
const WORDS: Readonly<Record<ProtectedFile['format'], { readonly prompt: string; readonly wrong: string }>> = {
  'PKCS#12': { prompt: 'Enter PKCS#12 pass phrase:', wrong: 'Failed to decrypt PKCS#12 certificate file' },
  'PKCS#8': { prompt: 'Enter PEM pass phrase:', wrong: 'Failed to decrypt PKCS#8 certificate file' },
  PEM: { prompt: 'Enter PEM pass phrase:', wrong: 'Decrypting PEM key failed' },
};

/** Rejects with what {@link loadClientIdentity} rejects with, and with what the terminal does. */
export async function loadCertificate(settings: CertificateSettings, terminal: Terminal, signal: AbortSignal): Promise<ClientIdentity> {
  const { certificate, key } = settings;
  const password = settings.passwordFromFsid ? await fileSystemId(key) : settings.password;
  if (password !== undefined) return loadClientIdentity({ certificate, key, password });
  const askPassword = async ({ format }: ProtectedFile) => new Secret(await terminal.ask(WORDS[format].prompt, { hidden: true, signal }));
  for (let tries = 1; ; tries++) {
    try {
      return await loadClientIdentity({ certificate, key, askPassword });
    } catch (error) {
      if (!(error instanceof WrongPasswordError) || tries === MAX_TRIES) throw error;
      terminal.show(WORDS[error.protectedFile.format].wrong);
    }
  }
}

/** Says when a certificate has expired or soon will; `warning`: how soon is soon. */
export function warnOfExpiry({ notAfter }: ClientIdentity, warning: Millis, now: Date, log: Logger): void {
  const left = notAfter.getTime() - now.getTime();
  if (left <= 0) log.log('error', 'certificate expired', { time: notAfter.toUTCString() });
  else if (left < warning) log.log('error', 'certificate expires', { time: notAfter.toUTCString() });
}
