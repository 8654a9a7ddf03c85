/**
 * Who is logged in: sessions by their cookies, from the log-in to the end.
 *
 * Read first: spec "AnyConnect", section 11.4 (life of cookies and sessions).
 *
 *   admit ─► idle ──opened──► in use ──closed, keeps cookie──► idle ─► expired
 *                                  └───closed for good───────► gone
 */
import { createHash } from 'node:crypto';
import { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import { type IpAddress, sameIp } from '../../core/wire/ip-address.ts';
import { toBase64 } from '../../core/wire/text.ts';
import type { SessionLifeConfig, SessionPolicy } from '../config/gateway-config.ts';
import type { KnownSession, SessionEnd, SessionFacts, SessionListing, SessionUsage } from '../processes/auth-service.ts';
import type { Accounting } from './accounting.ts';
import type { SessionStore, StoredSession } from './session-store.ts';

/** Observed of ocserv: a cookie lives so much longer than `cookie-timeout` says. */
const COOKIE_GRACE: Millis = 15_000;

/** 256 bits. */
const COOKIE_BYTES = 32;
/** Of the public name: no two alike, and no secret. */
const ID_BYTES = 15;

/** All sessions are looked through for expired ones no more often than this. */
const SWEEP_INTERVAL: Millis = 1_000;

/** Sessions at once, idle ones included; the oldest idle one makes room. */
const MAX_SESSIONS = 200_000;

export interface Admitted {
  readonly user: string;
  readonly group?: string;
  readonly host?: string;
  readonly userAgent: string;
  readonly remote: IpAddress;
  readonly local: IpAddress;
  readonly hasCertificate: boolean;
  readonly boundKey?: Uint8Array;
  readonly policy?: Partial<SessionPolicy>;
  readonly classes: readonly Uint8Array[];
}

export interface SessionTableOptions {
  readonly store: SessionStore;
  readonly now: () => number;
  readonly random: (length: number) => Uint8Array;
  /** Undefined: there is no such host any more. */
  readonly lifeOf: (host: string | undefined) => SessionLifeConfig | undefined;
  /** The policy of a session, of which time-out and roaming count here. */
  readonly policyOf: (session: KnownSession) => Promise<Pick<SessionPolicy, 'denyRoaming' | 'sessionTimeout'>>;
  /** Undefined: sessions of this host are not accounted for. */
  readonly accountingOf: (host: string | undefined) => Accounting | undefined;
}

export class SessionTable {
  readonly #options: SessionTableOptions;
  readonly #sessions = new Map<string, StoredSession>();
  readonly #idOfCookie = new Map<string, string>();
  /** Tunnels that are open now, by session. */
  readonly #inUse = new Map<string, number>();
  #sweptAt = Number.NEGATIVE_INFINITY;

  constructor(options: SessionTableOptions) {
    this.#options = options;
    for (const session of options.store.load()) {
      this.#keep(session);
      // No tunnel outlives the gateway: time begins to run now.
      if (session.isOpen) this.#update({ ...session, isOpen: false, expiresAt: this.#cookieEnd(session.host) });
    }
  }

  /** Makes a session. The cookie is not kept and cannot be had again. */
  admit({ classes, ...admitted }: Admitted): Secret {
    this.sweep();
    if (this.#sessions.size >= MAX_SESSIONS) this.#dropOldestIdle();
    const { now, random } = this.#options;
    const cookie = toBase64(random(COOKIE_BYTES));
    const id = Buffer.from(random(ID_BYTES)).toString('base64url');
    const session: StoredSession = {
      ...admitted,
      id,
      createdAt: now(),
      cookieHash: hashOf(cookie),
      expiresAt: this.#cookieEnd(admitted.host),
      isOpen: false,
      ...(classes.length > 0 && { accountingClasses: classes }),
    };
    this.#keep(session);
    this.#options.store.save(session);
    return new Secret(cookie);
  }

  /** Who a cookie belongs to. Its time begins anew. */
  async find(cookie: Secret, remote: IpAddress): Promise<KnownSession | undefined> {
    this.sweep();
    // Looked up by its hash: how long that takes says nothing of the cookie.
    const session = this.#sessions.get(this.#idOfCookie.get(hashOf(cookie.reveal())) ?? '');
    if (session === undefined || this.#hasExpired(session) || this.#options.lifeOf(session.host) === undefined) return undefined;
    const known = publicPart(session);
    const { denyRoaming, sessionTimeout } = await this.#options.policyOf(known);
    const present = this.#sessions.get(session.id); // it may have ended meanwhile
    if (present === undefined) return undefined;
    if (sessionTimeout !== undefined && this.#options.now() >= session.createdAt + sessionTimeout) {
      this.#end(present, undefined);
      return undefined;
    }
    if (denyRoaming && !sameIp(remote, session.remote)) return undefined;
    this.#update({ ...present, expiresAt: this.#cookieEnd(session.host) });
    return known;
  }

  /** Whether it is not over. */
  has(id: string): boolean {
    const session = this.#sessions.get(id);
    return session !== undefined && !this.#hasExpired(session);
  }

  /** The session is bound to another key of its client's. */
  rebind(id: string, key: Uint8Array): void {
    const session = this.#sessions.get(id);
    if (session !== undefined) this.#update({ ...session, boundKey: key });
  }

  opened(id: string, facts: SessionFacts): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    this.#inUse.set(id, (this.#inUse.get(id) ?? 0) + 1);
    const accounting = this.#options.accountingOf(session.host);
    if (accounting === undefined || session.accounting !== undefined) {
      this.#update({ ...session, isOpen: true });
      return;
    }
    const state = {
      startedAt: this.#options.now(),
      received: 0,
      sent: 0,
      remote: facts.remote,
      ...(facts.ipv4 !== undefined && { framedIpv4: facts.ipv4 }),
      ...(facts.ipv6 !== undefined && { framedIpv6: facts.ipv6 }),
    };
    const started = { ...session, isOpen: true, accounting: state };
    this.#update(started);
    accounting.started(started);
  }

  reported(id: string, usage: SessionUsage): void {
    const session = this.#sessions.get(id);
    if (session?.accounting === undefined) return;
    const { received, sent } = session.accounting;
    this.#options.accountingOf(session.host)?.interim(session, this.#total(session, received + usage.received, sent + usage.sent));
  }

  closed(id: string, end: SessionEnd): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    const left = Math.max(0, (this.#inUse.get(id) ?? 0) - 1);
    if (left === 0) this.#inUse.delete(id);
    else this.#inUse.set(id, left);
    const { accounting } = session;
    const counted: StoredSession = {
      ...session,
      isOpen: left > 0,
      expiresAt: this.#cookieEnd(session.host),
      ...(accounting !== undefined && {
        accounting: { ...accounting, received: accounting.received + end.received, sent: accounting.sent + end.sent },
      }),
    };
    if (end.keepsCookie || this.#outlivesLogOut(session, end)) this.#update(counted);
    else this.#end(counted, end.reason);
  }

  list(): readonly SessionListing[] {
    this.sweep();
    const valid = [...this.#sessions.values()].filter((session) => !this.#hasExpired(session));
    return valid.map((session) => ({
      id: session.id,
      user: session.user,
      ...(session.group !== undefined && { group: session.group }),
      ...(session.host !== undefined && { host: session.host }),
      remote: session.remote,
      userAgent: session.userAgent,
      createdAt: session.createdAt,
      expiresAt: session.expiresAt,
      state: 'authenticated',
      isOpen: session.isOpen,
      hasCertificate: session.hasCertificate,
      inUse: this.#inUse.get(session.id) ?? 0,
    }));
  }

  /** Ends what has expired: cookies that nobody came back with. */
  sweep(): void {
    const now = this.#options.now();
    if (Math.abs(now - this.#sweptAt) < SWEEP_INTERVAL) return;
    this.#sweptAt = now;
    for (const session of this.#sessions.values()) if (this.#hasExpired(session)) this.#end(session, undefined);
  }

  #hasExpired(session: StoredSession): boolean {
    return session.expiresAt <= this.#options.now() && !this.#inUse.has(session.id);
  }

  /** `persistent-cookies`: a log-out by the user leaves the cookie its time; an end by anyone else does not. */
  #outlivesLogOut(session: StoredSession, { reason }: SessionEnd): boolean {
    const isByUser = reason === 'user disconnected' || reason === 'anyconnect client disconnected';
    return isByUser && this.#options.lifeOf(session.host)?.persistentCookies === true;
  }

  #end(session: StoredSession, reason: SessionEnd['reason'] | undefined): void {
    this.#sessions.delete(session.id);
    this.#idOfCookie.delete(session.cookieHash);
    this.#inUse.delete(session.id);
    this.#options.store.remove(session.id);
    if (session.accounting === undefined) return;
    const { received, sent } = session.accounting;
    this.#options.accountingOf(session.host)?.stopped(session, this.#total(session, received, sent), reason ?? 'unspecified');
  }

  #total({ accounting, createdAt }: StoredSession, received: number, sent: number): SessionUsage {
    return { received, sent, duration: this.#options.now() - (accounting?.startedAt ?? createdAt) };
  }

  #cookieEnd(host: string | undefined): number {
    return this.#options.now() + (this.#options.lifeOf(host)?.cookieTimeout ?? 0) + COOKIE_GRACE;
  }

  #keep(session: StoredSession): void {
    this.#sessions.set(session.id, session);
    this.#idOfCookie.set(session.cookieHash, session.id);
  }

  #update(session: StoredSession): void {
    this.#sessions.set(session.id, session);
    this.#options.store.save(session);
  }

  #dropOldestIdle(): void {
    for (const session of this.#sessions.values()) {
      if (this.#inUse.has(session.id)) continue;
      this.#end(session, undefined);
      return;
    }
  }
}

function hashOf(cookie: string): string {
  return createHash('sha256').update(cookie).digest('hex');
}

/** What others than this process may know. */
function publicPart({ id, user, group, host, createdAt, userAgent, boundKey, policy }: StoredSession): KnownSession {
  return {
    id,
    user,
    createdAt,
    userAgent,
    ...(group !== undefined && { group }),
    ...(host !== undefined && { host }),
    ...(boundKey !== undefined && { boundKey }),
    ...(policy !== undefined && { policy }),
  };
}
