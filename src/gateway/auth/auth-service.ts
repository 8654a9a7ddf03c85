/**
 * The service of the `auth` process: log-ins, back ends, sessions. Everything here may read secrets; nothing else may.
 *
 * Read first: `processes/auth-service.ts` (what others may ask), then `login-dialogue.ts` and `session-table.ts`.
 */
import { createHash } from 'node:crypto';
import type { AuthStep, LoginHints } from '../../core/auth/dialogue.ts';
import type { FormValues } from '../../core/auth/form.ts';
import { MisuseError } from '../../core/errors.ts';
import type { Logger } from '../../core/log.ts';
import type { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { IpAddress } from '../../core/wire/ip-address.ts';
import type { GatewayConfig, SessionPolicy } from '../config/gateway-config.ts';
import type {
  AuthEvents,
  AuthService,
  KnownSession,
  SessionEnd,
  SessionFacts,
  SessionListing,
  SessionUsage,
} from '../processes/auth-service.ts';
import { DialogueTable } from './dialogue-table.ts';
import { type AuthWorld, HostAuth } from './host-auth.ts';
import { LoginDialogue } from './login-dialogue.ts';
import { PassRevocations } from './pass-revocations.ts';
import { PasswordHasher } from './password-hash.ts';
import { SessionTable } from './session-table.ts';
import { SqliteSessionStore } from './sqlite-session-store.ts';

/** How often expired log-ins and sessions are looked for while nobody asks anything. */
const SWEEP_INTERVAL: Millis = 15_000;

const PASS_SECRET_BYTES = 32;

/** Longest that is kept of what a client calls itself. */
const MAX_USER_AGENT = 256;

export interface AuthServiceOptions {
  /** Where sessions outlive a restart. */
  readonly stateFile: string;
  readonly events: AuthEvents;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  /** The whole policy of a session, files of users and groups included. Default: its host's, with what the back end says. */
  readonly policyOf?: (session: KnownSession) => Promise<Pick<SessionPolicy, 'denyRoaming' | 'sessionTimeout'>>;
}

/** Opens back ends and the store of sessions. Rejects where the store cannot be opened. */
export async function createAuthService(config: GatewayConfig, options: AuthServiceOptions): Promise<AuthService & AsyncDisposable> {
  const store = await SqliteSessionStore.open(options.stateFile, options.log);
  return new LocalAuthService(config, options, store);
}

class LocalAuthService implements AuthService, AsyncDisposable {
  readonly #options: AuthServiceOptions;
  readonly #world: AuthWorld;
  readonly #store: SqliteSessionStore;
  readonly #sessions: SessionTable;
  readonly #dialogues: DialogueTable;
  readonly #revocations: PassRevocations;
  readonly #sweeper: NodeJS.Timeout;
  #config: GatewayConfig;
  /** Hosts of configurations before this one. */
  #closing: Promise<unknown> = Promise.resolve();
  #hosts: ReadonlyMap<string | undefined, HostAuth>;

  constructor(config: GatewayConfig, options: AuthServiceOptions, store: SqliteSessionStore) {
    const { log, now, random } = options;
    this.#options = options;
    this.#store = store;
    this.#revocations = new PassRevocations(store, now);
    this.#world = {
      ...{ log, now, random, passSecret: random(PASS_SECRET_BYTES), hasher: new PasswordHasher() },
      isRevoked: (user, since) => this.#revocations.isRevoked(user, since),
    };
    this.#config = config;
    this.#hosts = this.#hostsOf(config);
    this.#dialogues = new DialogueTable(now, random);
    this.#sessions = new SessionTable({
      store,
      now,
      random,
      lifeOf: (host) => this.#hosts.get(host)?.config.sessions,
      policyOf: options.policyOf ?? ((session) => Promise.resolve(this.#ownPolicy(session))),
      accountingOf: (host) => this.#hosts.get(host)?.accounting,
    });
    this.#sweeper = setInterval(() => {
      this.#dialogues.sweep();
      this.#sessions.sweep();
    }, SWEEP_INTERVAL).unref();
  }

  async begin(asked: LoginHints): Promise<{ readonly dialogue: string; readonly step: AuthStep }> {
    const { host: name, ...others } = asked;
    const host = this.#hosts.get(name) ?? this.#hosts.get(undefined);
    if (host === undefined) throw new MisuseError('the configuration has no default host');
    const hints = {
      ...others,
      userAgent: asked.userAgent.slice(0, MAX_USER_AGENT),
      ...(host.config.name !== undefined && { host: host.config.name }),
    };
    const dialogue = new LoginDialogue(host, hints, {
      ...this.#world,
      admit: (admitted) => this.#sessions.admit(admitted),
      failed: (remote) => this.#options.events.failed(remote),
    });
    const step = await dialogue.begin();
    const running = { dialogue, remote: hints.remote.address, userAgent: hints.userAgent, host: host.config.name };
    const id = this.#dialogues.add(running, this.#config.limits.loginTime);
    if (dialogue.isOver) this.#dialogues.remove(id);
    return { dialogue: id, step };
  }

  answer(dialogue: string, values: FormValues, remote: IpAddress): Promise<AuthStep | undefined> {
    return this.#dialogues.answer(dialogue, values, remote);
  }

  async knows(dialogue: string): Promise<boolean> {
    return this.#dialogues.has(dialogue);
  }

  session(cookie: Secret, remote: IpAddress): Promise<KnownSession | undefined> {
    return this.#sessions.find(cookie, remote);
  }

  async has(session: string): Promise<boolean> {
    return this.#sessions.has(session);
  }

  async rebound(session: string, key: Uint8Array): Promise<void> {
    this.#sessions.rebind(session, key);
  }

  async opened(session: string, facts: SessionFacts): Promise<void> {
    this.#sessions.opened(session, facts);
  }

  async reported(session: string, usage: SessionUsage): Promise<void> {
    this.#sessions.reported(session, usage);
  }

  async closed(session: string, end: SessionEnd): Promise<void> {
    this.#sessions.closed(session, end);
  }

  async revokePasses(user: string): Promise<void> {
    this.#revocations.revoke(user);
  }

  async sessions(): Promise<readonly SessionListing[]> {
    const underWay = this.#dialogues.list().map(({ id, dialogue, remote, userAgent, host, beganAt, endsAt }): SessionListing => {
      const { user, group } = dialogue;
      return {
        // Public, and so not the id that continues the log-in.
        id: createHash('sha256').update(id).digest('base64url').slice(0, 20),
        user: user ?? '',
        ...(group !== undefined && { group }),
        ...(host !== undefined && { host }),
        remote,
        userAgent,
        createdAt: beganAt,
        expiresAt: endsAt,
        state: user === undefined ? 'pre-auth' : 'authenticating',
        isOpen: false,
        hasCertificate: dialogue.hasCertificate,
        inUse: 0,
      };
    });
    return [...underWay, ...this.#sessions.list()];
  }

  /** Log-ins that are under way go on with the back ends that they began with. */
  async reload(config: GatewayConfig): Promise<void> {
    const before = this.#hosts;
    this.#hosts = this.#hostsOf(config);
    this.#config = config;
    // Their last reports may wait for a server that is down: a reload does not.
    this.#closing = Promise.all([this.#closing, closeAll(before)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#sweeper);
    this.#dialogues.clear();
    await Promise.all([this.#closing, closeAll(this.#hosts)]);
    this.#store.close();
  }

  #hostsOf(config: GatewayConfig): ReadonlyMap<string | undefined, HostAuth> {
    return new Map(config.hosts.map((host) => [host.name, new HostAuth(host, this.#world)]));
  }

  #ownPolicy({ host, policy }: KnownSession): Pick<SessionPolicy, 'denyRoaming' | 'sessionTimeout'> {
    const ofHost = this.#hosts.get(host)?.config.policy;
    return { denyRoaming: false, ...ofHost, ...policy };
  }
}

async function closeAll(hosts: ReadonlyMap<string | undefined, HostAuth>): Promise<void> {
  await Promise.all([...hosts.values()].map((host) => host.close()));
}
