/**
 * Digest authentication (RFC 7616, and RFC 2617 for servers that name no `qop`).
 *
 *   HA1 = H(user:realm:password)            -sess: H(HA1:nonce:cnonce)
 *   HA2 = H(method:target)
 *   response = H(HA1:nonce:nc:cnonce:qop:HA2)       without qop: H(HA1:nonce:HA2)
 */
import type { CryptoProvider, HashName } from '../../crypto/provider.ts';
import { MisuseError } from '../../errors.ts';
import { toHex, utf8 } from '../../wire/text.ts';
import { percentEncode } from '../form-urlencoded.ts';
import { isHeadText, listMembers } from '../tokens.ts';
import type { Challenge } from './challenge.ts';
import type { AuthenticatedRequest, AuthScheme, Credentials } from './scheme.ts';

interface DigestAlgorithm {
  readonly hash: HashName;
  readonly isSession: boolean;
}

/** Strongest first. SHA-512-256 is left out: no server is known to ask for it. */
const ALGORITHMS: ReadonlyMap<string, DigestAlgorithm> = new Map([
  ['sha-256-sess', { hash: 'sha256', isSession: true }],
  ['sha-256', { hash: 'sha256', isSession: false }],
  ['md5-sess', { hash: 'md5', isSession: true }],
  ['md5', { hash: 'md5', isSession: false }],
] as const);

const BY_STRENGTH = [...ALGORITHMS.values()];

export interface DigestChallenge {
  readonly realm: string;
  readonly nonce: string;
  readonly opaque: string | undefined;
  readonly algorithm: DigestAlgorithm;
  /** The algorithm as the server wrote it, to be written back; undefined if it named none. */
  readonly algorithmName: string | undefined;
  /** False for RFC 2069's form, without counter and client nonce. */
  readonly hasQop: boolean;
  /** The user name is to be sent hashed. */
  readonly hashesUser: boolean;
  readonly isUtf8: boolean;
  /** Only the nonce was too old; name and password were not the reason. */
  readonly isStale: boolean;
}

/** Reads a challenge; undefined if it is one that we cannot answer (another algorithm, only `auth-int`, no nonce). */
export function parseDigestChallenge({ parameters }: Challenge): DigestChallenge | undefined {
  const algorithmName = parameters.get('algorithm');
  const algorithm = ALGORITHMS.get((algorithmName ?? 'md5').toLowerCase());
  const nonce = parameters.get('nonce');
  const qop = parameters.get('qop');
  const hasQop = qop !== undefined && qop !== '';
  if (algorithm === undefined || nonce === undefined || (hasQop && !listMembers([qop]).includes('auth'))) return undefined;
  const isTrue = (name: string) => parameters.get(name)?.toLowerCase() === 'true';
  return {
    realm: parameters.get('realm') ?? '',
    nonce,
    opaque: parameters.get('opaque'),
    algorithm,
    algorithmName,
    hasQop,
    hashesUser: isTrue('userhash'),
    isUtf8: parameters.get('charset')?.toLowerCase() === 'utf-8',
    isStale: isTrue('stale'),
  };
}

/** What makes one answer differ from the next. */
export interface DigestNonces {
  /** The client's nonce. */
  readonly cnonce: string;
  /** How many requests were answered with the server's nonce, this one included. */
  readonly count: number;
}

