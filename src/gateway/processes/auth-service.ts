/**
 * What the process with the secrets does for the others: passwords, one-time codes, RADIUS, cookies. Nothing else reads a password.
 *
 *   worker ── hints, values ──► main ──► auth ── step ──► main ──► worker
 *
 * Values cross a process boundary (`rpc.ts`): plain data, bytes and {@link Secret} only.
 */
import type { AuthStep, LoginHints } from '../../core/auth/dialogue.ts';
import type { FormValues } from '../../core/auth/form.ts';
import type { Secret } from '../../core/secret.ts';
import type { Millis } from '../../core/tunnel/packet.ts';
import type { IpAddress } from '../../core/wire/ip-address.ts';
import type { GatewayConfig, SessionPolicy } from '../config/gateway-config.ts';

export interface AuthService {
  begin(hints: LoginHints): Promise<{ readonly dialogue: string; readonly step: AuthStep }>;
  /** Undefined: there is no such dialogue any more. */
  answer(dialogue: string, values: FormValues, remote: IpAddress): Promise<AuthStep | undefined>;
  knows(dialogue: string): Promise<boolean>;
  /** Who a cookie belongs to; undefined: nobody, expired, or bound to another address. Its time begins anew. */
  session(cookie: Secret, remote: IpAddress): Promise<KnownSession | undefined>;
  /** Whether the session is not over. */
  has(session: string): Promise<boolean>;
  /** The session is bound to another key of its client's from now on: {@link KnownSession.boundKey}. */
  rebound(session: string, key: Uint8Array): Promise<void>;
  /** A tunnel of the session is up: its cookie does not expire meanwhile; accounting starts with the first. */
  opened(session: string, facts: SessionFacts): Promise<void>;
  /** For interim accounting. */
  reported(session: string, usage: SessionUsage): Promise<void>;
  /** The session's tunnel is gone, for good or for now: `keepsCookie`. */
  closed(session: string, end: SessionEnd): Promise<void>;
  /** The passes of a portal that this user has got until now are over, at this gateway, on all its hosts. */
  revokePasses(user: string): Promise<void>;
  /** For `occtl show sessions`. */
  sessions(): Promise<readonly SessionListing[]>;
  /** After SIGHUP: back ends and their files are read anew; sessions stay. */
  reload(config: GatewayConfig): Promise<void>;
}

export interface KnownSession {
  /** Public: names the session in logs, scripts and control output. No part of the cookie. */
  readonly id: string;
  readonly user: string;
  readonly group?: string;
  /** The virtual host; undefined: the default host. */
  readonly host?: string;
  /** When the log-in succeeded, in milliseconds since 1970: session time-outs count from here, over reconnects and restarts. */
  readonly createdAt: number;
  readonly userAgent: string;
  /** The log-in's {@link LoginHints.boundKey}, or what took its place. */
  readonly boundKey?: Uint8Array;
  /** What the back end says of this user (RADIUS attributes); wins over files. */
  readonly policy?: Partial<SessionPolicy>;
}

export interface SessionFacts {
  readonly remote: IpAddress;
  readonly ipv4?: IpAddress;
  readonly ipv6?: IpAddress;
  readonly device: string;
}

export interface SessionUsage {
  /** Bytes as the gateway sees them: `received` from the client. */
  readonly received: number;
  readonly sent: number;
  readonly duration: Millis;
}

export interface SessionEnd extends SessionUsage {
  readonly reason: DisconnectReason;
  /** False: the session is over, and its cookie is void. */
  readonly keepsCookie: boolean;
}

/** ocserv's words (spec "Gateway contract", section 4). */
export type DisconnectReason =
  | 'unspecified'
  | 'user disconnected'
  | 'server disconnected'
  | 'idle timeout'
  | 'DPD timeout'
  | 'unspecified error'
  | 'session timeout'
  | 'anyconnect client disconnected'
  | 'TCP health probe';

/** Whether a client that the gateway has disconnected for this may come back with its cookie. */
export function keepsCookieAfter(reason: DisconnectReason): boolean {
  return reason === 'unspecified' || reason === 'idle timeout';
}

export interface SessionListing {
  readonly id: string;
  readonly user: string;
  readonly group?: string;
  readonly host?: string;
  readonly remote: IpAddress;
  readonly userAgent: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly state: 'pre-auth' | 'authenticating' | 'authenticated';
  readonly isOpen: boolean;
  readonly hasCertificate: boolean;
  /** Tunnels that use it now. */
  readonly inUse: number;
}

/** What auth tells by itself. */
export interface AuthEvents {
  /** A password was wrong: points for the ban table, and for statistics. */
  failed(remote: IpAddress): void;
}
