/**
 * A log-in at a BIG-IP: form after form, until both cookies are there.
 *
 * Read first: spec "F5", sections 2.1 to 2.6.
 *
 *   entry page ─► form ─► answers ─┬─ both cookies ─────────► in
 *                  ▲               ├─ another form ─────────┐
 *                  └───────────────┴─ the same form again ──┘ three times
 */
import { type FormValues, valueIn } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import type { HttpResponse } from '../../http/message.ts';
import { pathOf, queryValue } from '../../http/request-target.ts';
import { resolveLocation } from '../../http/url.ts';
import type { Secret } from '../../secret.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import { PageHttp } from '../page-http.ts';
import { DOMAIN_FIELD, FORM_ID, formOf, isSamePage, type LoginPage, parseLoginPage } from './login-page.ts';
import { PATHS } from './paths.ts';
import { renderSessionCookie, SESSION_COOKIE, TIMING_COOKIE } from './session-cookie.ts';

/** The same form in a row; forms of one log-in; beginnings, where the gateway has dropped a session. */
const MAX_TRIES = 3;
const MAX_FORMS = 20;
const MAX_BEGINNINGS = 2;

/** Of pages that newer gateways leave to a script we cannot read (spec 2.6). */
const USUAL_PAGE: LoginPage = {
  id: FORM_ID,
  fields: [
    { kind: 'text', name: 'username', value: '', label: 'Username:' },
    { kind: 'password', name: 'password', value: '', label: 'Password:' },
  ],
};

/** Rejects as `ClientProtocol.login` does. */
export async function login(io: LoginIo, target: Target, userAgent: string): Promise<Credential> {
  return new F5Login(io, target, userAgent).run();
}

class F5Login {
  readonly #io: LoginIo;
  readonly #http: PageHttp;
  readonly #entry: Target;
  #group: string | undefined;

  constructor(io: LoginIo, target: Target, userAgent: string) {
    this.#io = io;
    this.#http = new PageHttp(io, target, userAgent);
    this.#entry = target;
  }

  async run(): Promise<Credential> {
    for (let beginnings = 0; beginnings < MAX_BEGINNINGS; beginnings++) {
      if (await this.#answerForms()) return this.#credential();
      this.#io.log.log('info', 'log-in dropped by gateway');
      this.#http.restart(this.#entry);
    }
    throw new PeerRefusedError('The gateway drops the log-in each time.');
  }

  /** False: the gateway has forgotten us. */
  async #answerForms(): Promise<boolean> {
    let answer = await this.#http.follow(this.#http.place.path);
    let before: LoginPage | undefined;
    let tries = 0;
    for (let forms = 0; !this.#isIn; forms++) {
      if (isDropped(this.#http.place)) return false;
      if (forms === MAX_FORMS) throw new PeerMisbehavedError(`The gateway asks for more than ${MAX_FORMS} forms.`);
      const page = pageIn(answer, forms === 0);
      const isAgain = before !== undefined && isSamePage(page, before);
      tries = isAgain ? tries + 1 : 0;
      const error = isAgain ? (page.message ?? 'The gateway refused the log-in.') : undefined;
      if (error !== undefined) this.#io.log.log('info', 'log-in refused', { reason: error });
      if (error !== undefined && tries === MAX_TRIES) throw new PeerRefusedError(error);
      answer = await this.#submit(page, await this.#ask(page, error, before !== undefined && !isAgain));
      before = page;
    }
    return true;
  }

  /** Success is nothing but both cookies (spec 2.1). */
  get #isIn(): boolean {
    return this.#http.jar.get(SESSION_COOKIE) !== undefined && this.#http.jar.get(TIMING_COOKIE) !== undefined;
  }

  async #ask(page: LoginPage, error: string | undefined, isFurther: boolean): Promise<FormValues> {
    for (;;) {
      const answer = await this.#io.ask(formOf(page, error, this.#group, isFurther));
      if (answer.type === 'submit') return answer.values;
      if (answer.type === 'cancel') throw new CancelledError();
      this.#group = answer.group; // the form is the same for all
    }
  }

  async #submit(page: LoginPage, values: FormValues): Promise<HttpResponse> {
    const target = resolveLocation(this.#http.place, page.action ?? '');
    const fields = page.fields.map((field): readonly [string, string | Secret] => {
      const given = valueIn(values, field.name);
      if (field.kind !== 'choice') return [field.name, given ?? field.value];
      const chosen = field.choices.find(({ isSelected }) => isSelected) ?? field.choices[0];
      return [field.name, given ?? (field.name === DOMAIN_FIELD ? this.#group : undefined) ?? chosen?.value ?? ''];
    });
    return this.#http.submit(target, encodeForm(fields), page.fields.map(({ name }) => `${name}=…`).join('&'));
  }

  #credential(): Credential {
    const id = this.#http.jar.get(SESSION_COOKIE);
    const timing = this.#http.jar.get(TIMING_COOKIE);
    if (id === undefined || timing === undefined) throw new PeerMisbehavedError('The gateway ended the log-in without a cookie.');
    const { remote, pin } = this.#io.connection();
    const cookie = renderSessionCookie({ id, timing: timing.reveal() });
    return { protocol: 'f5', gateway: { ...this.#http.place, path: '/' }, address: remote.address, pin, cookie };
  }
}

/** Spec 2.5. */
function isDropped({ path }: Target): boolean {
  const where = pathOf(path);
  return where === PATHS.logOutPage || where === PATHS.hangUp || queryValue(path, 'errorcode') !== undefined;
}

function pageIn({ status, reason, body }: HttpResponse, isFirst: boolean): LoginPage {
  if (status !== 200) throw new PeerMisbehavedError(`The gateway answered the log-in with ${status} ${printable(reason)}.`);
  const page = parseLoginPage(fromUtf8(body));
  if (page !== undefined && page.fields.length > 0) return page;
  if (isFirst) return USUAL_PAGE;
  throw new PeerMisbehavedError('The gateway answered the log-in with a page that has no form.');
}
