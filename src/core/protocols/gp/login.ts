/**
 * A log-in at a GlobalProtect portal and gateway, or a gateway alone, from the first question to the cookie.
 *
 * Read first: spec "GlobalProtect", sections 3 to 8.
 *
 *   portal: prelogin ─► getconfig ─┬─ policy ──► choice of a gateway ─► the same words and cookies there ─► in
 *                                  │              or the best: its prelogin, or the next one's …    └─ 512 ─┐
 *                                  ├─ question ─► getconfig …                                               │
 *                                  └─ "does not exist" ─────────────────────────────────────────────────────┤
 *   gateway: prelogin ─► login ─┬─ question ─► login …   ◄───────────────────────────────────────────────────┘
 *                               ├─ 512 ──────► login, three times
 *                               └─ in
 *
 * Where a prelogin wants a browser, what that brings is in the place of name and password (browser-login.ts).
 */
import type { FormValues } from '../../auth/form.ts';
import type { Credential, LoginIo, Target } from '../../auth/login-io.ts';
import { CancelledError, PeerMisbehavedError, PeerRefusedError, UnsupportedError } from '../../errors.ts';
import { encodeForm, percentDecode } from '../../http/form-urlencoded.ts';
import { hostHeader } from '../../http/url.ts';
import { revealed, type Secret } from '../../secret.ts';
import type { Millis } from '../../tunnel/packet.ts';
import { printable } from '../../wire/text.ts';
import type { ClientIdentification } from '../client-protocol.ts';
import { type BrowserStart, isExpectedUser, readBrowserAnswer } from './browser-login.ts';
import { GpHttp, platformOf } from './client-http.ts';
import { chooseGateways, firstThatAnswers } from './gateway-choice.ts';
import { type Challenge, type LoginAnswer, parseLoginAnswer } from './login-answer.ts';
import { CLIENT_VERSION, PATHS } from './paths.ts';
import { type PortalGateway, type PortalPolicy, readPolicy } from './portal-policy.ts';
import { NO_PORTAL, POLICY_LIMITS, type Prelogin, parsePrelogin, XML_LIMITS } from './prelogin.ts';
import { renderSessionCookie } from './session-cookie.ts';

export interface GpLoginOptions {
  readonly client: ClientIdentification;
  readonly wantsIpv6: boolean;
  /** Who is expected of a browser's log-in. Default: anybody. */
  readonly user?: string;
}

type Interface = 'portal' | 'gateway';
type Ready = Extract<Prelogin, { type: 'ready' }>;
type Admitting = Exclude<LoginAnswer, { type: 'challenge' | 'refused' }>;

/** Tries of a name and password; questions in one log-in. */
const MAX_TRIES = 3;
const MAX_CHALLENGES = 10;

const LOGIN_FORM_ID = '_login';
const CHALLENGE_FORM_ID = '_challenge';

/** Spec 4.4: that the system's own browser is to be used, and at a gateway that it is not. */
const BROWSER_OF = { Linux: '4', Mac: '3', Windows: '2' } as const;
const NO_SYSTEM_BROWSER = '0';
const BROWSER_LIMIT: Millis = 600_000;
const LINK_WANTED =
  'When you are logged in, copy the link that leads back to GlobalProtect (globalprotectcallback:…), or, if there is none, the source of the last page.';
/** Where the server does not lead a browser back. */
const SOURCE_WANTED = 'When you are logged in, copy the source of the last page: there is no link on it that leads back.';

const WRONG = 'The gateway refused the user name or the password.';

/** What `--usergroup` or the path of the URL says: an interface, and the field that a secret goes into (spec 4.2). */
export function wayOf(path: string): { readonly interface?: 'portal' | 'gateway'; readonly field: string } {
  const text = percentDecode(path.split('?', 1)[0] ?? '').replace(/^\/+/, '');
  const colon = text.lastIndexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  const field = colon < 0 ? '' : text.slice(colon + 1);
  if (field !== '' && !/^[a-z-]{1,64}$/.test(field)) throw new PeerMisbehavedError('The field behind the colon is no name of one.');
  const isPortal = name === 'portal' || name.startsWith('global-protect');
  const isGateway = name === 'gateway' || name.startsWith('ssl-vpn');
  return { ...(isPortal && { interface: 'portal' }), ...(isGateway && { interface: 'gateway' }), field: field === '' ? 'passwd' : field };
}

