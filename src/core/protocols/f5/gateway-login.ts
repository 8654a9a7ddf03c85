/**
 * A gateway's side of a log-in: forms of the policy become values for the dialogue, its next step becomes a page.
 *
 * Read first: spec "F5", sections 2.3, 2.7 and 9.
 *
 *   GET /my.policy ─► a form: name, domain, password
 *   POST username, domain, password ─► begin ─► next(name) ─► next(password) ─┬─► both cookies, and on to the portal
 *   POST password, step ─────────────► the dialogue of the step ──────────────┼─► another form, with the dialogue's id in it
 *                                                                             └─► the first form again, with a message
 */
import { type AuthDialogue, type AuthStep, LOGIN_FIELDS } from '../../auth/dialogue.ts';
import type { AuthForm, FormValues } from '../../auth/form.ts';
import { PeerRefusedError } from '../../errors.ts';
import type { HttpRequest, HttpResponse } from '../../http/message.ts';
import { queryValue } from '../../http/request-target.ts';
import { Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { toHex } from '../../wire/text.ts';
import type { GatewayConnection, LeaseWishes, Visitor } from '../gateway-protocol.ts';
import { cookieOffWire, cookieOnWire } from '../hex-cookie.ts';
import { redirect } from '../page-gateway.ts';
import { answerInTurn, type LoginFields, loginHints, logOutcome, parseLoginForm, questionIn, replyOf, userAgentOf } from '../page-login.ts';
import { page, preliminaryCookies, sessionCookies } from './gateway-answer.ts';
import { DOMAIN_FIELD, FORM_ID, type PageField, renderLoginPage } from './login-page.ts';
import { PATHS } from './paths.ts';
import { renderTiming } from './session-cookie.ts';

const USERNAME = 'username';
const PASSWORD = 'password';
/** The hidden field that says which dialogue a form belongs to. */
const STEP = 'sallyport_step';

const TITLE = 'Secure Logon';

/** Where who is in is sent on to. What is there, no client reads. */
const WEBTOP = `${PATHS.webtop}?webtop=/Common/sallyport&webtop_type=webtop_full`;

/** How long a session lasts where nobody has set a limit: a week. */
const DEFAULT_DURATION: Millis = 604_800_000;

const PRELIMINARY_ID_LENGTH = 16;

export function wishesOf(request: HttpRequest): LeaseWishes {
  return { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: userAgentOf(request.headers) };
}

/** The log-ins on one connection. */
export class GatewayLogin {
  readonly #connection: GatewayConnection;
  readonly #visitor: Visitor;

  constructor(connection: GatewayConnection, visitor: Visitor) {
    this.#connection = connection;
    this.#visitor = visitor;
  }

  /** The first form. Groups that can be chosen stand in it. */
  async firstPage(request: HttpRequest, message?: string): Promise<HttpResponse> {
    const { dialogue, step } = await this.#begin(request);
    if (step.type !== 'ask') return this.#show(request, dialogue, step);
    const domains = step.form.fields.find(({ kind }) => kind === 'choice');
    const choices: PageField[] =
      domains?.kind !== 'choice'
        ? []
        : [
            {
              kind: 'choice',
              name: DOMAIN_FIELD,
              choices: domains.choices.map(({ value, label }) => ({ value, label, isSelected: value === domains.initial })),
            },
          ];
    const fields: readonly PageField[] = [
      ...choices,
      { kind: 'text', name: USERNAME, value: '' },
      { kind: 'password', name: PASSWORD, value: '' },
      { kind: 'hidden', name: 'vhost', value: 'standard' },
      { kind: 'hidden', name: STEP, value: cookieOnWire(new Secret(dialogue.id)) },
    ];
    return this.#form(fields, message ?? this.#visitor.host.preLoginBanner);
  }

  async answer(request: HttpRequest): Promise<HttpResponse> {
    const fields = parseLoginForm(request, [USERNAME, PASSWORD, STEP]);
    const dialogue = await this.#resumed(fields);
    if (fields.has(USERNAME)) return this.#answerFirst(request, fields, dialogue);
    // A form of a log-in that is over, or of nobody's.
    if (dialogue === undefined) return this.firstPage(request, 'The log-in has taken too long.');
    return this.#show(request, dialogue, await dialogue.next(replyOf(fields.get(PASSWORD) ?? '')));
  }

  /** A name and a password at once, which back ends ask one after the other. Simple clients bring them without ever having seen the form. */
  async #answerFirst(request: HttpRequest, fields: LoginFields, resumed: AuthDialogue | undefined): Promise<HttpResponse> {
    const domain = fields.get(DOMAIN_FIELD);
    const name: FormValues = {
      [LOGIN_FIELDS.username]: fields.get(USERNAME) ?? '',
      ...(domain !== undefined && { [LOGIN_FIELDS.group]: domain }),
    };
    const password: FormValues = { [LOGIN_FIELDS.password]: new Secret(fields.get(PASSWORD) ?? '') };
    if (resumed !== undefined) return this.#show(request, resumed, await answerInTurn(resumed, await resumed.next(name), [password]));
    const { dialogue, step } = await this.#begin(request);
    return this.#show(request, dialogue, await answerInTurn(dialogue, step, [name, password]));
  }

  async #resumed(fields: LoginFields): Promise<AuthDialogue | undefined> {
    const id = cookieOffWire(fields.get(STEP) ?? '');
    return id && this.#visitor.resume(id.reveal());
  }

  #begin({ headers }: HttpRequest): Promise<{ readonly dialogue: AuthDialogue; readonly step: AuthStep }> {
    return this.#visitor.begin(loginHints(this.#connection.facts, headers));
  }

  #show(request: HttpRequest, dialogue: AuthDialogue, step: AuthStep): Promise<HttpResponse> | HttpResponse {
    logOutcome(this.#visitor.log, step);
    switch (step.type) {
      case 'admitted':
        return this.#admitted(request, step.cookie);
      case 'refused':
        return this.#form(
          [
            { kind: 'text', name: USERNAME, value: '' },
            { kind: 'password', name: PASSWORD, value: '' },
          ],
          step.message,
        );
      case 'ask':
        return this.#ask(request, dialogue, step.form);
      default:
        return step satisfies never;
    }
  }

  #ask(request: HttpRequest, dialogue: AuthDialogue, form: AuthForm): Promise<HttpResponse> | HttpResponse {
    const field = questionIn(form);
    if (field === undefined) return this.firstPage(request, form.error ?? form.message ?? 'The log-in was refused.');
    return this.#form(
      [
        { kind: field.kind === 'text' ? 'text' : 'password', name: PASSWORD, value: '' },
        { kind: 'hidden', name: STEP, value: cookieOnWire(new Secret(dialogue.id)) },
      ],
      form.message ?? field.label,
    );
  }

  /** Spec 2.7: simple clients take a redirect for a failure where they have asked for XML. */
  async #admitted(request: HttpRequest, cookie: Secret): Promise<HttpResponse> {
    const cookies = sessionCookies(cookie, renderTiming(this.#visitor.timeOfDay(), await this.#durationOf(request, cookie)));
    if (queryValue(request.target, 'outform') !== undefined) return page('<html><body>Welcome</body></html>\n', cookies);
    return redirect(WEBTOP, cookies);
  }

  async #durationOf(request: HttpRequest, cookie: Secret): Promise<Millis> {
    try {
      const session = await this.#visitor.session(cookie);
      return (await session?.preview(wishesOf(request)))?.sessionTimeout ?? DEFAULT_DURATION;
    } catch (error) {
      if (error instanceof PeerRefusedError) return DEFAULT_DURATION; // there is no address: the client hears of it where it asks for one
      throw error;
    }
  }

  #form(fields: readonly PageField[], message: string | undefined): HttpResponse {
    const html = renderLoginPage({ id: FORM_ID, title: TITLE, ...(message !== undefined && { message }), action: PATHS.policy, fields });
    return page(html, preliminaryCookies(toHex(this.#visitor.crypto.randomBytes(PRELIMINARY_ID_LENGTH))));
  }
}
