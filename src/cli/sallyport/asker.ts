/** Who answers what was not answered beforehand: a person at a terminal (terminal-asker.ts), or nobody (unattended-asker.ts). */
import type { TrustQuestion } from '../../client/server-trust.ts';
import type { AuthForm, FormAnswer } from '../../core/auth/form.ts';
import type { Secret } from '../../core/secret.ts';
import type { ProtectedFile } from '../../node/credentials/credential-error.ts';

export interface Asker {
  /** The form holds what is left to answer. */
  answer(form: AuthForm): Promise<FormAnswer>;
  /** Whether to go on with a gateway whose certificate nobody vouches for. */
  trust(question: TrustQuestion): Promise<boolean>;
  /** The password of a file; `isWrong`: the last one was. */
  password(file: ProtectedFile, isWrong: boolean): Promise<Secret>;
}