export interface LoggedIn {
  readonly credential: Credential;
  /** As {@link PortalPolicy.reportInterval}. */
  readonly reportInterval?: Millis;
}

/** Rejects as `ClientProtocol.login` does, and with UnsupportedError where only a browser can log in and there is none. */
export function login(io: LoginIo, target: Target, options: GpLoginOptions): Promise<LoggedIn> {
  return new GpLogin(io, target, options).run();
}

/** What there is to do by hand. The address is the server's own, for anybody to open. */
function withoutBrowser(at: Interface, start: BrowserStart): string {
  const named = `The ${at} wants a log-in with a browser (SAML). Name one (--external-browser; --browser of "sallyport connect"; "browser" in the library)`;
  const field = `prelogin-cookie that it ends with as the password, with --usergroup=${at}:prelogin-cookie and --user=NAME`;
  return 'url' in start ? `${named}, or log in elsewhere at ${start.url} and give the ${field}.` : `${named}.`;
}

function somebodyElse(user: string, expected: string): string {
  const advice = `Log out at the identity provider and try again, or name that user (--user; "user" in the library), or nobody.`;
  return `The browser has logged in "${user}", and "${printable(expected)}" was to be. ${advice}`;
}

/** What was typed, or brought by a browser, for the other interface. */
interface Words {
  readonly user: string;
  readonly secret: string | Secret;
  readonly field: string;
}

class GpLogin {
  readonly #io: LoginIo;
  readonly #options: GpLoginOptions;
  readonly #http: GpHttp;
  readonly #way: ReturnType<typeof wayOf>;
  #policy: PortalPolicy | undefined;
  #words: Words | undefined;

  constructor(io: LoginIo, target: Target, options: GpLoginOptions) {
    this.#io = io;
    this.#options = options;
    this.#way = wayOf(target.path);
    this.#http = new GpHttp(io, { ...target, path: '/' }, options.client);
  }

  async run(): Promise<LoggedIn> {
    const gateways = this.#way.interface === 'gateway' ? undefined : await this.#portal();
    const prelogin = gateways && (await this.#arrive(gateways));
    const words = gateways === undefined ? undefined : this.#wordsAgain;
    const again = words && (await this.#submit('gateway', words));
    const answer = again?.type === 'in' ? again : await this.#gateway(prelogin ?? (await this.#gatewayPrelogin()));
    const fields = new Map(answer.fields);
    fields.set('computer', this.#options.client.localHostname);
    const { remote, pin } = this.#io.connection();
    const gateway = { ...this.#http.place, path: '/' };
    const reportInterval = this.#policy?.reportInterval;
    return {
      credential: { protocol: 'gp', gateway, address: remote.address, pin, cookie: renderSessionCookie(fields) },
      ...(reportInterval !== undefined && { reportInterval }),
    };
  }

  /** Spec 5.4. What a browser has brought is for one interface alone: of the same name the portal has given another one for its gateways. */
  get #wordsAgain(): Words | undefined {
    const words = this.#words;
    const cookies = this.#policy?.cookies ?? [];
    if (words === undefined || (words.field !== 'passwd' && cookies.length === 0)) return undefined;
    return { ...words, secret: new Map(cookies).get(words.field) ?? words.secret };
  }

  /** The gateways to try. Undefined: there is no portal here, and nobody has said that there is. */
  async #portal(): Promise<readonly PortalGateway[] | undefined> {
    const prelogin = await this.#prelogin('portal');
    if (prelogin.type === 'refused') {
      if (prelogin.message === NO_PORTAL && this.#way.interface === undefined) return undefined;
      throw new PeerRefusedError(`The portal refuses: ${prelogin.message}`);
    }
    const answer = await this.#ask('portal', prelogin);
    if (answer.type !== 'document') throw new PeerMisbehavedError('The portal answered the log-in with something else than its policy.');
    this.#policy = readPolicy(answer.root, prelogin.region);
    return chooseGateways(this.#io, this.#policy.gateways);
  }

  /** At the first of several that answers its prelogin; at a single one that is spared, where the portal's words may do (spec 5.4). */
  async #arrive(gateways: readonly PortalGateway[]): Promise<Ready | undefined> {
    return firstThatAnswers(this.#io, gateways, async ({ target }, patience) => {
      this.#http.restart({ ...target, path: '/' });
      return gateways.length === 1 ? undefined : this.#gatewayPrelogin(patience);
    });
  }

  async #gatewayPrelogin(patience?: Millis): Promise<Ready> {
    const prelogin = await this.#prelogin('gateway', patience);
    if (prelogin.type === 'refused') throw new PeerRefusedError(`The gateway refuses: ${prelogin.message}`);
    return prelogin;
  }

  async #gateway(prelogin: Ready): Promise<Extract<LoginAnswer, { type: 'in' }>> {
    const answer = await this.#ask('gateway', prelogin);
    if (answer.type !== 'in') throw new PeerMisbehavedError('The gateway answered the log-in with something else than a session.');
    return answer;
  }

