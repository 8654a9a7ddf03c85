/**
 * The arithmetic of NTLMv2: from a password and a server's challenge to the two responses.
 *
 * Read first: [MS-NLMP] section 3.3.2 (the names of its variables are kept), with the worked example of section 4.2.4.
 */

import { md4 } from '../../crypto/md4.ts';
import type { CryptoProvider } from '../../crypto/provider.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { utf16 } from './ntlm-messages.ts';

type Hmac = Pick<CryptoProvider, 'hmac'>;

export interface Ntlmv2Input {
  readonly responseKey: Uint8Array;
  /** 8 bytes each. */
  readonly serverChallenge: Uint8Array;
  readonly clientChallenge: Uint8Array;
  /** The server's attribute-value pairs, as they go back to it. */
  readonly targetInfo: Uint8Array;
  /** 100 ns since 1601, 8 bytes, low byte first. */
  readonly time: Uint8Array;
}

export interface Ntlmv2Responses {
  readonly ntResponse: Uint8Array;
  readonly lmResponse: Uint8Array;
  readonly sessionBaseKey: Uint8Array;
}

/** NTOWFv2: the key that a password and a user are worth. */
export function ntlmv2ResponseKey(crypto: Hmac, user: string, domain: string, password: string): Uint8Array {
  return crypto.hmac('md5', md4(utf16(password)), utf16(upperCase(user) + domain));
}

export function ntlmv2Responses(crypto: Hmac, input: Ntlmv2Input): Ntlmv2Responses {
  const { responseKey, serverChallenge, clientChallenge, targetInfo, time } = input;
  const temp = new ByteWriter()
    .bytes(Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 0))
    .bytes(time)
    .bytes(clientChallenge)
    .bytes(new Uint8Array(4))
    .bytes(targetInfo)
    .bytes(new Uint8Array(4))
    .finish();
  const proofOver = (tail: Uint8Array) => crypto.hmac('md5', responseKey, new ByteWriter().bytes(serverChallenge).bytes(tail).finish());
  const ntProof = proofOver(temp);
  return {
    ntResponse: new ByteWriter().bytes(ntProof).bytes(temp).finish(),
    lmResponse: new ByteWriter().bytes(proofOver(clientChallenge)).bytes(clientChallenge).finish(),
    sessionBaseKey: crypto.hmac('md5', responseKey, ntProof),
  };
}

/** A moment as Windows counts it: 100 ns since 1601, 8 bytes, low byte first. */
export function fileTime(unixMillis: number): Uint8Array {
  const MILLIS_FROM_1601_TO_1970 = 11_644_473_600_000n;
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, (BigInt(Math.trunc(unixMillis)) + MILLIS_FROM_1601_TO_1970) * 10_000n, true);
  return new Uint8Array(view.buffer);
}

/** Windows maps letter by letter: what would become two letters (ß) stays. */
function upperCase(text: string): string {
  return Array.from(text, (letter) => (letter.toUpperCase().length === letter.length ? letter.toUpperCase() : letter)).join('');
}
