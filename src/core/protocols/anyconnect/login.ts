/**
 * The log-in: from the first document to the session cookie.
 *
 * Read first: spec "AnyConnect", section 3.20 "Client authentication state machine", then 3.7 and 3.9 to 3.12.
 *
 *   init ─┬─ documents with a form ─► answer ─► … ─► success ─► cookie
 *         ├─ wants a certificate, another group, a host scan: init again
 *         └─ not understood: GET, the same forms without the XML envelope (legacy)
 */
import type { FormValues } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError } from '../../errors.ts';
import { encodeForm } from '../../http/form-urlencoded.ts';
import type { HttpResponse } from '../../http/message.ts';
import { formatUrl, isSameServer, resolveLocation } from '../../http/url.ts';
import { revealed, type Secret } from '../../secret.ts';
import { printable } from '../../wire/text.ts';
import { certificateReply } from './certificate-reply.ts';
import { type ClientDocument, renderClientDocument } from './client-document.ts';
import { type AuthSection, type GatewayDocument, parseGatewayDocument } from './gateway-document.ts';
import { awaitScan, scanHost } from './host-scan.ts';
import { authFormOf, GROUP_FIELD, type LoginForm, selectsFirst } from './login-form.ts';
import { type LoginBody, LoginHttp, redirectOf } from './login-http.ts';
import type { LoginOptions } from './login-options.ts';
import { profileOfCookie, updateProfile } from './profile-download.ts';
import { renderSessionCookie } from './session-cookie.ts';

/** Tries to get a first form in XML (spec 3.9, 3.11). */
const MAX_INITS = 3;
/** One more with a second certificate. */
const MAX_INITS_WITH_TWO_CERTIFICATES = 4;

/** Times that another group's form is fetched (spec 3.7). */
const MAX_GROUP_CHANGES = 5;

