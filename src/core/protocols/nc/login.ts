/**
 * A log-in at a Network Connect gateway: form after form, until the session's cookie is there.
 *
 * Read first: spec "Juniper NC", sections 3.2 to 3.6 and 4.1.
 *
 *   entry page ─► form ─► answers ─┬─ DSID, whatever the page ─► in
 *                  ▲               ├─ roles ─► one of them ────┐
 *                  │               ├─ another form ────────────┤
 *                  └───────────────┴─ the same form again ─────┘ three times
 *
 * Before the first form there may be a page without any: the machine is to be checked.
 */
import { type FormValues, valueIn } from '../../auth/form.ts';
import type { Credential, HelperConnection, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import type { HttpHeaders, HttpResponse } from '../../http/message.ts';
import { resolveLocation } from '../../http/url.ts';
import { revealed, Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import { PageHttp } from '../page-http.ts';
import { readCheckResult, renderSetCookie, renderStart } from './host-checker.ts';
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
import { CHECK_COOKIE, POLICY_COOKIE, sessionIn } from './session-cookie.ts';

/** The same form in a row; forms of one log-in. */
const MAX_TRIES = 3;
const MAX_FORMS = 20;

/** In all requests of these clients. */
export const NCP_VERSION: HttpHeaders = [['NCP-Version', '3']];

export interface LoginNames {
  readonly userAgent: string;
  /** Of this machine, for the host checker. */
  readonly hostname: string;
}

/** Rejects as `ClientProtocol.login` does. */
export async function login(io: LoginIo, target: Target, names: LoginNames): Promise<Credential> {
  return new NcLogin(io, target, names).run();
}

class NcLogin {
  readonly #io: LoginIo;
  readonly #http: PageHttp;
  readonly #hostname: string;
  #checker: HelperConnection | undefined;
  /** How often it wants to be told the cookie. */
  #checkInterval: Millis | undefined;
  #realm: string | undefined;

  constructor(io: LoginIo, target: Target, { userAgent, hostname }: LoginNames) {
    this.#io = io;
    this.#hostname = hostname;
    this.#http = new PageHttp(io, target, userAgent, NCP_VERSION);
  }

  async run(): Promise<Credential> {
    let answer = await this.#http.follow(this.#http.place.path);
    let before: LoginPage | undefined;
    let tries = 0;
    for (let forms = 0; ; forms++) {
      const cookie = sessionIn(this.#http.jar);
      if (cookie !== undefined) {
        this.#tellChecker();
        return this.#credential(cookie);
      }
      if (forms === MAX_FORMS) throw new PeerMisbehavedError(`The gateway asks for more than ${MAX_FORMS} forms.`);
      const page = this.#pageIn(answer);
      if (page === undefined) {
        answer = await this.#checkHost();
      } else if (page.kind === 'roles') {
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

  /** Undefined: it is where a browser would begin to check the machine (spec 4.1). */
  #pageIn({ status, reason, body }: HttpResponse): LoginPage | undefined {
    const said = `${status} ${printable(reason)}`;
    if (status === 401 || status === 403) throw new PeerRefusedError(`The gateway refused the log-in (${said}).`);
    if (status !== 200) throw new PeerMisbehavedError(`The gateway answered the log-in with ${said}.`);
    const page = parseLoginPage(fromUtf8(body));
    if (page !== undefined) return page;
    const isCheck = this.#http.jar.get(CHECK_COOKIE) !== undefined && this.#checker === undefined;
    if (!isCheck) throw new PeerMisbehavedError('The gateway’s page has no form for the log-in.');
    return undefined;
  }

  /** By the user's own program: what a gateway offers is never run. Then the same page again. */
  async #checkHost(): Promise<HttpResponse> {
    const { startHelper, log } = this.#io;
    const { jar, place } = this.#http;
    if (startHelper === undefined) {
      throw new UnsupportedError(
        'The gateway wants to check this machine before the log-in (Host Checker). Name a program that does it with --csd-wrapper.',
      );
    }
    log.log('info', 'host check');
    const key = this.#io.connection().pin.replace(/^pin-sha256:/, '');
    const checker = await startHelper({ arguments: [place.host], environment: { TNCC_SHA256: key, TNCC_HOSTNAME: this.#hostname } });
    this.#checker = checker;
    checker.write(renderStart(place.host, jar.get(CHECK_COOKIE)?.reveal() ?? '', jar.get(POLICY_COOKIE)?.reveal()));
    const { cookie, interval } = await readCheckResult(checker);
    jar.set(CHECK_COOKIE, new Secret(cookie));
    this.#checkInterval = interval;
    return this.#http.follow(place.path);
  }

  #tellChecker(): void {
    const cookie = this.#http.jar.get(CHECK_COOKIE);
    if (this.#checker === undefined || cookie === undefined) return;
    const words = renderSetCookie(cookie.reveal());
    this.#checker.write(words);
    if (this.#checkInterval !== undefined) this.#checker.repeat(words, this.#checkInterval);
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
