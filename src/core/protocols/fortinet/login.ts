/**
 * A log-in at a Fortinet gateway, from its first page to the cookie.
 *
 * Read first: spec "Fortinet", section 2.
 *
 *   entry page ─► realm ─► name and password ─► logincheck ─┬─ cookie ─────────────► in
 *   browser (SAML) ─► id ─► cookie                          ├─ ret=2, 401 page ────► code ─► logincheck …
 *                                                           └─ ret=0, 403, 405 ────► name and password, three times
 */
import type { AuthForm, FormValues } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { encodeForm, encodeFormText } from '../../http/form-urlencoded.ts';
import type { HttpResponse } from '../../http/message.ts';
import { pathOf, queryValue } from '../../http/request-target.ts';
import { formatUrl, resolveLocation } from '../../http/url.ts';
import { revealed, type Secret } from '../../secret.ts';
import { fromUtf8, printable } from '../../wire/text.ts';
import type { ClientIdentification, HostCheckWords } from '../client-protocol.ts';
import { redirectOf } from '../page-http.ts';
import { parseChallengePage } from './challenge-page.ts';
import { FortinetHttp } from './client-http.ts';
import { PASSWORD_EXPIRED, parseLoginAnswer, type TokenChallenge } from './login-answer.ts';
import { PATHS } from './paths.ts';
import { renderSessionCookie } from './session-cookie.ts';

export interface FortinetLoginOptions {
  readonly client: ClientIdentification;
  readonly hostCheckWords?: HostCheckWords;
}

/** Tries of a name and password; codes in one log-in; pages that a script sends on to (spec 2.1, 2.3). */
const MAX_TRIES = 3;
const MAX_CHALLENGES = 10;
const MAX_SCRIPT_REDIRECTS = 5;

/** SAML: the port that gateways send browsers to, what they bring, and how long a person may take (spec 2.6). */
const BROWSER_PORT = 8020;
const SAML_ID = /^\/\?id=([0-9A-Za-z-]{1,1024})$/;
const BROWSER_LIMIT = 300_000;

/** What a form is answered with at the end (spec 2.2). */
const TAIL = 'ajax=1&just_logged_in=1';

const LOGIN_FORM_ID = '_login';
const CHALLENGE_FORM_ID = '_challenge';

/** Rejects as `ClientProtocol.login` does, and with UnsupportedError for a second factor that nobody has seen. */
export async function login(io: LoginIo, target: Target, options: FortinetLoginOptions): Promise<Credential> {
  const session = new FortinetLogin(io, target, options);
  return session.run();
}

/** What a request to logincheck came to. */
type Outcome =
  | { readonly type: 'in' }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'code'; readonly challenge: TokenChallenge }
  | { readonly type: 'page'; readonly html: string };

class FortinetLogin {
  readonly #io: LoginIo;
  readonly #options: FortinetLoginOptions;
  readonly #http: FortinetHttp;
  #challenges = 0;

  constructor(io: LoginIo, target: Target, options: FortinetLoginOptions) {
    this.#io = io;
    this.#options = options;
    this.#http = new FortinetHttp(io, target, options.client);
  }