/** Documents that one log-in goes through. */
const MAX_ROUNDS = 50;

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
  /** The value of the group that was chosen. */
  #group: string | undefined;
  #groupChanges = 0;
  #scanToken: Secret | undefined;
  #hasSeenForm = false;
  /** Sends again what was sent last: a host scan comes between a request and its answer. */
  #repeat: () => Promise<GatewayDocument> = () => this.#firstDocument();

  constructor(io: LoginIo, target: Target, options: LoginOptions) {
    this.#io = io;
    this.#target = target;
    this.#options = options;
    this.#http = new LoginHttp(io, target, options);
  }

  async run(): Promise<Credential> {
    let document = await this.#firstDocument();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      this.#opaque = document.opaque ?? this.#opaque;
      const { auth } = document;
      if (auth?.id === 'success') return this.#finish(document, auth);
      document =
        document.hostScan !== undefined && this.#scanToken === undefined ? await this.#scan(document) : await this.#answer(document);
    }
    throw new PeerMisbehavedError(`The log-in did not end after ${MAX_ROUNDS} rounds.`);
  }

  async #firstDocument(): Promise<GatewayDocument> {
    const document = this.#http.isXml ? await this.#init() : undefined;
    if (document === undefined) return this.#initLegacy();
    this.#io.log.log('info', 'xml post enabled');
    return document;
  }

  /** The answer to `init`; undefined if the gateway does not understand XML (spec 3.10). */
  async #init(): Promise<GatewayDocument | undefined> {
    const maxInits = this.#io.userCertificate === undefined ? MAX_INITS : MAX_INITS_WITH_TWO_CERTIFICATES;
    let lacksCertificate = false;
    let hasRetried = false;
    for (let inits = 0; inits < maxInits; inits++) {
      const body = this.#render({ type: 'init', groupAccess: formatUrl(this.#http.place), lacksCertificate });
      const response = await this.#http.post(body, { fresh: this.#io.hasClientCertificate && !this.#hasSeenForm });
      const location = redirectOf(response);
      if (location !== undefined) {
        const place = resolveLocation(this.#http.place, location);
        if (isSameServer(place, this.#http.place)) return undefined;
        this.#http.moveTo(place);
        continue;
      }
      if (response.status === 403) throw refusal(response);
      const document = response.status === 200 ? this.#understood(response) : undefined;
      if (document === undefined) return undefined;
      if (document.userCertificateHashes !== undefined) return this.#proveSecondCertificate(document, response.body);
      if (!document.wantsClientCertificate || document.isCertificateAuthenticated)
        return document.auth === undefined ? undefined : document;
      // Spec 3.11: with a certificate, once more on a connection that may ask for it; then, or without one, say that there is none.
      lacksCertificate = hasRetried || !this.#io.hasClientCertificate;
      hasRetried = true;
    }
    return undefined;
  }

  async #initLegacy(): Promise<GatewayDocument> {
    this.#io.log.log('debug', 'legacy log-in');
    this.#http.isXml = false;
    this.#http.moveTo(this.#target);
    return this.#document(await this.#http.get(this.#target, NO_FIELDS));
  }

  /** Undefined for what is no log-in document. */
  #understood(response: HttpResponse): GatewayDocument | undefined {
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
    if (response.status !== 200) throw refusal(response);
    return parseGatewayDocument(response.body, this.#options.client.os);
  }

  async #proveSecondCertificate(document: GatewayDocument, body: Uint8Array): Promise<GatewayDocument> {
    const { userCertificate } = this.#io;
    if (userCertificate === undefined)
      throw new PeerRefusedError('The gateway wants a second certificate. Name one with --mca-certificate.');
    const reply = await certificateReply(userCertificate, document.userCertificateHashes ?? [], body);
    this.#opaque = document.opaque ?? this.#opaque;
    const answer = this.#document(await this.#http.postFollowing(this.#render({ type: 'auth-reply', userCertificate: reply })));
    if (answer.error !== undefined) throw new PeerRefusedError(`The gateway refused the second certificate: ${answer.error}`);
    return answer;
  }

  async #scan(document: GatewayDocument): Promise<GatewayDocument> {
    const { hostScan } = document;
    if (hostScan === undefined) return document;
    const { place } = this.#http;
    const context = { io: this.#io, place, group: this.#group, get: (to: Target) => this.#http.get(to) };
    await scanHost(hostScan, context);
    this.#scanToken = hostScan.token;
    this.#http.jar.set('sdesktop', hostScan.token);
    await awaitScan(hostScan, context);
    this.#http.place = place;
    return this.#repeat();
  }

  /** Has the form answered, and sends the answer. */
  async #answer(document: GatewayDocument): Promise<GatewayDocument> {
    const auth = document.auth ?? { id: '', isComplete: false };
    const error = auth.error ?? document.error;
    if (this.#http.jar.get('ClientCertAuthFailed') !== undefined) this.#io.log.log('error', 'client certificate refused');
    if (auth.form === undefined) {
      if (auth.isComplete) return this.#send(this.#render({ type: 'auth-reply', fields: [] }));
      throw new PeerRefusedError(error ?? auth.message ?? 'The gateway sent no form to log in with.');
    }
    this.#hasSeenForm = true;
    this.#http.moveTo(resolveLocation(this.#http.place, auth.form.action));
    return this.#answerForm(auth, auth.form, error);
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
          if (++this.#groupChanges > MAX_GROUP_CHANGES)
            throw new PeerMisbehavedError(`The group was changed more than ${MAX_GROUP_CHANGES} times.`);
          this.#group = answer.group;
          if (this.#http.isXml) return this.#changeGroup();
          break; // spec 3.7: without XML the same form is answered for another group
        default:
          answer satisfies never;
      }
    }
  }

  /** Spec 3.7: the form of another group comes as the answer to another `init`, which goes where the form would have gone. */
  async #changeGroup(): Promise<GatewayDocument> {
    this.#repeat = () => this.#changeGroup();
    const document = await this.#init();
    if (document === undefined) throw new PeerMisbehavedError('The gateway sent no form for the group that was chosen.');
    return document;
  }

  #reply(form: LoginForm, values: FormValues): LoginBody {
    const group = values[GROUP_FIELD];
    if (group !== undefined) this.#group = revealed(group);
    return this.#render({ type: 'auth-reply', fields: answered(form.inputs, values) });
  }

  #render(document: Omit<ClientDocument, 'capabilities'>): LoginBody {
    const capabilities = ['single-sign-on-v2', ...(this.#io.userCertificate === undefined ? [] : ['multiple-cert'])];
    const isReply = document.type === 'auth-reply';
    return renderClientDocument(
      {
        ...document,
        capabilities,
        ...(this.#group !== undefined && { group: this.#group }),
        ...(isReply && this.#opaque !== undefined && { opaque: this.#opaque }),
        ...(isReply && this.#scanToken !== undefined && { hostScanToken: this.#scanToken }),
      },
      this.#options.client,
    );
  }

  async #send(body: LoginBody): Promise<GatewayDocument> {
    const { place } = this.#http;
    this.#repeat = () => {
      this.#http.place = place;
      return this.#send(body);
    };
    return this.#document(await this.#http.postFollowing(body));
  }

  async #finish(document: GatewayDocument, auth: AuthSection): Promise<Credential> {
    for (const text of [auth.banner, auth.message]) if (text !== undefined) this.#io.log.log('info', 'login banner', { text });
    if (document.sessionToken !== undefined) this.#http.jar.set('webvpn', document.sessionToken);
    const session = this.#http.jar.get('webvpn');
    if (session === undefined) throw new PeerMisbehavedError('The gateway says that the log-in succeeded, but sent no session cookie.');
    const { place } = this.#http;
    await updateProfile(this.#io, document.profile ?? profileOfCookie(this.#http.jar), place, (to) => this.#http.get(to));
    const { strap } = this.#options;
    const { remote, pin } = this.#io.connection();
    const cookie = renderSessionCookie({ session, ...(strap !== undefined && { strapKey: strap.exportKey() }) });
    return { gateway: { ...place, path: '/' }, address: remote.address, pin, cookie };
  }
}

/** The values of a form's inputs, in their order. */
function answered(inputs: LoginForm['inputs'], values: FormValues): (readonly [string, string | Secret])[] {
  return inputs.flatMap(({ name }) => (values[name] === undefined ? [] : [[name, values[name]] as const]));
}

/** Spec 3.10: selects first, nothing renamed. */
function legacyReply(form: LoginForm, values: FormValues): LoginBody {
  const fields = answered(selectsFirst(form.inputs), values);
  return { text: encodeForm(fields), shown: encodeForm(fields.map(([name, value]) => [name, String(value)])) };
}

function refusal(response: HttpResponse): PeerRefusedError {
  const line = `HTTP/${response.version} ${response.status} ${printable(response.reason)}`;
  const hint = response.status === 401 || response.status === 403 ? ' Check user name, password and certificate.' : '';
  return new PeerRefusedError(`The gateway refused the log-in: ${line}.${hint}`, { code: 'ERR_LOGIN_REFUSED' });
}
