/**
 * A log-in at a Network Connect gateway: form after form, until the session's cookie is there.
 *
 * Read first: spec "Juniper NC", sections 3.2 to 3.6.
 *
 *   entry page ─► form ─► answers ─┬─ DSID, whatever the page ─► in
 *                  ▲               ├─ roles ─► one of them ────┐
 *                  │               ├─ another form ────────────┤
 *                  └───────────────┴─ the same form again ─────┘ three times
 */
import { type FormValues, valueIn } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import { resolveLocation } from '../../http/url.ts';
import { revealed, type Secret } from '../../secret.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import { PageHttp } from '../page-http.ts';
import {
  type FormPage,
  formOf,
  isForCodes,
  type LoginPage,
  parseLoginPage,
  REALM_FIELD,
  ROLE_FIELD,
  type RolePage,
  roleForm,
} from './login-page.ts';
import { CHECK_COOKIE, sessionIn } from './session-cookie.ts';

/** The same form in a row; forms of one log-in. */
const MAX_TRIES = 3;
const MAX_FORMS = 20;

/** In all requests of these clients. */
export const NCP_VERSION: HttpHeaders = [['NCP-Version', '3']];

/** Rejects as `ClientProtocol.login` does. */
export async function login(io: LoginIo, target: Target, userAgent: string): Promise<Credential> {
  return new NcLogin(io, target, userAgent).run();
}

class NcLogin {
  readonly #io: LoginIo;
  readonly #http: PageHttp;
  #realm: string | undefined;

  constructor(io: LoginIo, target: Target, userAgent: string) {
    this.#io = io;
    this.#http = new PageHttp(io, target, userAgent, NCP_VERSION);
  }

  async run(): Promise<Credential> {
    let answer = await this.#http.follow(this.#http.place.path);
    let before: LoginPage | undefined;
    let tries = 0;
    for (let forms = 0; ; forms++) {
      const cookie = sessionIn(this.#http.jar);
      if (cookie !== undefined) return this.#credential(cookie);
      if (forms === MAX_FORMS) throw new PeerMisbehavedError(`The gateway asks for more than ${MAX_FORMS} forms.`);
      const page = this.#pageIn(answer);
      if (page.kind === 'roles') {
        answer = await this.#takeRole(page);
      } else {
        const isAgain = before?.kind === 'form' && isRefusal(page, before);
        tries = isAgain ? tries + 1 : 0;
        const error = isAgain ? (page.message ?? 'The gateway refused the log-in.') : undefined;
        if (error !== undefined) this.#io.log.log('info', 'log-in refused', { reason: error });
        if (error !== undefined && tries === MAX_TRIES) throw new PeerRefusedError(error);
        answer = await this.#submit(page, await this.#ask(page, error));
      }
      before = page;
    }
  }

  /** What has nothing for anybody, to fill in or to read, is sent on as it is: a page between two servers, or whether another session may go on. */
  async #ask(page: FormPage, error: string | undefined): Promise<FormValues> {
    if (page.message === undefined && page.fields.every(({ kind }) => kind === 'hidden')) return {};
    for (;;) {
      const answer = await this.#io.ask(formOf(page, error, this.#realm));
      if (answer.type === 'submit') return answer.values;
      if (answer.type === 'cancel') throw new CancelledError();
      this.#realm = answer.group; // the form is the same for all
    }
  }

  async #takeRole(page: RolePage): Promise<HttpResponse> {
    const role = page.roles.length === 1 ? page.roles[0] : await this.#askRole(page);
    if (role === undefined) throw new PeerMisbehavedError('There is no such role.');
    this.#io.log.log('info', 'role taken', { name: role.name });
    const { path } = resolveLocation(this.#http.place, role.href);
    return this.#http.follow(path); // a link to another server would not be one of this log-in
  }

  async #askRole(page: RolePage): Promise<RolePage['roles'][number] | undefined> {
    let wanted: string | undefined;
    for (;;) {
      const answer = await this.#io.ask(roleForm(page, wanted));
      if (answer.type === 'cancel') throw new CancelledError();
      if (answer.type === 'submit') return page.roles[Number(revealed(answer.values[ROLE_FIELD] ?? '0'))];
      wanted = page.roles[Number(answer.group)]?.name;
    }
  }

  async #submit(page: FormPage, values: FormValues): Promise<HttpResponse> {
    const target = resolveLocation(this.#http.place, page.action ?? this.#http.place.path);
    const fields = page.fields.map((field): readonly [string, string | Secret] => {
      const given = valueIn(values, field.name);
      if (field.kind !== 'choice') return [field.name, given ?? field.value];
      const chosen = field.choices.find(({ isSelected }) => isSelected) ?? field.choices[0];
      return [field.name, given ?? (field.name === REALM_FIELD ? this.#realm : undefined) ?? chosen?.value ?? ''];
    });
    return this.#http.submit(target, encodeForm(fields), page.fields.map(({ name }) => `${name}=…`).join('&'));
  }

  #pageIn({ status, reason, body }: HttpResponse): LoginPage {
    const said = `${status} ${printable(reason)}`;
    if (status === 401 || status === 403) throw new PeerRefusedError(`The gateway refused the log-in (${said}).`);
    if (status !== 200) throw new PeerMisbehavedError(`The gateway answered the log-in with ${said}.`);
    const page = parseLoginPage(fromUtf8(body));
    if (page !== undefined) return page;
    if (this.#http.jar.get(CHECK_COOKIE) === undefined) throw new PeerMisbehavedError('The gateway’s page has no form for the log-in.');
    // Spec 4.1: with that cookie it is where a browser would begin to check the machine.
    throw new UnsupportedError(
      'The gateway wants to check this machine before the log-in (Host Checker), which does not exist yet in Sallyport.',
    );
  }

  #credential(cookie: Secret): Credential {
    const { remote, pin } = this.#io.connection();
    return { protocol: 'nc', gateway: { ...this.#http.place, path: '/' }, address: remote.address, pin, cookie };
  }
}

/** The same form once more says that something was wrong with what it was answered; a form for codes only if it asks for the same one. */
function isRefusal(page: FormPage, before: FormPage): boolean {
  const names = ({ fields }: FormPage) => fields.map(({ name }) => name).join('\n');
  return page.id === before.id && names(page) === names(before) && (!isForCodes(page) || page.message === before.message);
}
