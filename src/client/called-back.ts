/** What a caller's own functions do: their errors are the caller's, and what they answer may be anything. */
import type { AuthForm, FormAnswer } from '../core/auth/form.ts';
import { MisuseError, SallyportError } from '../core/errors.ts';
import { Secret } from '../core/secret.ts';
import type { TrustQuestion } from './server-trust.ts';

/** Rejects with the function's own {@link SallyportError}, and with {@link MisuseError}, which has the cause, for whatever else it throws. */
async function calledBack<T>(name: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof SallyportError) throw cause;
    throw new MisuseError(`${name} has thrown: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** `onForm`, whose answer is one. Rejects with {@link MisuseError} where it is none. */
export function checkedOnForm(onForm: (form: AuthForm) => Promise<FormAnswer>): (form: AuthForm) => Promise<FormAnswer> {
  return async (form) => {
    const answer: unknown = await calledBack('onForm', async () => onForm(form));
    if (isFormAnswer(answer)) return answer;
    throw new MisuseError(
      'onForm answers with { type: "submit", values: { NAME: TEXT } }, { type: "change-group", group } or { type: "cancel" }.',
    );
  };
}

/** `onCertificate`: only `true` is yes. */
export function checkedOnCertificate(ask: (question: TrustQuestion) => Promise<boolean>): (question: TrustQuestion) => Promise<boolean> {
  return async (question) => (await calledBack('onCertificate', async () => ask(question))) === true;
}

function isFormAnswer(answer: unknown): answer is FormAnswer {
  if (typeof answer !== 'object' || answer === null || !('type' in answer)) return false;
  if (answer.type === 'cancel') return true;
  if (answer.type === 'change-group') return 'group' in answer && typeof answer.group === 'string';
  if (answer.type !== 'submit' || !('values' in answer) || typeof answer.values !== 'object' || answer.values === null) return false;
  return Object.values(answer.values).every((value) => typeof value === 'string' || value instanceof Secret);
}
