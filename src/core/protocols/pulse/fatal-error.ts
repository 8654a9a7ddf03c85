/**
 * The word by which a Pulse gateway ends a session.
 *
 * Read first: spec "Pulse", section 11.
 *
 *   errorType=8 errorString=it+was+idle LF
 */
import { encodeFormText, percentDecode } from '../../http/form-urlencoded.ts';
import { fromUtf8, printable, utf8 } from '../../wire/text.ts';

export const FATAL_ERRORS = { replaced: 6, ended: 7, idle: 8 } as const;

/** Characters of a gateway's reason that are shown, and bytes that are sent. */
const MAX_REASON_LENGTH = 1000;

export interface FatalError {
  readonly type: number;
  /** For people. */
  readonly text: string;
}

export function encodeFatalError({ type, text }: FatalError): Uint8Array {
  return utf8(`errorType=${type} errorString=${encodeFormText(text.slice(0, MAX_REASON_LENGTH))}\n`);
}

/** Whatever can be made of it: the session is over in any case. */
export function decodeFatalError(payload: Uint8Array): FatalError {
  const text = fromUtf8(payload);
  const type = /errorType=(\d{1,9})/.exec(text)?.[1];
  const words = /errorString=(\S*)/.exec(text)?.[1] ?? '';
  return { type: Number(type ?? 0), text: printable(percentDecode(words.replaceAll('+', ' '))).slice(0, MAX_REASON_LENGTH) };
}
