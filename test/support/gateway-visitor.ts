/**
 * What a gateway knows and decides, played for tests of its front: users with passwords and codes, groups, certificates, sessions. It asks the
 * questions of ocserv's back ends in their words and order.
 */
import type { AuthDialogue, AuthStep, LoginHints } from '../../src/core/auth/dialogue.ts';
import type { AuthField, AuthForm, FormValues } from '../../src/core/auth/form.ts';
import type { CryptoProvider } from '../../src/core/crypto/provider.ts';
import { PeerRefusedError } from '../../src/core/errors.ts';
import type { ExpectedFlow, GatewaySession, HostPage, LeaseWishes, Visitor } from '../../src/core/protocols/gateway-protocol.ts';
import { revealed, Secret } from '../../src/core/secret.ts';
import type { CloseReason } from '../../src/core/tunnel/machine.ts';
import type { SessionTerms } from '../../src/core/tunnel/session-terms.ts';
import { parseIp } from '../../src/core/wire/ip-address.ts';
import { toBase64, utf8 } from '../../src/core/wire/text.ts';
import { NodeCrypto } from '../../src/node/crypto/node-crypto.ts';
import { RecordedLog } from './forms.ts';

export interface KnownUser {
  readonly password: string;
  /** Asked for after the password. */
  readonly code?: string;
  /** The same as a question whose answer is no code, as RADIUS asks. */
  readonly challenge?: string;
}

export interface VisitorOptions {
  readonly users?: Readonly<Record<string, KnownUser>>;
  /** Values with their labels; the first that has no value stands for no group. */
  readonly groups?: readonly { readonly value: string; readonly label: string }[];
  /** Who has a certificate is this user, with a choice of these groups, and is asked nothing else. */
  readonly certificate?: { readonly user: string; readonly groups: readonly string[] };
  /** The token that admits, and whom. */
  readonly token?: { readonly token: string; readonly user: string };
  readonly page?: Partial<HostPage>;
  readonly terms?: Partial<SessionTerms>;
  /** Why there is no lease. */
  readonly noLease?: string;
  readonly crypto?: CryptoProvider;
}

/** The tries of a dialogue, as with ocserv. */
const MAX_TRIES = 3;

const ip = (text: string) => parseIp(text) ?? { family: 4 as const, bytes: new Uint8Array(4) };

export const PLAIN_TERMS: SessionTerms = {
  config: {
    ...{ dns: [], nbns: [], searchDomains: [], splitDns: [], include: [], exclude: [], vendorOptions: [] },
    ipv4: { address: ip('10.77.0.50'), prefix: 24 },
  },
  linkMtu: 1500,
  times: { dpd: 90_000, keepalive: 32_400_000 },
  rekeyMethod: 'ssl',
  compression: [],
  minLengthToCompress: 256,
  clientNetworks: [],
  bypassesProtocols: false,
  headers: [],
  rates: {},
};

export class PlayedVisitor implements Visitor {
  readonly host: HostPage;
  readonly crypto: CryptoProvider;
  readonly log: RecordedLog = new RecordedLog();
  /** Of every log-in that was begun. */
  readonly hints: LoginHints[] = [];
  readonly sessions = new Map<string, PlayedSession>();
  /** Of portals: whose they are. */
  readonly passes = new Map<string, string>();
  readonly options: VisitorOptions;
  readonly #dialogues = new Map<string, PlayedDialogue>();

  constructor(options: VisitorOptions = {}) {
    this.options = options;
    this.crypto = options.crypto ?? new NodeCrypto();
    this.host = { serverName: 'ocserv 1.1.6', certificate: utf8('certificate'), cookieTimeout: 300_000, headers: [], ...options.page };
  }

  async begin(hints: LoginHints): Promise<{ dialogue: AuthDialogue; step: AuthStep }> {
    this.hints.push(hints);
    const dialogue = new PlayedDialogue(this, hints);
    const holder = hints.pass && this.passes.get(hints.pass.pass.reveal());
    const step = holder !== undefined && holder === hints.pass?.username ? this.admit(holder, hints) : dialogue.first();
    if (step.type === 'ask') this.#dialogues.set(dialogue.id, dialogue);
    return { dialogue, step };
  }

  async resume(id: string): Promise<AuthDialogue | undefined> {
    const dialogue = this.#dialogues.get(id);
    return dialogue?.isOver === false ? dialogue : undefined;
  }

  async session(cookie: Secret): Promise<GatewaySession | undefined> {
    return this.sessions.get(cookie.reveal());
  }

  now(): number {
    return 0;
  }

  timeOfDay(): number {
    return 1_795_436_305_000;
  }

  newId(): string {
    return toBase64(new NodeCrypto().randomBytes(32));
  }

  admit(user: string, { group, boundKey, wantsPass }: Pick<LoginHints, 'group' | 'boundKey' | 'wantsPass'>): AuthStep {
    const cookie = this.newId();
    if (wantsPass === true) {
      this.passes.set(cookie, user);
      return { type: 'admitted', user, cookie: new Secret(cookie), isPass: true };
    }
    this.sessions.set(cookie, new PlayedSession(this.options, user, group, boundKey));
    return { type: 'admitted', user, ...(group !== undefined && { group }), cookie: new Secret(cookie) };
  }
}

export class PlayedSession implements GatewaySession {
  readonly user: string;
  readonly group?: string;
  boundKey?: Uint8Array;
  readonly wishes: LeaseWishes[] = [];
  readonly expected: ExpectedFlow[] = [];
  ended: CloseReason | undefined;
  readonly #options: VisitorOptions;

  constructor(options: VisitorOptions, user: string, group: string | undefined, boundKey: Uint8Array | undefined) {
    this.#options = options;
    this.user = user;
    if (group !== undefined) this.group = group;
    if (boundKey !== undefined) this.boundKey = boundKey;
  }

