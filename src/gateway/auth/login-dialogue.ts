/**
 * One log-in, form by form.
 *
 *   begin ─┬─► user and group ─► password ─► … ─► admitted
 *          ├─► group (a certificate says who it is) ─► admitted
 *          └─► admitted | refused
 *
 * Read first: spec "AnyConnect", sections 3.7, 3.8, 3.21 and 12.2.
 */
import { type AuthStep, LOGIN_FIELDS, type LoginHints } from '../../core/auth/dialogue.ts';
import type { AuthForm, FormValues } from '../../core/auth/form.ts';
import type { LogFields, LogLevel } from '../../core/log.ts';
import { revealed, Secret } from '../../core/secret.ts';
import { formatIp, type IpAddress } from '../../core/wire/ip-address.ts';
import { utf8 } from '../../core/wire/text.ts';
import { systemErrorText } from '../../node/system-error.ts';
import type { AcceptedUser, BackEndLogin, Verdict } from './back-end.ts';
import { identify, type ShownIdentity, wayFor } from './client-identity.ts';
import type { AuthWorld, HostAuth, Way } from './host-auth.ts';
import { GroupMenu, groupForm, promptForm, usernameForm } from './login-forms.ts';
import type { PassHolder } from './login-passes.ts';
import type { Admitted } from './session-table.ts';

/** Spec "Gateway contract", section 3: tries of a password in one log-in. */
const MAX_TRIES = 3;

/** Answers in one log-in, wrong and right: no back end asks so often. */
const MAX_ANSWERS = 32;

/** Spec "AnyConnect", section 12.2. */
const MAX_NAME_BYTES = 63;

/** RADIUS takes 128, PAM 511. */
const MAX_PASSWORD_BYTES = 511;

const REFUSED: AuthStep = { type: 'refused', message: 'Login failed.' };

/** Observed: ocserv's words before the same question. */
const WRONG = 'Login failed.';

/** Names of users and groups become file names and arguments of scripts: no separators, no control characters, no way up. */
const UNUSABLE_NAME = /[\u0000-\u001f\u007f/]|^\.{1,2}$|^$/;

type State =
  | { readonly name: 'username' }
  | { readonly name: 'group' }
  | { readonly name: 'password'; readonly login: BackEndLogin; readonly field: string }
  | { readonly name: 'over' };

export interface DialogueWorld extends AuthWorld {
  readonly admit: (admitted: Admitted) => Secret;
  /** A password was wrong. */
  readonly failed: (remote: IpAddress) => void;
}

export class LoginDialogue {
  readonly #host: HostAuth;
  readonly #hints: LoginHints;
  readonly #world: DialogueWorld;
  #state: State = { name: 'over' };
  #identity: ShownIdentity = {};
  #way: Way = { needsCertificate: false };
  #menu: GroupMenu;
  #user: string | undefined;
  #group: string | undefined;
  /** Of the pass that it has begun with. */
  #holder: PassHolder | undefined;
  #tries = 0;
  #answers = 0;

  constructor(host: HostAuth, hints: LoginHints, world: DialogueWorld) {
    this.#host = host;
    this.#hints = hints;
    this.#world = world;
    this.#menu = new GroupMenu(host.config.login, []);
  }

  get isOver(): boolean {
    return this.#state.name === 'over';
  }

  /** Who it is for, once somebody has said so. */
  get user(): string | undefined {
    return this.#user;
  }

  get hasCertificate(): boolean {
    return this.#identity.certificate !== undefined;
  }

  get group(): string | undefined {
    return this.#group;
  }

