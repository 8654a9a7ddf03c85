/**
 * NTLM over HTTP: three messages on one connection, which is logged in afterwards; requests on it carry nothing more.
 *
 *   client ── request ──────────────────────────────► server
 *          ◄─ 401  WWW-Authenticate: NTLM ───────────
 *          ── Authorization: NTLM <negotiate> ──────►
 *          ◄─ 401  WWW-Authenticate: NTLM <challenge>
 *          ── Authorization: NTLM <authenticate> ───►   the same connection
 *          ◄─ 200 ───────────────────────────────────
 *
 * Read first: [MS-NTHT] section 3, [MS-NLMP] section 3.1.5. NTLMv2 only; the versions before it can be broken in minutes.
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import { PeerMisbehavedError } from '../../errors.ts';
import { ByteWriter } from '../../wire/byte-writer.ts';
import { fromBase64, toBase64 } from '../../wire/text.ts';
import type { Challenge } from './challenge.ts';
import {
  AV_IDS,
  type AvPair,
  decodeAvPairs,
  decodeNtlmChallenge,
  encodeAvPairs,
  encodeNtlmAuthenticate,
  encodeNtlmNegotiate,
  MIC_LENGTH,
  NTLM_FLAGS,
  type NtlmAuthenticate,
} from './ntlm-messages.ts';
import { fileTime, ntlmv2ResponseKey, ntlmv2Responses } from './ntlm-v2.ts';
import type { AuthenticatedRequest, AuthScheme, Credentials } from './scheme.ts';

type NtlmCrypto = Pick<CryptoProvider, 'hmac' | 'randomBytes'>;

const OUR_FLAGS =
  NTLM_FLAGS.unicode |
  NTLM_FLAGS.requestTarget |
  NTLM_FLAGS.ntlm |
  NTLM_FLAGS.alwaysSign |
  NTLM_FLAGS.extendedSessionSecurity |
  NTLM_FLAGS.key128;

/** [MS-NLMP] section 2.2.2.1, MsvAvFlags: the authenticate message has a MIC. */
const MIC_PRESENT = 2;

const CLIENT_CHALLENGE_BYTES = 8;

type State =
  | { readonly at: 'start' }
  | { readonly at: 'negotiate-sent'; readonly negotiate: Uint8Array }
  | { readonly at: 'challenged'; readonly negotiate: Uint8Array; readonly challenge: Uint8Array }
  | { readonly at: 'authenticate-sent' };

export class NtlmScheme implements AuthScheme {
  readonly name = 'ntlm';
  readonly #credentials: Credentials;
  readonly #crypto: NtlmCrypto;
  #state: State = { at: 'start' };

  constructor(credentials: Credentials, crypto: NtlmCrypto) {
    this.#credentials = credentials;
    this.#crypto = crypto;
  }

  challenged(challenges: readonly Challenge[], isKept: boolean): string | undefined {
    const token = challenges.find((challenge) => challenge.token !== undefined)?.token;
    switch (this.#state.at) {
      case 'start':
        return undefined;
      case 'negotiate-sent':
        if (token === undefined) return 'the server did not answer the first message';
        if (!isKept) return 'the server closed the connection that was to be logged in';
        return this.#take(token, this.#state.negotiate);
      case 'challenged':
      case 'authenticate-sent':
        return 'the name or password was not accepted';
    }
  }

  authorization(_request: AuthenticatedRequest, unixMillis: number): string | undefined {
    const state = this.#state;
    switch (state.at) {
      case 'start':
      case 'negotiate-sent': {
        const negotiate = encodeNtlmNegotiate({ flags: OUR_FLAGS });
        this.#state = { at: 'negotiate-sent', negotiate };
        return `NTLM ${toBase64(negotiate)}`;
      }
      case 'challenged': {
        const time = fileTime(unixMillis);
        const message = ntlmAuthenticate(this.#crypto, this.#credentials, { ...state, time });
        this.#state = { at: 'authenticate-sent' };
        return `NTLM ${toBase64(message)}`;
      }
      case 'authenticate-sent':
        return undefined;
    }
  }

  connectionOpened(): void {
    this.#state = { at: 'start' };
  }

  #take(token: string, negotiate: Uint8Array): string | undefined {
    try {
      const challenge = fromBase64(token);
      const { flags, targetInfo } = decodeNtlmChallenge(challenge);
      decodeAvPairs(targetInfo);
      if ((flags & NTLM_FLAGS.unicode) === 0) return 'the server does not know Unicode';
      this.#state = { at: 'challenged', negotiate, challenge };
      return undefined;
    } catch (error) {
      if (error instanceof PeerMisbehavedError) return `the server's message is not valid (${error.message})`;
      throw error;
    }
  }
}

interface Conversation {
  /** The first two messages, as they were sent and received. */
  readonly negotiate: Uint8Array;
  readonly challenge: Uint8Array;
  /** As {@link fileTime} has it. */
  readonly time: Uint8Array;
}

/** The third message. Throws {@link PeerMisbehavedError} if the second is not valid. */
export function ntlmAuthenticate(crypto: NtlmCrypto, { username, password }: Credentials, conversation: Conversation): Uint8Array {
  const { negotiate, challenge } = conversation;
  const { flags, serverChallenge, targetInfo } = decodeNtlmChallenge(challenge);
  const { domain, user } = splitUser(username);
  // [MS-NLMP] section 3.1.5.1.2: a server that sends its time gets it back, wants a MIC, and wants no LM response.
  const pairs = decodeAvPairs(targetInfo);
  const serverTime = pairs.find(({ id, value }) => id === AV_IDS.timestamp && value.length === 8)?.value;
  const { ntResponse, lmResponse, sessionBaseKey } = ntlmv2Responses(crypto, {
    responseKey: ntlmv2ResponseKey(crypto, user, domain, password.reveal()),
    serverChallenge,
    clientChallenge: crypto.randomBytes(CLIENT_CHALLENGE_BYTES),
    targetInfo: serverTime === undefined ? targetInfo : withMicFlag(pairs),
    time: serverTime ?? conversation.time,
  });
  const fields: NtlmAuthenticate = {
    flags: OUR_FLAGS & flags,
    lmResponse: serverTime === undefined ? lmResponse : new Uint8Array(lmResponse.length),
    ntResponse,
    domain,
    user,
    workstation: '',
    mic: undefined,
  };
  if (serverTime === undefined) return encodeNtlmAuthenticate(fields);
  const withoutMic = encodeNtlmAuthenticate({ ...fields, mic: new Uint8Array(MIC_LENGTH) });
  const transcript = new ByteWriter().bytes(negotiate).bytes(challenge).bytes(withoutMic).finish();
  // Without a key exchange the session base key is the exported session key (section 3.1.5.1.2).
  return encodeNtlmAuthenticate({ ...fields, mic: crypto.hmac('md5', sessionBaseKey, transcript) });
}

/** Windows names a user as `DOMAIN\user`; `user@domain` goes whole into the user field. */
function splitUser(username: string): { domain: string; user: string } {
  const backslash = username.indexOf('\\');
  return { domain: username.slice(0, Math.max(backslash, 0)), user: username.slice(backslash + 1) };
}

function withMicFlag(pairs: readonly AvPair[]): Uint8Array {
  const old = pairs.find(({ id, value }) => id === AV_IDS.flags && value.length === 4)?.value;
  const value = Uint8Array.from(old ?? new Uint8Array(4)); // 32 bits, low byte first
  value[0] = (value[0] ?? 0) | MIC_PRESENT;
  return encodeAvPairs([...pairs.filter(({ id }) => id !== AV_IDS.flags), { id: AV_IDS.flags, value }]);
}
