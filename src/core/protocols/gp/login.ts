/**
 * A log-in at a GlobalProtect portal and gateway, or a gateway alone, from the first question to the cookie.
 *
 * Read first: spec "GlobalProtect", sections 3 to 8.
 *
 *   portal: prelogin ─► getconfig ─┬─ policy ──► choice of a gateway ─► the same words and cookies there ─► in
 *                                  ├─ question ─► getconfig …                       └─ 512 ─┐
 *                                  └─ "does not exist" ─────────────────────────────────────┤
 *   gateway: prelogin ─► login ─┬─ question ─► login …   ◄───────────────────────────────────┘
 *                               ├─ 512 ──────► login, three times
 *                               └─ in
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
import { GpHttp, platformOf } from './client-http.ts';
import { type Challenge, type LoginAnswer, parseLoginAnswer } from './login-answer.ts';
import { CLIENT_VERSION, PATHS } from './paths.ts';
import { type PortalGateway, type PortalPolicy, readPolicy } from './portal-policy.ts';
import { NO_PORTAL, type Prelogin, parsePrelogin } from './prelogin.ts';
import { renderSessionCookie } from './session-cookie.ts';

export interface GpLoginOptions {
  readonly client: ClientIdentification;
  readonly wantsIpv6: boolean;
}

type Ready = Extract<Prelogin, { type: 'ready' }>;

/** Tries of a name and password; questions in one log-in. */
const MAX_TRIES = 3;
const MAX_CHALLENGES = 10;

const LOGIN_FORM_ID = '_login';
const CHALLENGE_FORM_ID = '_challenge';
const GATEWAY_FORM_ID = '_portal';

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

/** Rejects as `ClientProtocol.login` does, and with UnsupportedError where only a browser can log in. */
export function login(io: LoginIo, target: Target, options: GpLoginOptions): Promise<LoggedIn> {
  return new GpLogin(io, target, options).run();
}

/** What was typed, for the other interface. */
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
    const isThrough = this.#way.interface !== 'gateway' && (await this.#portal());
    const again = isThrough && this.#words !== undefined ? await this.#submit('gateway', this.#words) : undefined;
    const answer = again?.type === 'in' ? again : await this.#gateway();
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

  /** False: there is no portal here, and nobody has said that there is. */
  async #portal(): Promise<boolean> {
    const prelogin = await this.#prelogin(PATHS.portalPrelogin);
    if (prelogin.type === 'refused') {
      if (prelogin.message === NO_PORTAL && this.#way.interface === undefined) return false;
      throw new PeerRefusedError(`The portal refuses: ${prelogin.message}`);
    }
    const answer = await this.#ask('portal', prelogin);
    if (answer.type !== 'document') throw new PeerMisbehavedError('The portal answered the log-in with something else than its policy.');
    this.#policy = readPolicy(answer.root, prelogin.region);
    const { target } = await this.#choose(this.#policy.gateways);
    this.#http.restart({ ...target, path: '/' });
    return true;
  }

  async #gateway(): Promise<Extract<LoginAnswer, { type: 'in' }>> {
    const prelogin = await this.#prelogin(PATHS.prelogin);
    if (prelogin.type === 'refused') throw new PeerRefusedError(`The gateway refuses: ${prelogin.message}`);
    const answer = await this.#ask('gateway', prelogin);
    if (answer.type !== 'in') throw new PeerMisbehavedError('The gateway answered the log-in with something else than a session.');
    return answer;
  }

  async #prelogin(path: string): Promise<Prelogin> {
    const { clientos } = platformOf(this.#options.client);
    const query = encodeForm([
      ['tmp', 'tmp'],
      ['clientVer', CLIENT_VERSION],
      ['clientos', clientos],
    ]);
    const { status, reason, body } = await this.#http.post(`${path}?${query}`, '', '');
    if (status !== 200)
      throw new PeerRefusedError(`The server answered ${status} ${printable(reason)}: it is no GlobalProtect portal or gateway.`);
    return parsePrelogin(body);
  }

  /** A name and a secret, again where they were wrong, and what is asked after them. */
  async #ask(at: 'portal' | 'gateway', prelogin: Ready): Promise<Exclude<LoginAnswer, { type: 'challenge' | 'refused' }>> {
    const { field } = this.#way;
    if (prelogin.isSaml && field === 'passwd') {
      throw new UnsupportedError(
        `The ${at} wants a log-in with a browser (SAML), which does not exist yet in Sallyport. Log in elsewhere, and give its cookie as the password with --usergroup=${at}:prelogin-cookie.`,
      );
    }
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
          label: `${prelogin.usernameLabel}:`,
          ...(prelogin.username !== undefined && { initial: prelogin.username }),
        },
        { kind: 'password', name: field, label: field === 'passwd' ? `${prelogin.passwordLabel}:` : `${field}:` },
      ],
    });
  }

  /** What the words come to; questions are answered on the way. */
  async #submit(at: 'portal' | 'gateway', words: Words): Promise<LoginAnswer> {
    this.#words = words;
    let answer = await this.#post(at, words, undefined);
    for (let asked = 0; answer.type === 'challenge'; asked++) {
      if (asked === MAX_CHALLENGES) throw new PeerMisbehavedError(`The gateway asked more than ${MAX_CHALLENGES} questions.`);
      const { challenge } = answer;
      const label = challenge.prompt === '' ? 'Challenge' : challenge.prompt;
      const values = await this.#answerOf({
        id: CHALLENGE_FORM_ID,
        message: label,
        fields: [{ kind: 'otp', name: 'passwd', label: 'Challenge:' }],
      });
      answer = await this.#post(at, { user: words.user, secret: values.passwd ?? '', field: 'passwd' }, challenge);
    }
    return answer;
  }

  /** Spec 5.1: the same at both, in this order. */
  async #post(at: 'portal' | 'gateway', { user, secret, field }: Words, challenge: Challenge | undefined): Promise<LoginAnswer> {
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
    const body = encodeForm([
      ...plain,
      ...((at === 'gateway' && this.#policy?.cookies) || []),
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
    const parsed = parseLoginAnswer(answer.body);
    // Spec 7: this is the end of an attempt; only 512 asks again.
    if (parsed.type === 'refused') throw new PeerRefusedError(parsed.message === '' ? WRONG : parsed.message);
    return parsed;
  }

  async #choose(gateways: readonly PortalGateway[]): Promise<PortalGateway> {
    const [first] = gateways;
    if (first === undefined) throw new PeerMisbehavedError('The portal names no gateway.');
    if (gateways.length === 1) return first;
    const answer = await this.#io.ask({
      id: GATEWAY_FORM_ID,
      message: 'Please select a gateway.',
      fields: [
        {
          ...({ kind: 'choice', name: 'gateway', label: 'GATEWAY:', isGroup: true } as const),
          choices: gateways.map(({ label }) => ({ value: label, label })),
          initial: first.label,
        },
      ],
    });
    if (answer.type === 'cancel') throw new CancelledError();
    const chosen = answer.type === 'submit' ? revealed(answer.values.gateway ?? first.label) : answer.group;
    const gateway = gateways.find(({ label }) => label === chosen);
    if (gateway === undefined) throw new PeerRefusedError('The portal names no such gateway.');
    return gateway;
  }

  async #answerOf(form: Parameters<LoginIo['ask']>[0]): Promise<FormValues> {
    const answer = await this.#io.ask(form);
    if (answer.type !== 'submit') throw new CancelledError();
    return answer.values;
  }
}
