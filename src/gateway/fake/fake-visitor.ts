/** Users, questions and sessions of a fake gateway: scripted, in memory, for tests of programs that log in. */
import type { AuthDialogue, AuthStep, LoginHints } from '../../core/auth/dialogue.ts';
import { LOGIN_FIELDS } from '../../core/auth/dialogue.ts';
import type { AuthForm, FormValues } from '../../core/auth/form.ts';
import type { CryptoProvider } from '../../core/crypto/provider.ts';
import type { Logger } from '../../core/log.ts';
import type { GatewaySession, HostPage, Visitor } from '../../core/protocols/gateway-protocol.ts';
import { revealed, Secret } from '../../core/secret.ts';
import type { SessionTerms } from '../../core/tunnel/session-terms.ts';
import { toBase64 } from '../../core/wire/text.ts';

export interface FakeUser {
  readonly name: string;
  readonly password: string;
  /** What is asked after the password, in this order. */
  readonly questions?: readonly FakeQuestion[];
}

export interface FakeQuestion {
  readonly prompt: string;
  readonly answer: string;
  /** `code` (the default): a one-time code; `text`: anything else. */
  readonly kind?: 'code' | 'text';
}

/** 256 bits. */
const COOKIE_BYTES = 32;
const MAX_TRIES = 3;
/** A page that is looked at begins one, and may end none. Of passes too. */
const MAX_DIALOGUES = 1000;

export interface FakeWorld {
  readonly users: readonly FakeUser[];
  readonly host: HostPage;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly now: () => number;
  /** For the session of this number. */
  readonly termsOf: (session: number) => SessionTerms;
}

/** All visitors of one fake gateway: they see the same sessions. */
export class FakeVisitors implements Visitor {
  readonly host: HostPage;
  readonly crypto: CryptoProvider;
  readonly log: Logger;
  readonly #world: FakeWorld;
  readonly #dialogues = new Map<string, FakeDialogue>();
  readonly #sessions = new Map<string, FakeSession>();
  readonly #passes = new Map<string, { readonly user: string; readonly until: number }>();
  #count = 0;

  constructor(world: FakeWorld) {
    this.#world = world;
    this.host = world.host;
    this.crypto = world.crypto;
    this.log = world.log;
  }

