/**
 * A gateway's own pages for a log-in with a browser, in the place of an identity provider: name and password, further questions, and a last page with what a
 * client goes on with. For gateways to test with ({@link HostPage.browserLogin}).
 *
 * Read first: spec "GlobalProtect", section 4.1 and 4.3.
 */
import type { AuthStep } from '../../auth/dialogue.ts';
import { type HttpRequest, type HttpResponse, headerValue } from '../../http/message.ts';
import { plainServer } from '../../http/url.ts';
import { escapedAttribute, escapedText } from '../../markup/xml.ts';
import { Secret } from '../../secret.ts';
import { formatEndpoint } from '../../wire/ip-address.ts';
import type { ClientFacts, GatewayConnection, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from '../hex-cookie.ts';
import { pageAnswer } from '../page-gateway.ts';
import { answerInTurn, loginHints, logOutcome, nameAndPassword, parseLoginForm, questionIn, replyOf } from '../page-login.ts';
import { type BrowserStart, renderCallback, tagsOf } from './browser-login.ts';
import { PATHS } from './paths.ts';

/** By the name that the client has called us, or the address that it has come to. */
export function ownAddress(request: HttpRequest, { local }: ClientFacts): string {
  const host = headerValue(request.headers, 'Host') ?? '';
  return plainServer(host) === undefined ? formatEndpoint(local) : host;
}

/** Where a client's browser begins. */
export function browserStart(method: 'redirect' | 'post', request: HttpRequest, facts: ClientFacts): BrowserStart {
  const url = `https://${ownAddress(request, facts)}${PATHS.browserLogin}`;
  if (method === 'redirect') return { url };
  const form = `<form method="post" action="${escapedAttribute(url)}"><noscript><button>Go on</button></noscript></form>`;
  return { html: `<!doctype html><html><body>${form}<script>document.forms[0].submit()</script></body></html>` };
}

export class BrowserLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  /** Any request for the first page shows it: the client's own page posts nothing. */
  begin(): HttpResponse {
    return page('Log in', FIRST_FORM);
  }

  /** What a page has posted. */
  async answer(request: HttpRequest): Promise<HttpResponse> {
    const fields = parseLoginForm(request, ['user', 'passwd', 'state']);
    const id = cookieOffWire(fields.get('state') ?? '');
    const asked = id && (await this.#visitor.resume(id.reveal()));
    const secret = fields.get('passwd') ?? '';
    if (asked !== undefined) return this.#show(asked.id, await asked.next(replyOf(secret)));
    const hints = { ...loginHints(this.#connection.facts, request.headers), wantsPass: true };
    const { dialogue, step } = await this.#visitor.begin(hints);
    return this.#show(dialogue.id, await answerInTurn(dialogue, step, nameAndPassword(fields.get('user'), secret)));
  }

  #show(dialogue: string, step: AuthStep): HttpResponse {
    logOutcome(this.#visitor.log, step);
    if (step.type === 'admitted') return lastPage(step.user, step.cookie);
    const field = step.type === 'ask' ? questionIn(step.form) : undefined;
    if (step.type !== 'ask' || field === undefined) return page('Log in', `<p><b>Login failed.</b></p>${FIRST_FORM}`);
    return page(step.form.message ?? field.label, formOf(cookieOnWire(new Secret(dialogue)), [inputOf('passwd', 'password', field.label)]));
  }
}

/** Either way that a client may take what is in it: headers, a comment, and an address that leads back. */
function lastPage(user: string, cookie: Secret): HttpResponse {
  const link = `<p>You are logged in.</p><p><a href="${escapedAttribute(renderCallback(user, cookie).reveal())}">Go back to GlobalProtect</a></p>`;
  const headers = [
    ['saml-auth-status', '1'],
    ['prelogin-cookie', cookie.reveal()],
    ...(/^[!-~]+$/.test(user) ? [['saml-username', user] as const] : []),
  ] as const;
  return page('Logged in', `${link}<!-- ${tagsOf(user, cookie)} -->`, headers);
}

function inputOf(name: string, type: 'text' | 'password', label: string): string {
  return `<p><label>${escapedText(label)} <input name="${name}" type="${type}" autocomplete="off"></label></p>`;
}

function formOf(state: string, inputs: readonly string[]): string {
  const hidden = state === '' ? '' : `<input type="hidden" name="state" value="${state}">`;
  return `<form method="post" action="${PATHS.assertion}">${hidden}${inputs.join('')}<p><button>Log in</button></p></form>`;
}

const FIRST_FORM = formOf('', [inputOf('user', 'text', 'Name'), inputOf('passwd', 'password', 'Password')]);

function page(title: string, body: string, more: readonly (readonly [string, string])[] = []): HttpResponse {
  const html = `<!doctype html><html><head><meta charset="utf-8"><title>${escapedText(title)}</title></head><body>`;
  return pageAnswer(200, 'OK', 'text/html; charset=utf-8', `${html}<h1>${escapedText(title)}</h1>${body}</body></html>\n`, [
    ['Cache-Control', 'no-store'],
    ...more,
  ]);
}
