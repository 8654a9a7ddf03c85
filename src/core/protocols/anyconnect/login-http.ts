/**
 * The requests of a log-in: headers, cookies, HTTP authentication and redirects, all as AnyConnect does them.
 *
 * Read first: spec "AnyConnect", sections 2.2, 3.9, 3.10, 3.17 and 3.19.
 */
import type { LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError } from '../../errors.ts';
import { HttpAuthenticator } from '../../http/auth/authenticator.ts';
import type { AuthSchemeName } from '../../http/auth/scheme.ts';
import { CookieJar } from '../../http/cookies.ts';
import { type HttpHeaders, type HttpResponse, headerValue } from '../../http/message.ts';
import { padding } from '../../http/padding.ts';
import { hostHeader, isSameServer, resolveLocation } from '../../http/url.ts';
import { Secret } from '../../secret.ts';
import { utf8 } from '../../wire/text.ts';
import type { LoginOptions } from './login-options.ts';
import { mobileHeaders } from './request-headers.ts';

export interface LoginBody {
  readonly text: string;
  /** The same for logs. */
  readonly shown: string;
}

/** `fresh`: on a new connection. */
export interface ConnectionWish {
  readonly fresh?: boolean;
}

/** Redirects that one request follows (spec 3.9). */
const MAX_REDIRECTS = 10;

export class LoginHttp {
  readonly jar: CookieJar = new CookieJar();
  /** Where the next request goes. */
  place: Target;
  /** XML documents; otherwise plain forms. */
  isXml: boolean;
  readonly #io: LoginIo;
  readonly #options: LoginOptions;
  /** Schemes that may be used. */
  readonly #schemes: readonly AuthSchemeName[];
  #authenticator: HttpAuthenticator;
  /** Whether HTTP authentication is offered: until it was refused. */
  #supportsHttpAuth: boolean;
  #wasKept = false;

  constructor(io: LoginIo, place: Target, options: LoginOptions) {
    this.#io = io;
    this.#options = options;
    this.place = place;
    this.isXml = options.usesXml;
    this.#schemes = options.bearerToken === undefined ? options.httpAuth : [...options.httpAuth, 'bearer'];
    this.#supportsHttpAuth = this.#schemes.length > 0;
    this.#authenticator = this.#newAuthenticator();
  }

  /** One request to {@link place}; authentication that HTTP asks for is answered, redirects are the caller's. */
  post(body: LoginBody, how: ConnectionWish = {}): Promise<HttpResponse> {
    return this.#exchange('POST', this.place, body, how);
  }