  async run(): Promise<Credential> {
    const realm = await this.#realm();
    // A portal for certificates alone has nothing more to ask.
    if (this.#http.session === undefined) {
      if (this.#io.browse === undefined) await this.#answerForms(realm);
      else await this.#browse(this.#io.browse, realm);
    }
    return this.#credential();
  }

  #credential(): Credential {
    const session = this.#http.session;
    if (session === undefined) throw new PeerMisbehavedError('The gateway ended the log-in without a cookie.');
    const { remote, pin } = this.#io.connection();
    const gateway = { ...this.#http.place, path: '/' };
    return { protocol: 'fortinet', gateway, address: remote.address, pin, cookie: renderSessionCookie(session) };
  }

  /** The realm of the log-in's page, as the gateway wrote it (spec 2.1): it goes back byte for byte. */
  async #realm(): Promise<string> {
    let page = await this.#http.follow(this.#http.place.path);
    for (let redirects = 0; this.#http.session === undefined; redirects++) {
      const path = /top\.location="([^"]*)"/.exec(fromUtf8(page.body))?.[1];
      if (path === undefined || redirects === MAX_SCRIPT_REDIRECTS) break;
      page = await this.#http.follow(sameServerPath(this.#http.place, path));
    }
    return queryValue(this.#http.place.path, 'realm') ?? '';
  }

  /** Spec 2.6. */
  async #browse(browse: NonNullable<LoginIo['browse']>, realm: string): Promise<void> {
    const { place } = this.#http;
    const query = realm === '' ? 'redirect=1' : `redirect=1&realm=${realm}`;
    const id = await browse({
      kind: 'returns',
      url: formatUrl({ ...place, path: `${PATHS.samlStart}?${query}` }),
      port: BROWSER_PORT,
      read: (target) => SAML_ID.exec(target)?.[1],
      timeout: BROWSER_LIMIT,
    });
    const answer = await this.#http.get(`${PATHS.samlId}?id=${id}`, { shown: `${PATHS.samlId}?id=…` });
    if (this.#http.session === undefined) {
      throw new PeerRefusedError(
        `The gateway did not take the log-in that the browser made (${answer.status} ${printable(answer.reason)}).`,
      );
    }
  }

  async #answerForms(realm: string): Promise<void> {
    let error: string | undefined;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const values = await this.#ask({
        id: LOGIN_FORM_ID,
        ...(error !== undefined && { error }),
        // Observed: openconnect's words, blanks included: scripts wait for them.
        fields: [
          { kind: 'text', name: 'username', label: 'Username: ' },
          { kind: 'password', name: 'credential', label: 'Password: ' },
        ],
      });
      const user = revealed(values.username ?? '');
      const fields = [
        ['username', user],
        ['credential', values.credential ?? ''],
      ] as const;
      let outcome = await this.#check(`${encodeForm(fields)}&realm=${realm}&${TAIL}`, 'username=…&credential=…');
      while (outcome.type === 'code' || outcome.type === 'page') {
        if (++this.#challenges > MAX_CHALLENGES) throw new PeerMisbehavedError(`The gateway asked for more than ${MAX_CHALLENGES} codes.`);
        outcome =
          outcome.type === 'code' ? await this.#answerCode(outcome.challenge, user, realm) : await this.#answerPage(outcome.html, realm);
      }
      if (outcome.type === 'in') return;
      error = outcome.message;
      this.#io.log.log('info', 'log-in refused', { reason: error });
    }
    throw new PeerRefusedError(error ?? 'The gateway refused the log-in.');
  }

  /** Spec 2.4. The challenge's own values go back as they came. */
  async #answerCode({ tokenInfo, message, fields }: TokenChallenge, user: string, realm: string): Promise<Outcome> {
    const hasPush = tokenInfo.startsWith('ftm_push');
    const prompt = message ?? (hasPush ? 'Enter the code, or nothing to approve the log-in on your phone.' : undefined);
    const values = await this.#ask({
      id: CHALLENGE_FORM_ID,
      ...(prompt !== undefined && { message: prompt }),
      fields: [{ kind: 'otp', name: 'code', label: 'Code: ' }],
    });
    const code = values.code ?? '';
    const name = `username=${encodeFormText(user)}`;
    const returned = (kept: TokenChallenge['fields']) => kept.map(([key, value]) => `&${key}=${value}`).join('');
    if (hasPush && revealed(code) === '') {
      this.#io.log.log('info', 'waiting for approval on the phone');
      const rest = returned(fields.filter(([key]) => key !== 'magic'));
      return this.#check(`${name}&code=&realm=${realm}${rest}&ftmpush=1`, 'username=…&ftmpush=1');
    }
    return this.#check(`${name}&code=${encodeFormText(revealed(code))}&realm=${realm}&code2=${returned(fields)}`, 'username=…&code=…');
  }

  /** Spec 2.5. The form's action is not looked at. */
  async #answerPage(html: string, realm: string): Promise<Outcome> {
    const { message, fields } = parseChallengePage(html);
    const asked = fields.filter(({ kind }) => kind !== 'hidden');
    if (asked.length === 0) throw new PeerMisbehavedError('The gateway asks for more with a form that has nothing to fill in.');
    const values = await this.#ask({
      id: CHALLENGE_FORM_ID,
      ...(message !== undefined && { message }),
      fields: asked.map(({ kind, name }) => ({ kind: kind === 'password' ? 'otp' : 'text', name, label: labelOf(name) })),
    });
    const given: (readonly [string, string | Secret])[] = fields.map(({ kind, name, value }) => [
      name,
      kind === 'hidden' ? value : (values[name] ?? ''),
    ]);
    return this.#check(`${encodeForm(given)}&realm=${realm}&${TAIL}`, fields.map(({ name }) => `${name}=…`).join('&'));
  }

  async #check(body: string, shown: string): Promise<Outcome> {
    const response = await this.#http.post(PATHS.loginCheck, body, shown);
    const text = fromUtf8(response.body);
    if (this.#http.session !== undefined) {
      await this.#checkHost(response);
      return { type: 'in' };
    }
    switch (response.status) {
      case 200:
        return outcomeOf(text);
      case 401:
        return { type: 'page', html: text };
      case 403:
      case 405: // Observed: the usual answer to a wrong password
        return { type: 'refused', message: 'The gateway refused the user name or the password.' };
      default: {
        const location = redirectOf(response);
        if (location !== undefined && pathOf(location).endsWith(PATHS.login))
          return { type: 'refused', message: refusalText(queryValue(location, 'err')) };
        throw new PeerMisbehavedError(`The gateway answered the log-in with ${response.status} ${printable(response.reason)}.`);
      }
    }
  }

  /** Spec 2.7: a portal that wants to know of this machine says so in the answer that lets us in. */
  async #checkHost(response: HttpResponse): Promise<void> {
    const text = fromUtf8(response.body);
    const answer = parseLoginAnswer(text);
    const wanted = answer?.type === 'accepted' ? answer.redirect : undefined;
    const action =
      /\baction="([^"]*)"/.exec(text)?.[1] ?? (wanted !== undefined && pathOf(wanted).includes('hostcheck') ? wanted : undefined);
    if (action === undefined) return;
    const words = this.#options.hostCheckWords;
    if (words === undefined) {
      this.#io.log.log('warn', 'the gateway checks hosts, and was told nothing', { path: printable(pathOf(action)) });
      return;
    }
    const body = encodeForm([
      ['hostcheck', words.hostCheck],
      ['check_virtual_desktop', words.virtualDesktop],
    ]);
    await this.#http.post(sameServerPath(this.#http.place, action), body, body);
  }

  async #ask(form: AuthForm): Promise<FormValues> {
    const answer = await this.#io.ask(form);
    if (answer.type !== 'submit') throw new CancelledError();
    return answer.values;
  }
}