  /** Whether the system's own browser may be used, as far as the portal is asked (spec 4.4). */
  #mayLeadBack(at: Interface): boolean {
    return at === 'portal' || this.#policy === undefined || this.#policy.leadsBack;
  }

  async #prelogin(at: Interface, patience?: Millis): Promise<Prelogin> {
    const { clientos } = platformOf(this.#options.client);
    const path = at === 'portal' ? PATHS.portalPrelogin : PATHS.prelogin;
    const query = encodeForm([
      ['tmp', 'tmp'],
      ['clientVer', CLIENT_VERSION],
      ['clientos', clientos],
      ...(this.#io.browse === undefined
        ? []
        : ([
            ['default-browser', this.#mayLeadBack(at) ? BROWSER_OF[clientos] : NO_SYSTEM_BROWSER],
            ['cas-support', 'yes'],
          ] as const)),
    ]);
    const { status, reason, body } = await this.#http.post(`${path}?${query}`, '', '', { patience });
    if (status !== 200)
      throw new PeerRefusedError(`The server answered ${status} ${printable(reason)}: it is no GlobalProtect portal or gateway.`);
    return parsePrelogin(body);
  }

  /** A name and a secret, again where they were wrong, and what is asked after them. */
  async #ask(at: Interface, prelogin: Ready): Promise<Admitting> {
    const { field } = this.#way;
    if (prelogin.browser !== undefined && field === 'passwd')
      return this.#browse(at, prelogin.browser, prelogin.leadsBack === true && this.#mayLeadBack(at));
    let error: string | undefined;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const values = await this.#form(prelogin, error);
      const words = { user: revealed(values.user ?? ''), secret: values[field] ?? '', field };
      const answer = await this.#submit(at, words);
      if (answer.type === 'refused') error = answer.message;
      else if (answer.type !== 'challenge') return answer;
    }
    throw new PeerRefusedError(error ?? WRONG);
  }

  /** Spec 4. `leadsBack`: to an address that a person can copy. */
  async #browse(at: Interface, start: NonNullable<Ready['browser']>, leadsBack: boolean): Promise<Admitting> {
    const { browse } = this.#io;
    if (start === 'unreadable') throw new PeerMisbehavedError(`The ${at} wants a log-in with a browser, and does not say where it begins.`);
    if (browse === undefined) throw new UnsupportedError(withoutBrowser(at, start));
    const copied = await browse({
      ...{ kind: 'copied', start, gateway: hostHeader(this.#http.place), timeout: BROWSER_LIMIT },
      ...{ instruction: leadsBack ? LINK_WANTED : SOURCE_WANTED, isAnswer: (text) => readBrowserAnswer(text) !== undefined },
    });
    const brought = readBrowserAnswer(copied);
    if (brought === undefined) throw new PeerMisbehavedError('The browser has brought nothing that a log-in could go on with.');
    const expected = this.#options.user || brought.user;
    if (!isExpectedUser(brought.user, expected)) throw new PeerRefusedError(somebodyElse(brought.user, expected));
    const answer = await this.#submit(at, brought);
    if (answer.type === 'refused' || answer.type === 'challenge') {
      throw new PeerRefusedError(`The ${at} does not take the log-in that the browser has made.`);
    }
    return answer;
  }

  async #form(prelogin: Ready, error: string | undefined): Promise<FormValues> {
    const { field } = this.#way;
    return this.#answerOf({
      id: LOGIN_FORM_ID,
      ...(prelogin.banner !== undefined && { message: prelogin.banner }),
      ...(error !== undefined && { error }),
      fields: [
        {
          kind: 'text',
          name: 'user',
          label: `${prelogin.usernameLabel}: `,
          ...(prelogin.username !== undefined && { initial: prelogin.username }),
        },
        { kind: 'password', name: field, label: `${field === 'passwd' ? prelogin.passwordLabel : field}: ` },
      ],
    });
  }

  /** What the words come to; questions are answered on the way. */
  async #submit(at: Interface, words: Words): Promise<LoginAnswer> {
    this.#words = words;
    let answer = await this.#post(at, words, undefined);
    for (let asked = 0; answer.type === 'challenge'; asked++) {
      if (asked === MAX_CHALLENGES) throw new PeerMisbehavedError(`The gateway asked more than ${MAX_CHALLENGES} questions.`);
      const { challenge } = answer;
      const label = challenge.prompt === '' ? 'Challenge' : challenge.prompt;
      const values = await this.#answerOf({
        id: CHALLENGE_FORM_ID,
        message: label,
        fields: [{ kind: 'otp', name: 'passwd', label: 'Challenge: ' }],
      });
      answer = await this.#post(at, { user: words.user, secret: values.passwd ?? '', field: 'passwd' }, challenge);
    }
    return answer;
  }

  /** Spec 5.1: the same at both, in this order. */
  async #post(at: Interface, { user, secret, field }: Words, challenge: Challenge | undefined): Promise<LoginAnswer> {
    const { client, wantsIpv6 } = this.#options;
    const { clientos, osVersion } = platformOf(client);
    const plain = [
      ...([
        ['jnlpReady', 'jnlpReady'],
        ['ok', 'Login'],
        ['direct', 'yes'],
        ['clientVer', CLIENT_VERSION],
      ] as const),
      ...([
        ['prot', 'https:'],
        ['internal', 'no'],
        ['ipv6-support', wantsIpv6 ? 'yes' : 'no'],
        ['clientos', clientos],
      ] as const),
      ...([
        ['os-version', osVersion],
        ['server', hostHeader(this.#http.place)],
        ['computer', client.localHostname],
      ] as const),
    ] as const;
    const cookies = (at === 'gateway' && this.#policy?.cookies) || [];
    const body = encodeForm([
      ...plain,
      ...cookies.filter(([name]) => name !== field), // a field stands once
      ...(challenge === undefined ? [] : [['inputStr', challenge.state] as const]),
      ...([
        ['user', user],
        [field, secret],
      ] as const),
    ]);
    const path = at === 'portal' ? PATHS.portalConfiguration : PATHS.login;
    const answer = await this.#http.post(path, body, `${encodeForm(plain)}&…`);
    if (answer.status === 512) return { type: 'refused', message: WRONG };
    if (answer.status === 513) throw new PeerRefusedError('The gateway wants a client certificate. Give one with --certificate.');
    if (answer.status !== 200)
      throw new PeerRefusedError(`The gateway answered the log-in with ${answer.status} ${printable(answer.reason)}.`);
    const parsed = parseLoginAnswer(answer.body, at === 'portal' ? POLICY_LIMITS : XML_LIMITS);
    // Spec 7: this is the end of an attempt; only 512 asks again.
    if (parsed.type === 'refused') throw new PeerRefusedError(parsed.message === '' ? WRONG : parsed.message);
    return parsed;
  }

  async #answerOf(form: Parameters<LoginIo['ask']>[0]): Promise<FormValues> {
    const answer = await this.#io.ask(form);
    if (answer.type !== 'submit') throw new CancelledError();
    return answer.values;
  }
}