  /** Who is logged in. */
  get users(): string[] {
    return [...this.#sessions.values()].map(({ user }) => user);
  }

  now(): number {
    return this.#world.now();
  }

  timeOfDay(): number {
    return Date.now();
  }

  async begin({ pass, wantsPass }: LoginHints): Promise<{ readonly dialogue: AuthDialogue; readonly step: AuthStep }> {
    const holder = pass && this.#passes.get(pass.pass.reveal());
    const admit = (user: string) => (wantsPass === true ? this.#givePass(user, holder?.until) : this.#admit(user));
    const dialogue = new FakeDialogue(this.#newId(), this.#world.users, admit);
    if (holder !== undefined && holder.user === pass?.username && holder.until > this.now()) return { dialogue, step: admit(holder.user) };
    this.#dialogues.set(dialogue.id, dialogue);
    for (const id of this.#dialogues.keys()) {
      if (this.#dialogues.size <= MAX_DIALOGUES) break;
      this.#dialogues.delete(id); // the oldest
    }
    return { dialogue, step: dialogue.first() };
  }

  async resume(id: string): Promise<AuthDialogue | undefined> {
    return this.#dialogues.get(id);
  }

  async session(cookie: Secret): Promise<GatewaySession | undefined> {
    return this.#sessions.get(cookie.reveal());
  }

  /** Lets every cookie die, and every pass. */
  endSessions(): void {
    this.#sessions.clear();
    this.#passes.clear();
  }

  #admit(user: string): AuthStep {
    const cookie = this.#newId();
    const terms = this.#world.termsOf(this.#count++);
    this.#sessions.set(cookie, new FakeSession(user, terms, () => this.#sessions.delete(cookie)));
    return { type: 'admitted', user, cookie: new Secret(cookie) };
  }

  /** A pass that was got by a pass is good no longer than that one. */
  #givePass(user: string, before: number | undefined): AuthStep {
    const pass = this.#newId();
    this.#passes.set(pass, { user, until: before ?? this.now() + this.host.cookieTimeout });
    for (const old of this.#passes.keys()) {
      if (this.#passes.size <= MAX_DIALOGUES) break;
      this.#passes.delete(old); // the oldest
    }
    return { type: 'admitted', user, cookie: new Secret(pass), isPass: true };
  }

  #newId(): string {
    return toBase64(this.crypto.randomBytes(COOKIE_BYTES));
  }
}

export class FakeSession implements GatewaySession {
  readonly user: string;
  readonly terms: SessionTerms;
  boundKey?: Uint8Array;
  readonly #forget: () => void;

  constructor(user: string, terms: SessionTerms, forget: () => void) {
    this.user = user;
    this.terms = terms;
    this.#forget = forget;
  }

  async rebind(key: Uint8Array): Promise<void> {
    this.boundKey = key;
  }

  async preview(): Promise<SessionTerms> {
    return this.terms;
  }

  async lease(): Promise<SessionTerms> {
    return this.terms;
  }

  /** It has no UDP. */
  async expect(): Promise<boolean> {
    return false;
  }

  async end(): Promise<void> {
    this.#forget();
  }
}

class FakeDialogue implements AuthDialogue {
  readonly id: string;
  readonly #users: readonly FakeUser[];
  readonly #admit: (user: string) => AuthStep;
  #name: string | undefined;
  #user: FakeUser | undefined;
  /** Questions that were answered; undefined: the password is wanted. */
  #answered: number | undefined;
  #tries = 0;

  constructor(id: string, users: readonly FakeUser[], admit: (user: string) => AuthStep) {
    this.id = id;
    this.#users = users;
    this.#admit = admit;
  }

  first(): AuthStep {
    return ask('username', 'Please enter your username.', { kind: 'text', name: LOGIN_FIELDS.username, label: 'Username:' });
  }

  async next(values: FormValues): Promise<AuthStep> {
    const given = (name: string) => (Object.hasOwn(values, name) ? revealed(values[name] ?? '') : undefined);
    if (this.#name === undefined) {
      this.#name = given(LOGIN_FIELDS.username) ?? '';
      this.#user = this.#users.find(({ name }) => name === this.#name);
      return this.#askPassword(undefined);
    }
    const answer = given(LOGIN_FIELDS.secondPassword) ?? given(LOGIN_FIELDS.password);
    const question = this.#answered === undefined ? undefined : this.#user?.questions?.[this.#answered];
    const wanted = this.#answered === undefined ? this.#user?.password : question?.answer;
    if (answer === undefined || answer !== wanted) {
      this.#answered = undefined;
      return ++this.#tries < MAX_TRIES ? this.#askPassword('Login failed.') : { type: 'refused', message: 'Login failed.' };
    }
    this.#answered = this.#answered === undefined ? 0 : this.#answered + 1;
    const next = this.#user?.questions?.[this.#answered];
    if (next === undefined) return this.#admit(this.#name);
    const kind = next.kind === 'text' ? 'password' : 'otp';
    return ask('challenge', next.prompt, { kind, name: LOGIN_FIELDS.secondPassword, label: 'Answer:' });
  }

  #askPassword(error: string | undefined): AuthStep {
    return ask('password', 'Please enter your password.', { kind: 'password', name: LOGIN_FIELDS.password, label: 'Password:' }, error);
  }
}

function ask(id: string, message: string, field: AuthForm['fields'][number], error?: string): AuthStep {
  return { type: 'ask', form: { id, message, fields: [field], ...(error !== undefined && { error }) } };
}