  /** As {@link post}, but redirects are followed, and {@link place} with them (spec 3.9: a POST stays one, with its body). */
  async follow(method: 'GET' | 'POST', body: LoginBody, how: ConnectionWish = {}): Promise<HttpResponse> {
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#exchange(method, this.place, body, redirects === 0 ? how : {});
      const location = redirectOf(response);
      if (location === undefined) return response;
      this.moveTo(resolveLocation(this.place, location));
    }
    throw tooManyRedirects();
  }

  /**
   * Fetches something beside the log-in, with its headers and cookies, so only from its server; {@link place} stays. Redirects are followed.
   * Throws {@link PeerMisbehavedError} for another server.
   */
  async get(url: string): Promise<HttpResponse> {
    let place = this.place;
    let location: string | undefined = url;
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      place = resolveLocation(place, location);
      if (!isSameServer(place, this.place)) {
        throw new PeerMisbehavedError('The gateway points to a file on another server, which must not see the session.');
      }
      const response = await this.#exchange('GET', place, undefined, {});
      location = redirectOf(response);
      if (location === undefined) return response;
    }
    throw tooManyRedirects();
  }

  /** Goes to another place from now on; what belongs to another server is forgotten: cookies, and credentials of HTTP authentication. */
  moveTo(place: Target): void {
    if (!isSameServer(place, this.place)) {
      this.jar.clear();
      this.#authenticator = this.#newAuthenticator();
    }
    this.place = place;
  }

  #newAuthenticator(): HttpAuthenticator {
    const { bearerToken } = this.#options;
    return new HttpAuthenticator({
      side: 'origin',
      crypto: this.#io.crypto,
      allowed: this.#schemes,
      ...(bearerToken !== undefined && { bearerToken }),
    });
  }

  async #exchange(method: 'GET' | 'POST', place: Target, body: LoginBody | undefined, how: ConnectionWish): Promise<HttpResponse> {
    const bytes = body && utf8(body.text);
    for (let isFresh = how.fresh === true; ; isFresh = false) {
      if (!this.#wasKept || isFresh) this.#authenticator.connectionOpened();
      const make = () => this.#headers(method, place, bytes?.length);
      let made: HttpHeaders | undefined;
      const request = {
        ...{ method, target: place, ...(bytes !== undefined && { body: bytes, shownBody: body?.shown ?? '' }) },
        /** Made when there is a connection to send them on: the key that they announce comes while it opens. */
        get headers(): HttpHeaders {
          made ??= make();
          return made;
        },
      };
      const response = await this.#io.http(request, { fresh: isFresh });
      this.#wasKept = this.#io.connection().isKept;
      this.jar.store(response.headers);
      if (!(await this.#answersChallenge(response))) return response;
    }
  }

  /** True if the request is to be sent again: with credentials, or without the offer to give any (spec 3.19). */
  async #answersChallenge(response: HttpResponse): Promise<boolean> {
    let step = this.#authenticator.receive(response, this.#wasKept);
    if (step.type === 'ask') step = this.#authenticator.answer(await this.#askCredentials(step.realm));
    if (step.type === 'again') return true;
    if (step.type !== 'refused') return false;
    this.#io.log.log('debug', 'http authentication refused', { reason: step.message });
    const wasOffered = this.#supportsHttpAuth && headerValue(response.headers, 'WWW-Authenticate') !== undefined;
    if (wasOffered) this.#supportsHttpAuth = false;
    return wasOffered;
  }

  async #askCredentials(realm: string): Promise<{ username: string; password: Secret }> {
    const answer = await this.#io.ask({
      id: 'http_auth',
      message:
        realm === '' ? 'The gateway asks for a user name and password.' : `The gateway asks for a user name and password (${realm}).`,
      fields: [
        { kind: 'text', name: 'username', label: 'Username:' },
        { kind: 'password', name: 'password', label: 'Password:' },
      ],
    });
    if (answer.type !== 'submit') throw new CancelledError();
    const { username = '', password = '' } = answer.values;
    return { username: String(username), password: password instanceof Secret ? password : new Secret(password) };
  }

  #headers(method: string, place: Target, bodyLength: number | undefined): HttpHeaders {
    const { client, strap } = this.#options;
    const cookies = this.jar.header();
    const authorization = this.#authenticator.authorization({ method, target: place.path }, this.#io.now());
    return [
      ...(authorization === undefined ? [] : [authorization]),
      ['Host', hostHeader(place)],
      ['User-Agent', client.userAgent],
      ...(cookies === undefined ? [] : [['Cookie', cookies] as const]),
      ['Accept', '*/*'],
      ['Accept-Encoding', 'identity'],
      ['X-Transcend-Version', '1'],
      ...(this.isXml ? [['X-Aggregate-Auth', '1'] as const] : []),
      ...(this.#supportsHttpAuth ? [['X-Support-HTTP-Auth', 'true'] as const] : []),
      ...(strap === undefined ? [] : [['X-AnyConnect-STRAP-Pubkey', strap.publicKey] as const]),
      ...mobileHeaders(client),
      ...(bodyLength === undefined ? [] : this.#bodyHeaders(bodyLength)),
    ];
  }

  #bodyHeaders(length: number): HttpHeaders {
    return [
      ['X-Pad', padding(length)],
      ['Content-Type', this.isXml ? 'application/xml; charset=utf-8' : 'application/x-www-form-urlencoded'],
      ['Content-Length', String(length)],
    ];
  }
}

function tooManyRedirects(): PeerMisbehavedError {
  return new PeerMisbehavedError(`The gateway redirected a request more than ${MAX_REDIRECTS} times.`);
}

/** Where a response sends us; undefined if it does not. */
export function redirectOf(response: HttpResponse): string | undefined {
  return response.status >= 300 && response.status < 400 ? headerValue(response.headers, 'Location') : undefined;
}