  /** The first form, or the end of a log-in that needs none. */
  async begin(): Promise<AuthStep> {
    const identity = await identify(this.#host, this.#hints, (reason) => this.#log('info', 'log-in refused', { reason }));
    if (identity === undefined) return this.#refuse(this.#hints.bearer !== undefined);
    const way = wayFor(this.#host, identity);
    if (way === undefined) {
      this.#log('info', 'log-in refused', { reason: 'it has not shown the certificate or the token that is needed' });
      return this.#refuse(false);
    }
    this.#identity = identity;
    this.#way = way;
    const holder = way.password && (await this.#passHolder());
    if (holder !== undefined) {
      this.#user = holder.user;
      this.#group = holder.group;
      this.#holder = holder;
      return this.#admit(holder.accepted);
    }
    this.#menu = new GroupMenu(this.#host.config.login, await this.#ownGroups());
    this.#group = this.#menu.groupOf(this.#hints.group);
    const groups = this.#menu.field(this.#group);
    if (way.password !== undefined) return this.#ask({ name: 'username' }, usernameForm(groups));
    // Observed: a client with a certificate that names a group is not asked again.
    if (groups !== undefined && (this.#hints.group === undefined || !this.#menu.offers(this.#hints.group))) {
      return this.#ask({ name: 'group' }, groupForm(groups));
    }
    return this.#admit({});
  }

  /** Answers the last form. Not before the answer to the call before. */
  async next(values: FormValues, remote: IpAddress): Promise<AuthStep> {
    const state = this.#state;
    if (++this.#answers > MAX_ANSWERS) return this.#refuse(false);
    switch (state.name) {
      case 'username':
        return this.#takeUsername(values);
      case 'group': {
        const chosen = textOf(values, LOGIN_FIELDS.group);
        const groups = this.#menu.field(undefined);
        if (!this.#menu.offers(chosen) && groups !== undefined) return this.#ask(state, groupForm(groups));
        this.#group = this.#menu.groupOf(chosen);
        return this.#admit({});
      }
      case 'password':
        return this.#takeAnswer(state.login, values[state.field], remote);
      case 'over':
        return REFUSED;
    }
    return state satisfies never;
  }

  /** Ends what is running for it. Safe to call twice. */
  close(): void {
    if (this.#state.name === 'password') this.#state.login.close();
    this.#state = { name: 'over' };
  }

  async #takeUsername(values: FormValues): Promise<AuthStep> {
    const user = textOf(values, LOGIN_FIELDS.username) ?? '';
    const chosen = textOf(values, LOGIN_FIELDS.group);
    if (chosen !== undefined) this.#group = this.#menu.groupOf(chosen);
    const isUsable = !UNUSABLE_NAME.test(user) && utf8(user).length <= MAX_NAME_BYTES && this.#menu.offers(chosen);
    if (!isUsable) return this.#ask({ name: 'username' }, usernameForm(this.#menu.field(this.#group)));
    this.#user = user;
    return this.#beginPassword(undefined);
  }

  async #beginPassword(error: string | undefined): Promise<AuthStep> {
    const { password } = this.#way;
    if (password === undefined || this.#user === undefined) return this.#refuse(false);
    const { remote, local, userAgent } = this.#hints;
    const attempt = { user: this.#user, remote: remote.address, local: local.address, userAgent };
    const login = password.login({ ...attempt, ...(this.#group !== undefined && { group: this.#group }) });
    this.#state = { name: 'password', login, field: LOGIN_FIELDS.password };
    return this.#follow(login, await login.begin(), remote.address, error);
  }

  async #takeAnswer(login: BackEndLogin, given: FormValues[string] | undefined, remote: IpAddress): Promise<AuthStep> {
    const answer = typeof given === 'object' ? given : new Secret(given ?? '');
    const tooLong = utf8(answer.reveal()).length > MAX_PASSWORD_BYTES;
    const verdict: Verdict = tooLong ? { type: 'wrong', isFinal: false } : await login.answer(answer);
    return this.#follow(login, verdict, remote, undefined);
  }

  async #follow(login: BackEndLogin, verdict: Verdict, remote: IpAddress, error: string | undefined): Promise<AuthStep> {
    if (this.#state.name !== 'password' || this.#state.login !== login) {
      login.close(); // the dialogue was closed meanwhile
      return REFUSED;
    }
    switch (verdict.type) {
      case 'ask': {
        const field = verdict.prompt.isSecond ? LOGIN_FIELDS.secondPassword : LOGIN_FIELDS.password;
        return this.#ask({ name: 'password', login, field }, promptForm(verdict.prompt, field, error));
      }
      case 'accepted':
        return this.#admit(verdict);
      case 'wrong':
        login.close();
        this.#world.failed(remote);
        this.#log('info', 'wrong password', { remote: formatIp(remote) });
        if (verdict.isFinal || ++this.#tries >= MAX_TRIES) return this.#refuse(false);
        return this.#beginPassword(WRONG);
      case 'unavailable':
        return this.#refuse(false);
    }
    return verdict satisfies never;
  }

  /** Undefined: it has shown no pass that is good, and is asked as all are. */
  async #passHolder(): Promise<PassHolder | undefined> {
    const { pass } = this.#hints;
    if (pass === undefined) return undefined;
    try {
      const holder = await this.#host.passes?.holderOf(pass.pass, pass.username);
      if (holder === undefined) this.#log('debug', 'the pass is not good: the log-in begins anew', {});
      return holder;
    } catch (error) {
      this.#log('error', 'the key of passes cannot be used', { reason: systemErrorText(error) });
      return undefined;
    }
  }

  async #admit(accepted: AcceptedUser): Promise<AuthStep> {
    const { certificate, tokenUser } = this.#identity;
    const typed = accepted.user ?? this.#user;
    const holder = this.#way.needsCertificate ? certificate?.user : undefined;
    const names = [typed, holder, this.#way.token === undefined ? undefined : tokenUser].filter((name) => name !== undefined);
    const [user] = names;
    if (user === undefined || names.some((name) => name !== user) || UNUSABLE_NAME.test(user) || utf8(user).length > MAX_NAME_BYTES) {
      this.#log('info', 'log-in refused', { reason: 'certificate, token and form do not name the same user' });
      return this.#refuse(this.#way.password !== undefined);
    }
    const groups = this.#allowedGroups(accepted);
    const group = this.#group ?? groups[0];
    if (group !== undefined && !groups.includes(group)) {
      this.#log('info', 'log-in refused', { user, group, reason: 'the user is not in the group that was chosen' });
      return this.#refuse(false);
    }
    this.close();
    if (this.#hints.wantsPass === true) return this.#givePass(user, group, accepted);
    const { host, userAgent, remote, local, boundKey } = this.#hints;
    const cookie = this.#world.admit({
      user,
      userAgent,
      remote: remote.address,
      local: local.address,
      hasCertificate: certificate !== undefined,
      ...(boundKey !== undefined && { boundKey }),
      classes: accepted.classes ?? [],
      ...(group !== undefined && { group }),
      ...(host !== undefined && { host }),
      ...(accepted.policy !== undefined && { policy: accepted.policy }),
    });
    return { type: 'admitted', user, cookie, ...(group !== undefined && { group }) };
  }

  async #givePass(user: string, group: string | undefined, accepted: AcceptedUser): Promise<AuthStep> {
    const { passes } = this.#host;
    if (passes === undefined) return this.#refuse(false);
    try {
      const { username = this.#user ?? user } = this.#hints.pass ?? {};
      const cookie = await passes.issue({ username, user, accepted, ...(group !== undefined && { group }) }, this.#holder);
      return { type: 'admitted', user, cookie, isPass: true, ...(group !== undefined && { group }) };
    } catch (error) {
      this.#log('error', 'there is no pass for the user, who cannot log in at the portal', { reason: systemErrorText(error) });
      return this.#refuse(false);
    }
  }

  /** The user's groups: those that all say who have a say. The first is the user's own. */
  #allowedGroups({ groups }: AcceptedUser): readonly string[] {
    const { certificate } = this.#identity;
    const ofCertificate =
      this.#way.needsCertificate && this.#host.config.auth.certificateGroup !== undefined ? certificate?.groups : undefined;
    if (groups === undefined) return usable(ofCertificate ?? []);
    return usable(ofCertificate === undefined ? groups : groups.filter((group) => ofCertificate.includes(group)));
  }

  async #ownGroups(): Promise<readonly string[]> {
    const { listsOwnGroups } = this.#host.config.login;
    const { certificate } = this.#identity;
    const ofBackEnd = listsOwnGroups ? ((await this.#way.password?.groups?.()) ?? []) : [];
    return usable([...new Set([...((this.#way.needsCertificate && certificate?.groups) || []), ...ofBackEnd])]);
  }

  #ask(state: State, form: AuthForm): AuthStep {
    this.#state = state;
    return { type: 'ask', form };
  }

  #refuse(countsAsFailed: boolean): AuthStep {
    if (countsAsFailed) this.#world.failed(this.#hints.remote.address);
    this.close();
    return REFUSED;
  }

  #log(level: LogLevel, event: string, fields: LogFields): void {
    this.#world.log.log(level, event, { user: this.#user, remote: formatIp(this.#hints.remote.address), ...fields });
  }
}

/** The text of a field; undefined if it was not sent or is too long to be a name. */
function textOf(values: FormValues, field: string): string | undefined {
  const value = values[field];
  return value === undefined ? undefined : revealed(value).slice(0, MAX_NAME_BYTES + 1);
}

function usable(groups: readonly string[]): readonly string[] {
  return groups.filter((group) => !UNUSABLE_NAME.test(group) && utf8(group).length <= MAX_NAME_BYTES);
}