/** The value of the `Authorization` header. */
export function digestAuthorization(
  challenge: DigestChallenge,
  { username, password }: Credentials,
  { method, target }: AuthenticatedRequest,
  { cnonce, count }: DigestNonces,
  crypto: Pick<CryptoProvider, 'hash'>,
): string {
  const { realm, nonce, opaque, algorithm, algorithmName, hasQop } = challenge;
  const hash = (text: string) => toHex(crypto.hash(algorithm.hash, utf8(text)));
  const base = hash(`${username}:${realm}:${password.reveal()}`);
  const ha1 = algorithm.isSession ? hash(`${base}:${nonce}:${cnonce}`) : base;
  const ha2 = hash(`${method}:${target}`);
  const nc = count.toString(16).padStart(8, '0');
  const response = hasQop ? hash(`${ha1}:${nonce}:${nc}:${cnonce}:auth:${ha2}`) : hash(`${ha1}:${nonce}:${ha2}`);

  const fields = [...userFields(challenge, username, hash), `realm=${quoted(realm)}`, `nonce=${quoted(nonce)}`, `uri=${quoted(target)}`];
  fields.push(`response="${response}"`);
  if (algorithmName !== undefined) fields.push(`algorithm=${algorithmName}`);
  if (hasQop) fields.push('qop=auth', `nc=${nc}`);
  if (hasQop || algorithm.isSession) fields.push(`cnonce=${quoted(cnonce)}`);
  if (opaque !== undefined) fields.push(`opaque=${quoted(opaque)}`);
  return `Digest ${fields.join(', ')}`;
}

/** RFC 7616 §3.4 and §3.4.4: hashed, in RFC 8187's form where the server knows UTF-8 and the name needs it, or plain. */
function userFields({ realm, hashesUser, isUtf8 }: DigestChallenge, username: string, hash: (text: string) => string): string[] {
  if (hashesUser) return [`username="${hash(`${username}:${realm}`)}"`, 'userhash=true'];
  const needsUtf8 = /[^\u0020-\u007e]/.test(username);
  return [needsUtf8 && isUtf8 ? `username*=UTF-8''${percentEncode(username, /[^A-Za-z0-9._~-]+/g)}` : `username=${quoted(username)}`];
}

function quoted(text: string): string {
  if (!isHeadText(text)) throw new MisuseError('A value for Digest authentication cannot hold CR, LF or NUL.');
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

const CNONCE_BYTES = 16;

/** Answers with the last nonce, ahead of any challenge, until the server has a new one. */
export class DigestScheme implements AuthScheme {
  readonly name = 'digest';
  readonly #credentials: Credentials;
  readonly #crypto: Pick<CryptoProvider, 'hash' | 'randomBytes'>;
  #challenge: DigestChallenge | undefined;
  /** The same for every answer to one nonce: RFC 7616 §3.4.2 derives the key of `-sess` from the first. */
  #cnonce = '';
  #count = 0;
  #isSent = false;
  /** True if an answer to the present nonce was good. */
  #isProven = false;

  constructor(credentials: Credentials, crypto: Pick<CryptoProvider, 'hash' | 'randomBytes'>) {
    this.#credentials = credentials;
    this.#crypto = crypto;
  }

  challenged(challenges: readonly Challenge[]): string | undefined {
    const [challenge] = challenges
      .map(parseDigestChallenge)
      .filter((known) => known !== undefined)
      .sort((a, b) => BY_STRENGTH.indexOf(a.algorithm) - BY_STRENGTH.indexOf(b.algorithm));
    if (!isHeadText(this.#credentials.username)) return 'the user name has control characters';
    if (challenge === undefined) return 'it asks for an algorithm or a protection that we do not know';
    // Some servers forget to say that the nonce is stale: where the old one was good, a new one is worth a try.
    const isOnlyStale = challenge.nonce !== this.#challenge?.nonce && (challenge.isStale || this.#isProven);
    if (this.#isSent && !isOnlyStale) return 'the name or password was not accepted';
    this.#challenge = challenge;
    this.#cnonce = toHex(this.#crypto.randomBytes(CNONCE_BYTES));
    this.#count = 0;
    this.#isProven = false;
    return undefined;
  }

  authorization(request: AuthenticatedRequest): string | undefined {
    if (this.#challenge === undefined) return undefined;
    this.#isSent = true;
    const nonces = { cnonce: this.#cnonce, count: ++this.#count };
    return digestAuthorization(this.#challenge, this.#credentials, request, nonces, this.#crypto);
  }

  accepted(): void {
    this.#isProven = this.#isSent;
  }
}
