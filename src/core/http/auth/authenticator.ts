/**
 * HTTP authentication as a client: which scheme to answer with, and what a response means for it (RFC 9110 §11, RFC 7235).
 *
 *   request ─ authorization() ─► … ─► response ─ receive() ─► passed │ again │ ask │ refused
 *
 * One authenticator serves one server (the gateway, or the proxy in front of it) for as long as its credentials hold.
 * It takes the strongest scheme that is offered and allowed; when that is rejected, the next; and gives up after a fixed number of rounds.
 */
import type { CryptoProvider } from '../../crypto/provider.ts';
import type { Secret } from '../../secret.ts';
import { type HttpResponse, headerValues } from '../message.ts';
import { basicScheme, bearerScheme } from './basic.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { DigestScheme } from './digest.ts';
import { NtlmScheme } from './ntlm.ts';
import type { AuthenticatedRequest, AuthScheme, AuthSchemeName, Credentials } from './scheme.ts';

/** Strongest first. Bearer and Basic hand over the secret itself; a token at least expires. */
const SCHEMES_BY_STRENGTH: readonly AuthSchemeName[] = ['negotiate', 'ntlm', 'digest', 'bearer', 'basic'];

/** As people write them. */
const TITLES: Readonly<Record<AuthSchemeName, string>> = {
  negotiate: 'Negotiate',
  ntlm: 'NTLM',
  digest: 'Digest',
  bearer: 'Bearer',
  basic: 'Basic',
};

/** What the drop-in command allows by default: nothing that shows the password to the server. */
export const DEFAULT_AUTH_SCHEMES: readonly AuthSchemeName[] = ['negotiate', 'ntlm', 'digest'];

/** Challenges in a row before we give up: NTLM takes two, a stale nonce one more, and there are five schemes. */
const MAX_ROUNDS = 12;

const SIDES = {
  origin: { status: 401, challengeHeader: 'WWW-Authenticate', credentialsHeader: 'Authorization' },
  proxy: { status: 407, challengeHeader: 'Proxy-Authenticate', credentialsHeader: 'Proxy-Authorization' },
} as const;

export interface HttpAuthenticatorOptions {
  readonly side: keyof typeof SIDES;
  readonly crypto: Pick<CryptoProvider, 'hash' | 'hmac' | 'randomBytes'>;
  /** Default: {@link DEFAULT_AUTH_SCHEMES}. */
  readonly allowed?: readonly AuthSchemeName[];
  /** Absent: `receive` asks for them when a scheme needs them. */
  readonly credentials?: Credentials;
  /** For Bearer, which is for the gateway only. */
  readonly bearerToken?: Secret;
}

/** What to do with a response. */
export type AuthStep =
  /** It asks for no authentication: it is the answer. */
  | { readonly type: 'passed' }
  /** Send the request again, with what `authorization` says then; on the same connection if it is kept. */
  | { readonly type: 'again' }
  /** Name and password are needed: hand them to `answer`, or give up. */
  | { readonly type: 'ask'; readonly scheme: AuthSchemeName; readonly realm: string }
  /** Nothing more can be tried; `message` says what was offered and why each did not do. */
  | { readonly type: 'refused'; readonly message: string };

export class HttpAuthenticator {
  readonly #options: HttpAuthenticatorOptions;
  readonly #side: (typeof SIDES)[keyof typeof SIDES];
  #credentials: Credentials | undefined;
  #active: AuthScheme | undefined;
  #challenges: readonly Challenge[] = [];
  #isKept = false;
  /** Why a scheme was given up. */
  readonly #givenUp = new Map<string, string>();
  #rounds = 0;

  constructor(options: HttpAuthenticatorOptions) {
    this.#options = options;
    this.#side = SIDES[options.side];
    this.#credentials = options.credentials;
  }

