/**
 * What an administrator may ask of a running gateway, and the plain data that it answers with.
 *
 * The main process implements {@link ControlTarget}; `control-server.ts` serves it on a socket; `gateway-control.ts` is the same interface at the other
 * end. Times are milliseconds since 1970 or durations in milliseconds; addresses and routes are text, as people read them.
 */
import type { Millis } from '../../core/tunnel/packet.ts';
import type { BanListing } from '../main/ban-table.ts';
import type { StatisticsSnapshot } from '../main/statistics.ts';
import type { NatFigures } from '../nat/nat-figures.ts';
import type { DisconnectReason, SessionListing } from '../processes/auth-service.ts';

export interface ControlTarget {
  status(): Promise<GatewayStatus>;
  /** Everyone who is connected or connecting, the newest first. */
  users(): Promise<readonly UserStatus[]>;
  /** What cookies stand for, connected or not. */
  sessions(): Promise<readonly ControlSession[]>;
  /** Every address that has points; the banned ones have an end. */
  bans(): Promise<readonly BanListing[]>;
  /** See `SessionEvents.after`: waits until something happens, or the signal aborts. */
  events(after: number | undefined, signal: AbortSignal): Promise<EventPage>;
  /** Ends all sessions of a user, cookies included; how many there were. */
  disconnectUser(name: string): Promise<number>;
  /** Ends the session of one connection, its cookie included; false: there is no such connection. */
  disconnectId(id: number): Promise<boolean>;
  /** False: nothing is known of the address. `address` was parsed before. */
  unban(address: string): Promise<boolean>;
  /** Reads the configuration anew; sessions stay. Rejects with what is wrong with it. */
  reload(): Promise<void>;
  /** Begins to stop, and does not wait for the end. */
  stop(): Promise<void>;
  /** Takes no new connections and lets sessions go as they like; false goes back to work. */
  maintain(isOn: boolean): Promise<void>;
}

export interface GatewayStatus {
  readonly state: 'online' | 'maintenance' | 'stopping';
  /** The clock of the gateway. */
  readonly now: number;
  readonly pid: number;
  readonly authPid: number;
  readonly authProcesses: number;
  /** Connected and connecting. */
  readonly activeSessions: number;
  readonly bannedAddresses: number;
  /** Cookies that are known. */
  readonly knownSessions: number;
  /** Bytes of the sessions that have not ended; the statistics have the others. */
  readonly live: { readonly received: number; readonly sent: number };
  /** Without an interface: clients' flows. */
  readonly nat?: NatFigures;
  readonly statistics: StatisticsSnapshot;
}

export interface UserStatus {
  /** Names the connection, as long as it lasts. */
  readonly id: number;
  /** Undefined: not logged in yet. */
  readonly user?: string;
  readonly group?: string;
  /** The virtual host; `default`; `unknown` where the client has not yet said. */
  readonly host: string;
  readonly state: 'pre-auth' | 'authenticating' | 'authenticated' | 'connected';
  readonly device?: string;
  readonly mtu?: number;
  readonly remote: string;
  /** Where it arrived. */
  readonly local: string;
  readonly ipv4?: InsideAddress;
  readonly ipv6?: InsideAddress;
  readonly userAgent?: string;
  /** Limits in bytes a second. */
  readonly rates: { readonly receive?: number; readonly send?: number };
  /** Bytes in the tunnel, as the gateway sees them; undefined: there is no tunnel. */
  readonly traffic?: { readonly received: number; readonly sent: number };
  readonly dpd: Millis;
  readonly keepalive: Millis;
  /** The client's own name. */
  readonly hostname?: string;
  readonly connectedAt: number;
  /** The public name of its session; empty while there is none. */
  readonly session: string;
  readonly tlsCipher?: string;
  readonly dtlsCipher?: string;
  readonly cstpCompression?: string;
  readonly dtlsCompression?: string;
  readonly dns: readonly string[];
  readonly nbns: readonly string[];
  readonly splitDns: readonly string[];
  /** As `routeText` writes them; empty: everything. */
  readonly routes: readonly string[];
  readonly noRoutes: readonly string[];
  readonly iroutes: readonly string[];
  readonly restrictsToRoutes: boolean;
  /** As `portTexts` writes them. */
  readonly restrictedPorts: readonly string[];
}

export interface InsideAddress {
  readonly address: string;
  /** The gateway's end. */
  readonly gateway: string;
}

export interface ControlSession extends Omit<SessionListing, 'remote' | 'state'> {
  readonly remote: string;
  readonly state: SessionListing['state'] | 'auth failed';
}

interface EventFacts {
  /** One more than the event before. */
  readonly number: number;
  readonly at: number;
  readonly id: number;
  readonly user: string;
  readonly host: string;
  readonly remote: string;
  /** Inside the tunnel. */
  readonly address: string;
}

export type SessionEvent =
  | (EventFacts & { readonly type: 'connected' })
  | (EventFacts & { readonly type: 'disconnected'; readonly reason: DisconnectReason; readonly duration: Millis });

export interface EventPage {
  readonly events: readonly SessionEvent[];
  /** The number of the newest event: what to ask for next. */
  readonly last: number;
  /** Events that came and went unseen. */
  readonly missed: number;
}