function outcomeOf(text: string): Outcome {
  const answer = parseLoginAnswer(text);
  switch (answer?.type) {
    case 'code-wanted':
      return { type: 'code', challenge: answer.challenge };
    case 'refused':
      return { type: 'refused', message: refusalText(answer.error) };
    case 'accepted':
      throw new PeerMisbehavedError('The gateway accepted the log-in, and sent no cookie.');
    case 'unknown':
      throw new UnsupportedError(`The gateway asks for something that Sallyport does not know how to answer: ${answer.shown}`);
    case undefined:
      throw new PeerMisbehavedError('The gateway answered the log-in with a page that is no answer.');
    default:
      return answer satisfies never;
  }
}

function refusalText(key: string | undefined): string {
  if (key === PASSWORD_EXPIRED) return 'The password has expired. It must be changed before you can log in.';
  return 'The gateway refused the user name or the password.';
}

/** What leads elsewhere is not followed: there is a password on its way (spec 9). */
function sameServerPath(place: Target, reference: string): string {
  const target = resolveLocation(place, reference);
  if (target.host === place.host && target.port === place.port) return target.path;
  throw new PeerMisbehavedError('The gateway sends the log-in on to another server.');
}

function labelOf(name: string): string {
  return name === 'credential' ? 'Code:' : `${printable(name)}:`;
}
