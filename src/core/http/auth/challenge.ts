/**
 * The challenges of `WWW-Authenticate` and `Proxy-Authenticate` (RFC 9110 §11.6.1, once RFC 7235).
 *
 *   Negotiate, NTLM TlRMTVNT==, Basic realm="a, b", Digest realm="c", nonce="d", qop="auth,auth-int"
 *   ▲          ▲    ▲                  ▲             ▲
 *   scheme     │    token              quoted        parameters up to the next scheme
 *
 * A comma separates challenges, and the parameters of one: what follows it is a parameter if `=` comes after the word, else a scheme.
 * Lenient about what servers get wrong (values without quotes, missing commas, empty members), so that a good challenge is still found.
 */
import { PeerMisbehavedError } from '../../errors.ts';
import { trimBlanks } from '../tokens.ts';

export interface Challenge {
  /** In lower case. */
  readonly scheme: string;
  /** The data of NTLM and Negotiate (`token68`), as it came. */
  readonly token: string | undefined;
  /** Names in lower case; quotes and escapes are undone. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_CHALLENGES = 32;
const MAX_PARAMETERS = 32;

type OpenChallenge = Challenge & { token: string | undefined; parameters: Map<string, string> };

/** The challenges of all lines of a header, in order. Throws {@link PeerMisbehavedError} only for more of them than anyone needs. */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  const challenges = headers.flatMap((header) => new ChallengeReader(header).read());
  if (challenges.length > MAX_CHALLENGES) throw new PeerMisbehavedError(`more than ${MAX_CHALLENGES} HTTP authentication challenges`);
  return challenges;
}

class ChallengeReader {
  readonly #text: string;
  readonly #challenges: OpenChallenge[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): Challenge[] {
    while (this.#at < this.#text.length) {
      const word = this.#match(/[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y);
      if (word === undefined) {
        this.#at++; // a comma, a blank, or what should not be there
        continue;
      }
      const open = this.#challenges.at(-1);
      if (open !== undefined && this.#match(/[ \t]*=[ \t]*/y) !== undefined) this.#parameter(open, word.toLowerCase());
      else this.#scheme(word.toLowerCase());
    }
    return this.#challenges;
  }

  #scheme(scheme: string): void {
    const token = this.#match(/[ \t]+[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y);
    this.#challenges.push({ scheme, token: token === undefined ? undefined : trimBlanks(token), parameters: new Map() });
  }

  #parameter({ parameters }: OpenChallenge, name: string): void {
    const value = this.#quoted() ?? trimBlanks(this.#match(/[^,]*/y) ?? '');
    if (!parameters.has(name)) parameters.set(name, value);
    if (parameters.size > MAX_PARAMETERS) throw new PeerMisbehavedError(`HTTP challenge has more than ${MAX_PARAMETERS} parameters`);
  }

  /** RFC 9110 §5.6.4. One that never ends goes to the end of the header. */
  #quoted(): string | undefined {
    const opened = this.#match(/"(?:[^"\\]|\\.)*/sy);
    this.#match(/"/y);
    return opened?.slice(1).replace(/\\(.)/gs, '$1');
  }

  /** What a sticky expression matches here; then it is read. */
  #match(expression: RegExp): string | undefined {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }
}
