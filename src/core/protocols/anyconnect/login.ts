/**
 * The log-in: from the first document to the session cookie.
 *
 * Read first: spec "AnyConnect", section 3.20 "Client authentication state machine", then 3.7 and 3.9 to 3.12.
 *
 *   init ─┬─ documents with a form ─► answer ─► … ─► success ─► cookie
 *         ├─ wants a certificate, another group, a host scan: init again
 *         └─ not understood: GET, the same forms without the XML envelope (legacy)
 */
import { type FormValues, valueIn } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError, UnansweredError, UnsupportedError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import type { HttpResponse } from '../../http/message.ts';
import { formatUrl, isSameServer, resolveLocation } from '../../http/url.ts';
import { revealed, Secret } from '../../secret.ts';
import { printable } from '../../wire/text.ts';
import { certificateReply } from './certificate-reply.ts';
import { type ClientDocument, renderClientDocument } from './client-document.ts';
import { type AuthSection, type GatewayDocument, type HostScan, parseGatewayDocument } from './gateway-document.ts';
import { awaitScan, scanHost } from './host-scan.ts';
import { authFormOf, GROUP_FIELD, type LoginForm, noSingleSignOn, selectsFirst } from './login-form.ts';
import { type ConnectionWish, type LoginBody, LoginHttp, redirectOf } from './login-http.ts';
import type { LoginOptions } from './login-options.ts';
import { profileOfCookie, updateProfile } from './profile-download.ts';
import { renderSessionCookie, SESSION_COOKIE } from './session-cookie.ts';

/** Tries to get a first form in XML (spec 3.9, 3.11). */
const MAX_INITS = 3;
/** One more with a second certificate. */
const MAX_INITS_WITH_TWO_CERTIFICATES = 4;

/** Times that another group's form is fetched (spec 3.7). */
const MAX_GROUP_CHANGES = 5;

/** Documents that one log-in goes through. */
const MAX_ROUNDS = 50;

/** What the request of an answer that cannot be read rejects with. */
const UNREADABLE = [UnansweredError, PeerMisbehavedError, UnsupportedError] as const;

const NO_FIELDS: LoginBody = { text: '', shown: '' };

/**
 * Logs in at the gateway. Rejects with PeerRefusedError for a "no", PeerMisbehavedError for nonsense, UnsupportedError for a way that does not exist
 * here, CancelledError if whoever answers cancels, and with what {@link LoginIo} rejects with.
 */
export function login(io: LoginIo, target: Target, options: LoginOptions): Promise<Credential> {
  return new Login(io, target, options).run();
}

class Login {
  readonly #io: LoginIo;
  readonly #target: Target;
  readonly #options: LoginOptions;
  readonly #http: LoginHttp;
  #opaque: GatewayDocument['opaque'];
  /** What `init` says that it contacts. Redirects and a form's action do not change it; the choice of a group does (observed). */
  #groupAccess: string;
  /** The value of the group that was chosen. */
  #group: string | undefined;
  #groupChanges = 0;
  #scanToken: Secret | undefined;
  #hasSeenForm = false;
  #hasReportedCertificate = false;
  /** Sends again what was sent last: a host scan comes between a request and its answer. */
  #repeat: () => Promise<GatewayDocument> = () => (this.#http.isXml ? this.#firstDocument() : this.#legacyDocument());

  constructor(io: LoginIo, target: Target, options: LoginOptions) {
    this.#io = io;
    this.#target = target;
    this.#options = options;
    this.#http = new LoginHttp(io, target, options);
    this.#groupAccess = formatUrl(target);
  }

