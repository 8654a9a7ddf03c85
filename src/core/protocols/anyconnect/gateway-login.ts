/**
 * A gateway's side of a log-in: what a client sends becomes values for the dialogue, its next step becomes a document.
 *
 * Read first: spec "AnyConnect", sections 3.5 to 3.8, 3.11, 3.14, 3.19 and 3.21.
 *
 *   init, GET ──► begin ─► question (no cookie yet: nobody has said a name)
 *   auth-reply ─► the dialogue of its cookie, or of this connection; or begin ─► next ─► question, with the dialogue's cookie
 *                                                                                    ├► admitted: the session's cookies
 *                                                                                    └► refused: 401, and the connection ends
 */
import type { AuthDialogue, AuthStep, LoginHints } from '../../auth/dialogue.ts';
import type { AuthForm } from '../../auth/form.ts';
import { type HttpHeaders, type HttpRequest, headerValue } from '../../http/message.ts';
import { Secret } from '../../secret.ts';
import { toHex, utf8 } from '../../wire/text.ts';
import type { GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { wantsBareDocuments } from './client-family.ts';
import { cookieRefused, type GatewayAnswer, loginRefused, page, tokenWanted } from './gateway-answer.ts';
import { broughtCookie, DIALOGUE_COOKIE, dialogueCookie, noDialogueCookie, noSessionCookie, welcomeCookies } from './gateway-cookies.ts';
import { type Dialect, renderGoodbye, renderQuestion, renderWelcome } from './gateway-login-page.ts';
import { type LoginWords, parseLoginWords } from './login-words.ts';
import { SESSION_COOKIE } from './session-cookie.ts';
import { parseStrapKey } from './strap.ts';

/** Characters of the User-Agent that are kept (spec 11.2), and of a token that comes by HTTP. */
const MAX_USER_AGENT_LENGTH = 63;
const MAX_TOKEN_LENGTH = 16_384;

export function userAgentOf(headers: HttpHeaders): string {
  return (headerValue(headers, 'User-Agent') ?? '').slice(0, MAX_USER_AGENT_LENGTH);
}

/** The log-ins on one connection. */
export class GatewayLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;
  /** What was last asked on this connection: a client need not bring its cookie here. */
  #asked: { readonly dialogue: AuthDialogue; readonly form: AuthForm; readonly when: 'first' | 'later' } | undefined;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  /** Whether the request goes on with a log-in that has begun on this or another connection. */
  async knows(request: HttpRequest): Promise<boolean> {
    return (await this.#continued(request)) !== undefined;
  }

  async answer(request: HttpRequest): Promise<GatewayAnswer> {
    const { host } = this.#visitor;
    if (host.needsCertificate === true && this.#connection.facts.certificateChain === undefined) {
      return loginRefused(request, 'No certificate');
    }
    const words = request.method === 'POST' ? parseLoginWords(request.body) : { type: 'init' as const, values: {} };
    if (words === undefined) return loginRefused(request, 'Authentication failed');
    switch (words.type) {
      case 'init':
        return this.#begin(request, words);
      case 'auth-reply':
        return this.#reply(request, words);
      case 'logout':
        return this.#logOut(request, words);
    }
  }

  async #begin(request: HttpRequest, words: LoginWords): Promise<GatewayAnswer> {
    const { bearer } = this.#visitor.host;
    const hints = this.#hints(request, words.group);
    const isAsked = bearer === 'required' || (bearer === 'offered' && headerValue(request.headers, 'X-Support-HTTP-Auth') === 'true');
    if (isAsked && hints.bearer === undefined) return tokenWanted(request, bearer === 'offered');
    const { dialogue, step } = await this.#visitor.begin(hints);
    // An answer that came before its question: the name of who already knows that it will be asked for.
    if (step.type === 'ask' && isAnswered(step.form, words.values)) return this.#next(request, dialogue, words);
    return this.#show(request, dialogue, step, 'first');
  }

  async #reply(request: HttpRequest, words: LoginWords): Promise<GatewayAnswer> {
    const dialogue = await this.#continued(request);
    if (dialogue === undefined) {
      const isNew = broughtCookie(request.headers, DIALOGUE_COOKIE) === 'none';
      return isNew ? this.#begin(request, words) : loginRefused(request, 'Authentication failed');
    }
    const asked = this.#asked?.dialogue.id === dialogue.id ? this.#asked : undefined;
    const hasAnswer = asked === undefined ? Object.keys(words.values).length > 0 : isAnswered(asked.form, words.values);
    if (hasAnswer) return this.#next(request, dialogue, words);
    return asked?.when === 'first' ? this.#begin(request, words) : loginRefused(request, 'No password');
  }

  /** Spec 3.6: Cisco's clients say so; the others leave by the tunnel. */
  async #logOut(request: HttpRequest, { sessionToken }: LoginWords): Promise<GatewayAnswer> {
    const brought = broughtCookie(request.headers, SESSION_COOKIE);
    const cookie = brought instanceof Secret ? brought : sessionToken;
    const session = cookie === undefined ? undefined : await this.#visitor.session(cookie);
    if (session === undefined) return cookieRefused(request);
    await session.end({ kind: 'log-off', message: 'The user has left.' });
    return document(request, [noSessionCookie()], renderGoodbye(), this.#visitor.host.headers);
  }

  async #continued({ headers }: HttpRequest): Promise<AuthDialogue | undefined> {
    const brought = broughtCookie(headers, DIALOGUE_COOKIE);
    if (brought === 'none') return this.#asked?.dialogue;
    if (brought === 'odd') return undefined;
    const id = brought.reveal();
    return this.#asked?.dialogue.id === id ? this.#asked.dialogue : this.#visitor.resume(id);
  }

  async #next(request: HttpRequest, dialogue: AuthDialogue, { values }: LoginWords): Promise<GatewayAnswer> {
    return this.#show(request, dialogue, await dialogue.next(values), 'later');
  }

  #show(request: HttpRequest, dialogue: AuthDialogue, step: AuthStep, when: 'first' | 'later'): GatewayAnswer {
    this.#asked = step.type === 'ask' ? { dialogue, form: step.form, when } : undefined;
    switch (step.type) {
      case 'ask':
        return this.#ask(request, dialogue, step.form, when);
      case 'admitted':
        this.#visitor.log.log('info', 'logged in', { user: step.user, group: step.group });
        return this.#welcome(request, dialogue, step.cookie);
      case 'refused':
        this.#visitor.log.log('info', 'log-in refused', { reason: step.message });
        return loginRefused(request, 'Authentication failed');
    }
  }

  #ask(request: HttpRequest, { id }: AuthDialogue, form: AuthForm, when: 'first' | 'later'): GatewayAnswer {
    const { preLoginBanner, cookieTimeout, headers } = this.#visitor.host;
    const isFirst = when === 'first';
    const banner = form.banner ?? (isFirst ? preLoginBanner : undefined);
    const cookie = isFirst ? noDialogueCookie() : dialogueCookie(id, cookieTimeout);
    return document(request, [cookie], renderQuestion({ ...form, ...(banner !== undefined && { banner }) }, dialectOf(request)), headers);
  }

  #welcome(request: HttpRequest, { id }: AuthDialogue, cookie: Secret): GatewayAnswer {
    const { host, crypto } = this.#visitor;
    const sha1 = (bytes: Uint8Array) => toHex(crypto.hash('sha1', bytes)).toUpperCase();
    const { name, bytes } = host.profile ?? {};
    const profile =
      name === undefined || bytes === undefined ? undefined : { name, uri: `/profiles/${encodeURIComponent(name)}`, sha1: sha1(bytes) };
    const body = utf8(renderWelcome(host.banner, profile, dialectOf(request)));
    const headers: HttpHeaders = [
      ['Connection', 'Keep-Alive'],
      ['Content-Type', 'text/xml'],
      ['Content-Length', String(body.length)],
      ['X-Transcend-Version', '1'],
      ...welcomeCookies(id, cookie, host.headers, { certificateSha1: sha1(host.certificate), profile }),
    ];
    return page(request, headers, body);
  }

  #hints({ headers }: HttpRequest, group: string | undefined): LoginHints {
    const { remote, local, host, certificateChain } = this.#connection.facts;
    const bearer = tokenOf(headers);
    const boundKey = parseStrapKey(headerValue(headers, 'X-AnyConnect-STRAP-Pubkey'));
    return {
      ...{ remote, local, userAgent: userAgentOf(headers) },
      ...(host !== undefined && { host }),
      ...(group !== undefined && { group }),
      ...(certificateChain !== undefined && { certificateChain }),
      ...(bearer !== undefined && { bearer }),
      ...(boundKey !== undefined && { boundKey }),
    };
  }
}

