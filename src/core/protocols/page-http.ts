/**
 * The requests of clients that log in as a browser would: cookies kept, redirects followed, forms posted. What two vendors have in common.
 *
 * Read first: spec "Fortinet", sections 1.1, 1.2 and 2.1; spec "F5", section 1.1.
 */
import type { LoginIo, RequestManner, Target } from '../auth/login-io.ts';
import { PeerMisbehavedError } from '../errors.ts';
import { CookieJar } from '../http/cookies.ts';
import { type HttpHeaders, type HttpResponse, headerValue } from '../http/message.ts';
import { padding } from '../http/padding.ts';
import { hostHeader, isSameServer, resolveLocation } from '../http/url.ts';
import { utf8 } from '../wire/text.ts';

/** Of one request. */
const MAX_REDIRECTS = 10;

export class PageHttp {
  readonly jar: CookieJar = new CookieJar();
  /** Where the next request goes. */
  place: Target;
  readonly #io: LoginIo;
  readonly #userAgent: string;
  readonly #headers: HttpHeaders;
  /** Something of the user's was sent: from then on it is this server's business alone (spec "F5", section 9). */
  #hasSubmitted = false;

  /** @param headers that the vendor's clients have in every request */
  constructor(io: LoginIo, place: Target, userAgent: string, headers: HttpHeaders = []) {
    this.#io = io;
    this.#headers = headers;
    this.place = place;
    this.#userAgent = userAgent;
  }

  /** Forgets all that has been. */
  restart(place: Target): void {
    this.jar.clear();
    this.place = place;
    this.#hasSubmitted = false;
  }

  /** Follows redirects, and {@link place} with them. */
  async follow(path: string): Promise<HttpResponse> {
    this.place = { ...this.place, path };
    return this.#followed(await this.#exchange('GET', this.place));
  }

  /** Posts a form, and follows redirects by GET, as browsers do. `shown`: the form for logs. Rejects with PeerMisbehavedError where it leads elsewhere. */
  async submit(target: Target, body: string, shown: string): Promise<HttpResponse> {
    this.#hasSubmitted = true;
    this.#moveTo(target);
    return this.#followed(await this.#exchange('POST', target, { text: body, shown }));
  }

  async #followed(first: HttpResponse): Promise<HttpResponse> {
    let response = first;
    for (let redirects = 0; redirects < MAX_REDIRECTS; redirects++) {
      const location = redirectOf(response);
      if (location === undefined) return response;
      this.#moveTo(resolveLocation(this.place, location));
      response = await this.#exchange('GET', this.place);
    }
    throw new PeerMisbehavedError(`The gateway redirected a request more than ${MAX_REDIRECTS} times.`);
  }

  /** One request to a path of the same server; redirects are the caller's, and {@link place} stays. `shown`: the path for logs, where it holds a secret. */
  get(path: string, how: { readonly fresh?: boolean; readonly shown?: string } = {}): Promise<HttpResponse> {
    return this.#exchange('GET', { ...this.place, path }, undefined, how);
  }

  /** The same with a form. `shown`: it for logs. */
  post(path: string, body: string, shown: string, how: RequestManner = {}): Promise<HttpResponse> {
    return this.#exchange('POST', { ...this.place, path }, { text: body, shown }, how);
  }

  /** What belongs to another server is forgotten. */
  #moveTo(place: Target): void {
    if (!isSameServer(place, this.place)) {
      if (this.#hasSubmitted) throw new PeerMisbehavedError('The gateway sends the log-in on to another server.');
      this.jar.clear();
    }
    this.place = place;
  }

  async #exchange(
    method: 'GET' | 'POST',
    target: Target,
    body?: { readonly text: string; readonly shown: string },
    { shown, ...how }: RequestManner & { readonly shown?: string } = {},
  ): Promise<HttpResponse> {
    const bytes = body && utf8(body.text);
    const headers = [
      ...requestHeaders(target, this.#userAgent, this.jar.header()),
      ...this.#headers,
      ...(bytes === undefined ? [] : bodyHeaders(bytes.length)),
    ];
    const request = {
      ...{ method, target, headers },
      ...(bytes !== undefined && { body: bytes, shownBody: body?.shown ?? '' }),
      ...(shown !== undefined && { shownPath: shown }),
    };
    const response = await this.#io.http(request, how);
    this.jar.store(response.headers);
    return response;
  }
}

/** In the order of the reference client; the tunnel's request has them too. */
export function requestHeaders(target: Target, userAgent: string, cookies: string | undefined): HttpHeaders {
  return [['Host', hostHeader(target)], ['User-Agent', userAgent], ...(cookies === undefined ? [] : [['Cookie', cookies] as const])];
}

function bodyHeaders(length: number): HttpHeaders {
  return [
    ['X-Pad', padding(length)],
    ['Content-Type', 'application/x-www-form-urlencoded'],
    ['Content-Length', String(length)],
  ];
}

/** Where a response sends us; undefined if it does not. */
export function redirectOf({ status, headers }: HttpResponse): string | undefined {
  return status >= 300 && status < 400 ? headerValue(headers, 'Location') : undefined;
}