  async rebind(key: Uint8Array): Promise<void> {
    this.boundKey = key;
  }

  preview(wishes: LeaseWishes): Promise<SessionTerms> {
    return this.lease(wishes);
  }

  async lease(wishes: LeaseWishes): Promise<SessionTerms> {
    this.wishes.push(wishes);
    if (this.#options.noLease !== undefined) throw new PeerRefusedError(this.#options.noLease);
    return { ...PLAIN_TERMS, ...this.#options.terms };
  }

  async expect(flow: ExpectedFlow): Promise<boolean> {
    this.expected.push(flow);
    return true;
  }

  async end(reason: CloseReason): Promise<void> {
    this.ended = reason;
  }
}

class PlayedDialogue implements AuthDialogue {
  readonly id: string;
  isOver = false;
  readonly #visitor: PlayedVisitor;
  readonly #hints: LoginHints;
  #user: string | undefined;
  #group: string | undefined;
  #tries = 0;
  #hasPassword = false;

  constructor(visitor: PlayedVisitor, hints: LoginHints) {
    this.#visitor = visitor;
    this.#hints = hints;
    this.id = visitor.newId();
    this.#group = this.#groupOf(hints.group);
  }

  first(): AuthStep {
    const { certificate, token } = this.#visitor.options;
    const { bearer, certificateChain } = this.#hints;
    if (bearer !== undefined) return bearer.reveal() === token?.token ? this.#admit(token.user) : this.#refuse();
    if (certificate !== undefined && certificateChain !== undefined) {
      const needsGroup = certificate.groups.length > 0 && this.#group === undefined;
      return needsGroup ? this.#ask('Please select your group.', []) : this.#admit(certificate.user);
    }
    return this.#ask('Please enter your username.', [{ kind: 'text', name: 'username', label: 'Username:' }]);
  }

  async next(values: FormValues): Promise<AuthStep> {
    const value = (name: string) => {
      const given = Object.hasOwn(values, name) ? values[name] : undefined;
      return given === undefined ? undefined : revealed(given);
    };
    this.#group = this.#groupOf(value('group_list')) ?? this.#group;
    const { certificate } = this.#visitor.options;
    if (certificate !== undefined && this.#hints.certificateChain !== undefined) return this.first();
    if (this.#user === undefined) {
      const username = value('username') ?? '';
      if (username === '') return this.#refuse();
      this.#user = username;
      return this.#askPassword();
    }
    return this.#hasPassword ? this.#checkCode(value('secondary_password')) : this.#checkPassword(value('password'));
  }

  #checkPassword(given: string | undefined): AuthStep {
    const user = this.#known();
    if (user === undefined || given !== user.password)
      return ++this.#tries < MAX_TRIES ? this.#askPassword('Login failed.') : this.#refuse();
    this.#hasPassword = true;
    if (user.challenge !== undefined) {
      const field: AuthField = { kind: 'password', name: 'secondary_password', label: 'Colour:' };
      return { type: 'ask', form: { id: 'challenge', message: 'Please say the colour.', fields: [field] } };
    }
    if (user.code === undefined) return this.#admit(this.#user ?? '');
    const field: AuthField = { kind: 'otp', name: 'password', label: 'Password:' };
    return { type: 'ask', form: { id: 'otp', message: 'Please enter your OTP password.', fields: [field] } };
  }

  #checkCode(given: string | undefined): AuthStep {
    const user = this.#known();
    return given !== undefined && given === (user?.challenge ?? user?.code) ? this.#admit(this.#user ?? '') : this.#refuse();
  }

  #known(): KnownUser | undefined {
    return Object.entries(this.#visitor.options.users ?? {}).find(([name]) => name === this.#user)?.[1];
  }

  #askPassword(error?: string): AuthStep {
    const fields: AuthField[] = [{ kind: 'password', name: 'password', label: 'Password:' }];
    return { type: 'ask', form: { id: 'password', message: 'Please enter your password.', fields, ...(error !== undefined && { error }) } };
  }

  #ask(message: string, fields: readonly AuthField[]): AuthStep {
    const { groups = [], certificate } = this.#visitor.options;
    const ofCertificate = this.#hints.certificateChain === undefined ? [] : (certificate?.groups ?? []);
    const choices = [...ofCertificate.map((name) => ({ value: name, label: name })), ...groups];
    const initial = this.#group === undefined ? {} : { initial: this.#group };
    const group: AuthField = { kind: 'choice', name: 'group_list', label: 'Group:', choices, isGroup: true, ...initial };
    // In front, as clients show it: ocserv's order on the wire is the front's business.
    const form: AuthForm = { id: 'name', message, fields: choices.length === 0 ? fields : [group, ...fields] };
    return { type: 'ask', form };
  }

  /** The value of a group that is named by value or label. */
  #groupOf(name: string | undefined): string | undefined {
    const { groups = [], certificate } = this.#visitor.options;
    const known = [...(certificate?.groups ?? []).map((value) => ({ value, label: value })), ...groups];
    return known.find(({ value, label }) => name !== undefined && name !== '' && (value === name || label === name))?.value;
  }

  #admit(user: string): AuthStep {
    this.isOver = true;
    const { boundKey, wantsPass } = this.#hints;
    return this.#visitor.admit(user, {
      ...(this.#group !== undefined && { group: this.#group }),
      ...(boundKey !== undefined && { boundKey }),
      ...(wantsPass !== undefined && { wantsPass }),
    });
  }

  #refuse(): AuthStep {
    this.isOver = true;
    return { type: 'refused', message: 'Wrong name or password.' };
  }
}