function dialectOf({ headers }: HttpRequest): Dialect {
  return wantsBareDocuments(headerValue(headers, 'User-Agent') ?? '') ? 'bare' : 'envelope';
}

/** Observed: the cookie comes first, the administrator's headers last. */
function document(request: HttpRequest, cookies: HttpHeaders, text: string, more: HttpHeaders): GatewayAnswer {
  const body = utf8(text);
  const headers: HttpHeaders = [
    ...cookies,
    ['Content-Type', 'text/xml'],
    ['Content-Length', String(body.length)],
    ['X-Transcend-Version', '1'],
    ...more,
  ];
  return page(request, headers, body);
}

/** Whether these values answer a form: the group alone does not where there is more to be said. */
function isAnswered(form: AuthForm, values: LoginWords['values']): boolean {
  const inputs = form.fields.filter(({ kind }) => kind !== 'choice' && kind !== 'hidden');
  const asked = inputs.length > 0 ? inputs : form.fields;
  return asked.some(({ name }) => Object.hasOwn(values, name));
}

/** RFC 6750 §2.1. */
function tokenOf(headers: HttpHeaders): Secret | undefined {
  const authorization = headerValue(headers, 'Authorization') ?? '';
  if (authorization.length > MAX_TOKEN_LENGTH) return undefined;
  const token = /^Bearer +([\w~+/.-]+=*) *$/i.exec(authorization)?.[1];
  return token === undefined ? undefined : new Secret(token);
}