  /** The header to send with a request; undefined if none is due. `unixMillis` is the time of day, which NTLM needs. */
  authorization(request: AuthenticatedRequest, unixMillis: number): readonly [name: string, value: string] | undefined {
    const value = this.#active?.authorization(request, unixMillis);
    return value === undefined ? undefined : [this.#side.credentialsHeader, value];
  }

  /** A new connection is used from now on: what was bound to the old one starts again. */
  connectionOpened(): void {
    this.#active?.connectionOpened?.();
  }

  /** Takes a response; `isKept` says that its connection stays open. Throws {@link PeerMisbehavedError}. */
  receive(response: HttpResponse, isKept: boolean): AuthStep {
    if (response.status !== this.#side.status) {
      this.#active?.accepted?.();
      this.#rounds = 0;
      return { type: 'passed' };
    }
    if (++this.#rounds > MAX_ROUNDS) return { type: 'refused', message: `HTTP authentication did not end after ${MAX_ROUNDS} rounds.` };
    this.#challenges = parseChallenges(headerValues(response.headers, this.#side.challengeHeader));
    this.#isKept = isKept;
    return this.#active === undefined ? this.#choose() : this.#continue(this.#active);
  }

  /** Hands over what `receive` asked for. */
  answer(credentials: Credentials): AuthStep {
    this.#credentials = credentials;
    return this.#choose();
  }

  #continue(active: AuthScheme): AuthStep {
    const challenges = this.#challengesOf(active.name);
    const reason = challenges.length === 0 ? 'it is no longer offered' : active.challenged(challenges, this.#isKept);
    if (reason === undefined) return { type: 'again' };
    this.#givenUp.set(active.name, reason);
    this.#active = undefined;
    return this.#choose();
  }

  /** Begins with the strongest scheme that is offered and was not given up. */
  #choose(): AuthStep {
    for (const name of SCHEMES_BY_STRENGTH) {
      const challenges = this.#challengesOf(name);
      const [first] = challenges;
      if (first === undefined || this.#givenUp.has(name)) continue;
      const scheme = this.#scheme(name);
      if (scheme === undefined) return { type: 'ask', scheme: name, realm: first.parameters.get('realm') ?? '' };
      const reason = scheme.challenged(challenges, this.#isKept);
      if (reason === undefined) {
        this.#active = scheme;
        return { type: 'again' };
      }
      this.#givenUp.set(name, reason);
    }
    return { type: 'refused', message: this.#refusal() };
  }

  /** A scheme that is ready to be challenged; undefined if it first needs a name and a password. */
  #scheme(name: AuthSchemeName): AuthScheme | undefined {
    const { allowed = DEFAULT_AUTH_SCHEMES, bearerToken, crypto, side } = this.#options;
    if (!allowed.includes(name)) return unavailable(name, 'it is switched off');
    if (name === 'negotiate') return unavailable(name, 'it needs Kerberos (GSSAPI), which is not built in');
    if (name === 'bearer') {
      if (side === 'proxy') return unavailable(name, 'it is for gateways, not for proxies');
      return bearerToken === undefined ? unavailable(name, 'there is no token') : bearerScheme(bearerToken);
    }
    if (this.#credentials === undefined) return undefined;
    switch (name) {
      case 'ntlm':
        return new NtlmScheme(this.#credentials, crypto);
      case 'digest':
        return new DigestScheme(this.#credentials, crypto);
      case 'basic':
        return basicScheme(this.#credentials);
    }
  }

  #challengesOf(name: AuthSchemeName): Challenge[] {
    return this.#challenges.filter(({ scheme }) => scheme === name);
  }

  #refusal(): string {
    const server = this.#options.side === 'proxy' ? 'proxy' : 'gateway';
    const offered = [...new Set(this.#challenges.map(({ scheme }) => scheme))];
    if (offered.length === 0) return `The ${server} wants HTTP authentication (${this.#side.status}) but does not say which.`;
    const reasons = offered.map((scheme) => {
      const known = SCHEMES_BY_STRENGTH.find((name) => name === scheme);
      return known === undefined ? `${scheme}: it is not known` : `${TITLES[known]}: ${this.#givenUp.get(known) ?? 'it was not tried'}`;
    });
    return `The ${server} wants HTTP authentication, and nothing it offers is left to try (${reasons.join('; ')}).`;
  }
}

/** A scheme that will not do, and why. */
function unavailable(name: AuthSchemeName, reason: string): AuthScheme {
  return { name, challenged: () => reason, authorization: () => undefined };
}
