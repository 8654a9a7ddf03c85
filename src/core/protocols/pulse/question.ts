/**
 * What a gateway asks in one step of a log-in, and the words of an answer.
 *
 * Read first: spec "Pulse", sections 6.3 to 6.10.
 */
import { PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { printable, utf8 } from '../../wire/text.ts';
import { AVP_CODES, type Avp, decodeAvps, eapAvp, numberAvp, numberOf, textAvp, textOf } from './avp.ts';
import { decodeEap, EAP_CODES, EAP_METHODS } from './eap.ts';
import { decodePasswordRequest, encodePasswordResponse, MAX_PASSWORD_BYTES, type PasswordResponse } from './password-method.ts';

export type Question =
  | { readonly kind: 'realm-entry' }
  | { readonly kind: 'realm'; readonly realms: readonly string[] }
  | PasswordQuestion
  | { readonly kind: 'code'; readonly id: number; readonly prompt: string }
  | { readonly kind: 'session'; readonly sessions: readonly ExistingSession[] }
  | { readonly kind: 'notice'; readonly text: string };

export interface PasswordQuestion {
  readonly kind: 'password';
  /** Of the inner packet. */
  readonly id: number;
  readonly type: 'ask' | 'again' | 'change';
  /** Spec 6.5: what is asked for besides the first password. */
  readonly secondaryMode?: number;
  readonly usernameLabel?: string;
  readonly passwordLabel?: string;
}

export interface ExistingSession {
  readonly id: string;
  readonly address: string;
}

/** Throws {@link PeerRefusedError} for a "no", {@link UnsupportedError} for what is not spoken, {@link PeerMisbehavedError} for no or two questions. */
export function questionOf(avps: readonly Avp[]): Question {
  const all = (code: number) => avps.filter((avp) => avp.code === code);
  const [failure] = all(AVP_CODES.failure);
  if (failure !== undefined) throw new PeerRefusedError(failureText(numberOf(failure)));
  const [message] = all(AVP_CODES.eapMessage);
  const realms = all(AVP_CODES.realmOffered).map((avp) => printable(textOf(avp)));
  const sessions = all(AVP_CODES.existingSession).map(({ data }) => sessionIn(data));
  const questions: Question[] = [
    ...(all(AVP_CODES.realmWanted).length > 0 ? [{ kind: 'realm-entry' } as const] : []),
    ...(realms.length > 0 ? [{ kind: 'realm', realms } as const] : []),
    ...(sessions.length > 0 ? [{ kind: 'session', sessions } as const] : []),
    ...(message === undefined ? [] : [innerQuestion(message, avps)]),
  ];
  const [notice] = all(AVP_CODES.notice);
  // A notice beside another question is not answered.
  if (notice !== undefined && questions.length === 0) return { kind: 'notice', text: printable(textOf(notice)) };
  const [question, another] = questions;
  if (question === undefined || another !== undefined) throw new PeerMisbehavedError('The gateway asked nothing, or two things at once.');
  return question;
}

export function passwordAnswer({ id }: PasswordQuestion, response: PasswordResponse, username: string | undefined): Avp[] {
  for (const secret of [response.password, response.newPassword ?? '']) {
    if (utf8(secret).length > MAX_PASSWORD_BYTES)
      throw new UnsupportedError(`A password of more than ${MAX_PASSWORD_BYTES} bytes cannot be sent.`);
  }
  const packet = { code: EAP_CODES.response, id, method: EAP_METHODS.password, data: encodePasswordResponse(response) };
  return [...(username === undefined ? [] : [textAvp(AVP_CODES.username, username)]), eapAvp(packet)];
}

export function codeAnswer(id: number, code: string, username: string | undefined): Avp[] {
  const packet = { code: EAP_CODES.response, id, method: EAP_METHODS.tokenCard, data: utf8(code) };
  return [...(username === undefined ? [] : [textAvp(AVP_CODES.username, username)]), eapAvp(packet)];
}

export const NOTICE_ACCEPTED: readonly Avp[] = [numberAvp(AVP_CODES.noticeAccepted, 1)];

function innerQuestion(message: Avp, avps: readonly Avp[]): Question {
  const { code, id, method, data } = decodeEap(message.data);
  if (code !== EAP_CODES.request) throw new PeerMisbehavedError('EAP: expected a request inside');
  if (method === EAP_METHODS.tokenCard) return { kind: 'code', id, prompt: printable(textOf({ code, data })) };
  if (method === EAP_METHODS.hostCheck) {
    throw new UnsupportedError(
      'The gateway asks for a check of this machine (Host Checker), which Sallyport cannot give by this protocol.',
    );
  }
  if (method !== EAP_METHODS.password) throw new UnsupportedError(`The gateway asks by EAP method ${method ?? 0}, which nobody knows.`);
  const request = decodePasswordRequest(data);
  if (request.type === 'failed') throw new PeerRefusedError(`The gateway refused the log-in: ${printable(request.text)}`);
  const [mode] = avps.filter((avp) => avp.code === AVP_CODES.secondaryMode);
  const label = (labelCode: number) => {
    const avp = avps.find((other) => other.code === labelCode);
    return avp === undefined ? '' : printable(textOf(avp)).trim();
  };
  const username = label(mode === undefined ? AVP_CODES.usernameLabel : AVP_CODES.secondUsernameLabel);
  const password = label(mode === undefined ? AVP_CODES.passwordLabel : AVP_CODES.secondPasswordLabel);
  return {
    ...{ kind: 'password', id, type: request.type },
    ...(mode !== undefined && { secondaryMode: numberOf(mode) }),
    ...(username !== '' && { usernameLabel: username }),
    ...(password !== '' && { passwordLabel: password }),
  };
}

function sessionIn(data: Uint8Array): ExistingSession {
  const avps = decodeAvps(data);
  const text = (code: number) => {
    const avp = avps.find((other) => other.code === code);
    return avp === undefined ? '' : textOf(avp);
  };
  return { id: text(AVP_CODES.existingSessionId), address: printable(text(AVP_CODES.existingSessionAddress)) };
}

/** Spec 6.9. */
function failureText(code: number): string {
  if (code === 0x0d) return 'The account is locked.';
  if (code === 0x0e) return 'The gateway wants a client certificate: name it with --certificate.';
  return `The gateway refused the log-in (code ${code}).`;
}