  async run(): Promise<Credential> {
    let document = await this.#firstDocument();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.#remember(document);
      const { auth, hostScan } = document;
      if (auth?.id === 'success') return this.#finish(document, auth);
      // First of all: a host scan's repetition goes there too (observed).
      if (auth?.form !== undefined) this.#http.moveTo(resolveLocation(this.#http.place, auth.form.action));
      document = hostScan !== undefined && this.#scanToken === undefined ? await this.#scan(hostScan) : await this.#answer(document);
    }
    throw new PeerMisbehavedError(`The log-in did not end after ${MAX_ROUNDS} rounds.`);
  }

  /** What holds beyond the next answer. */
  #remember(document: GatewayDocument): void {
    this.#opaque = document.opaque ?? this.#opaque;
    if (document.sessionToken !== undefined) this.#http.jar.set(SESSION_COOKIE, document.sessionToken);
  }

  async #firstDocument(): Promise<GatewayDocument> {
    const document = this.#http.isXml ? await this.#init() : undefined;
    if (document !== undefined) {
      this.#io.log.log('info', 'xml post enabled');
      return document;
    }
    this.#io.log.log('debug', 'legacy log-in');
    this.#http.isXml = false;
    this.#http.moveTo(this.#target);
    return this.#legacyDocument({ fresh: true });
  }

  async #legacyDocument(how: ConnectionWish = {}): Promise<GatewayDocument> {
    return this.#document(await this.#http.follow('GET', NO_FIELDS, how));
  }

  /** The answer to `init`; undefined if the gateway does not understand XML (spec 3.10). */
  async #init(): Promise<GatewayDocument | undefined> {
    const maxInits = this.#io.userCertificate === undefined ? MAX_INITS : MAX_INITS_WITH_TWO_CERTIFICATES;
    let lacksCertificate = false;
    let hasRetried = false;
    for (let inits = 0; inits < maxInits; inits++) {
      const body = this.#render({ type: 'init', groupAccess: this.#groupAccess, lacksCertificate }, this.#group);
      // Only a first `init` asks whether this is the right way and server; from the first form on, it is (spec 3.9).
      const response = this.#hasSeenForm ? await this.#http.follow('POST', body) : await this.#firstAnswer(body);
      if (response === undefined) return undefined;
      const document = this.#hasSeenForm ? this.#document(response) : this.#understood(response);
      if (document === 'moved') continue;
      if (document?.userCertificateHashes !== undefined) return this.#proveSecondCertificate(document, response.body);
      if (document?.wantsClientCertificate !== true || document.isCertificateAuthenticated) {
        return document?.auth === undefined ? undefined : document;
      }
      if (!this.#io.hasClientCertificate) this.#io.log.log('info', 'client certificate wanted');
      // Spec 3.11: with a certificate, once more on a connection that may ask for it; then, or without one, say that there is none.
      lacksCertificate = hasRetried || !this.#io.hasClientCertificate;
      hasRetried = true;
    }
    return undefined;
  }

  /**
   * What a first `init` is answered; undefined where that cannot be read, or nothing comes. Observed: openconnect 9.01 then goes on without XML as well, as
   * it does after an error of HTTP's: there are gateways, and servers in front of them, that hang up on a request that they do not know.
   */
  async #firstAnswer(body: LoginBody): Promise<HttpResponse | undefined> {
    try {
      return await this.#http.post(body, this.#certificateWish);
    } catch (error) {
      if (!UNREADABLE.some((kind) => error instanceof kind)) throw error;
      this.#io.log.log('debug', 'not a log-in document', { reason: error instanceof Error ? error.message : String(error) });
      return undefined;
    }
  }

  /** Spec 3.11: some gateways ask for a certificate on a later connection only, so until there is a form each request has its own. */
  get #certificateWish(): ConnectionWish {
    return { fresh: this.#io.hasClientCertificate && !this.#hasSeenForm };
  }

  /** The answer to a first `init`: `moved` if another server is to be asked, undefined for what is no log-in document. */
  #understood(response: HttpResponse): GatewayDocument | 'moved' | undefined {
    const location = redirectOf(response);
    if (location !== undefined) {
      const place = resolveLocation(this.#http.place, location);
      if (isSameServer(place, this.#http.place)) return undefined;
      this.#http.moveTo(place);
      return 'moved';
    }
    if (response.status === 403) throw this.#refusal(response);
    if (response.status !== 200) return undefined;
    try {
      return parseGatewayDocument(response.body, this.#options.client.os);
    } catch (error) {
      if (!(error instanceof PeerMisbehavedError)) throw error;
      this.#io.log.log('debug', 'not a log-in document', { reason: error.message });
      return undefined;
    }
  }

  /** The document in a response after the first one: nothing else will do. */
  #document(response: HttpResponse): GatewayDocument {
    if (response.status !== 200) throw this.#refusal(response);
    return parseGatewayDocument(response.body, this.#options.client.os);
  }

  #refusal(response: HttpResponse): PeerRefusedError {
    this.#io.log.log('error', 'http refused', { status: response.status });
    const line = `HTTP/${response.version} ${response.status} ${printable(response.reason)}`;
    const hint = response.status === 401 || response.status === 403 ? ' Check user name, password and certificate.' : '';
    return new PeerRefusedError(`The gateway refused the log-in: ${line}.${hint}`, { code: 'ERR_LOGIN_REFUSED' });
  }

  async #proveSecondCertificate(document: GatewayDocument, body: Uint8Array): Promise<GatewayDocument> {
    const { userCertificate } = this.#io;
    if (userCertificate === undefined)
      throw new PeerRefusedError('The gateway wants a second certificate. Name one with --mca-certificate.');
    this.#remember(document);
    const reply = this.#render({
      type: 'auth-reply',
      userCertificate: await certificateReply(userCertificate, document.userCertificateHashes ?? [], body),
    });
    const answer = this.#document(await this.#http.follow('POST', reply, this.#certificateWish));
    if (answer.error !== undefined) throw new PeerRefusedError(`The gateway refused the second certificate: ${answer.error}`);
    return answer;
  }

  async #scan(hostScan: HostScan): Promise<GatewayDocument> {
    const context = { io: this.#io, place: this.#http.place, group: this.#group, get: (url: string) => this.#http.get(url) };
    await scanHost(hostScan, context);
    this.#scanToken = hostScan.token;
    this.#http.jar.set('sdesktop', hostScan.token);
    await awaitScan(hostScan, context);
    return this.#repeat();
  }

  /** Has the form answered, and sends the answer. */
  async #answer({ auth = { id: '', isComplete: false }, ...document }: GatewayDocument): Promise<GatewayDocument> {
    const error = auth.error ?? document.error;
    this.#reportCertificate(error);
    if (auth.form !== undefined && auth.form.inputs.length > 0) {
      this.#hasSeenForm = true;
      return this.#answerForm(auth, auth.form, error);
    }
    if (auth.isComplete) return this.#send(this.#http.isXml ? this.#render({ type: 'auth-reply', fields: [] }) : NO_FIELDS);
    if (auth.singleSignOn !== undefined) throw noSingleSignOn();
    throw new PeerRefusedError(error ?? auth.message ?? 'The gateway sent no form to log in with.');
  }

  /** Spec 3.11: the two ways in which gateways say it. */
  #reportCertificate(error: string | undefined): void {
    const isRefused =
      this.#http.jar.get('ClientCertAuthFailed') !== undefined || error?.includes('Certificate Validation Failure') === true;
    if (isRefused && !this.#hasReportedCertificate) this.#io.log.log('error', 'client certificate refused');
    this.#hasReportedCertificate ||= isRefused;
  }

  async #answerForm(auth: AuthSection, form: LoginForm, error: string | undefined): Promise<GatewayDocument> {
    const { id, banner, message } = auth;
    const texts = {
      id,
      ...(banner !== undefined && { banner }),
      ...(message !== undefined && { message }),
      ...(error !== undefined && { error }),
    };
    for (;;) {
      const answer = await this.#io.ask(authFormOf(form, texts, this.#group));
      switch (answer.type) {
        case 'cancel':
          throw new CancelledError();
        case 'submit':
          return this.#send(this.#http.isXml ? this.#reply(form, answer.values) : legacyReply(form, answer.values));
        case 'change-group':
          this.#group = answer.group;
          if (this.#http.isXml) return this.#changeGroup();
          break; // spec 3.7: without XML the same form is answered for another group
        default:
          answer satisfies never;
      }
    }
  }

  /** Spec 3.7: the form of another group comes as the answer to another `init`, which goes where the form would have gone. */
  #changeGroup(): Promise<GatewayDocument> {
    if (++this.#groupChanges > MAX_GROUP_CHANGES)
      throw new PeerMisbehavedError(`The group was changed more than ${MAX_GROUP_CHANGES} times.`);
    this.#groupAccess = formatUrl(this.#http.place);
    this.#repeat = async () => {
      const document = await this.#init();
      if (document === undefined) throw new PeerMisbehavedError('The gateway sent no form for the group that was chosen.');
      return document;
    };
    return this.#repeat();
  }

  #reply(form: LoginForm, values: FormValues): LoginBody {
    const fields = answered(form.inputs, values);
    const group = fields.find(([name]) => name === GROUP_FIELD)?.[1];
    if (group !== undefined) this.#group = revealed(group);
    return this.#render({ type: 'auth-reply', fields }, group === undefined ? undefined : this.#group);
  }

  #render(document: Omit<ClientDocument, 'capabilities' | 'group'>, group?: string): LoginBody {
    const capabilities = ['single-sign-on-v2', ...(this.#io.userCertificate === undefined ? [] : ['multiple-cert'])];
    const isReply = document.type === 'auth-reply';
    return renderClientDocument(
      {
        ...document,
        capabilities,
        ...(group !== undefined && { group }),
        ...(isReply && this.#opaque !== undefined && { opaque: this.#opaque }),
        ...(isReply && this.#scanToken !== undefined && { hostScanToken: this.#scanToken }),
      },
      this.#options.client,
    );
  }

  async #send(body: LoginBody): Promise<GatewayDocument> {
    this.#repeat = () => this.#send(body);
    return this.#document(await this.#http.follow('POST', body));
  }

  async #finish(document: GatewayDocument, auth: AuthSection): Promise<Credential> {
    for (const text of [auth.banner, auth.message]) if (text !== undefined) this.#io.log.log('info', 'login banner', { text });
    const session = this.#http.jar.get(SESSION_COOKIE);
    if (session === undefined) throw new PeerMisbehavedError('The gateway says that the log-in succeeded, but sent no session cookie.');
    await updateProfile(this.#io, document.profile ?? profileOfCookie(this.#http.jar), (url) => this.#http.get(url));
    const { strap } = this.#options;
    const { remote, pin } = this.#io.connection();
    const cookie = renderSessionCookie({ session, ...(strap !== undefined && { strapKey: strap.exportKey() }) });
    return { protocol: 'anyconnect', gateway: { ...this.#http.place, path: '/' }, address: remote.address, pin, cookie };
  }
}

/** The values of a form's inputs, in their order. */
function answered(inputs: LoginForm['inputs'], values: FormValues): (readonly [string, string | Secret])[] {
  return inputs.flatMap(({ type, name }) => {
    const value = valueIn(values, name);
    if (value === undefined) return [];
    // Whoever answers may have forgotten that it is one: the body is shown in logs.
    return [[name, type === 'password' ? new Secret(revealed(value)) : value] as const];
  });
}

/** Spec 3.10: selects first, nothing renamed. */
function legacyReply(form: LoginForm, values: FormValues): LoginBody {
  const fields = answered(selectsFirst(form.inputs), values);
  return { text: encodeForm(fields), shown: encodeForm(fields.map(([name, value]) => [name, String(value)])) };
}
