/**
 * Where sessions outlive the process. A store keeps records and knows nothing of their meaning; `session-table.ts` does.
 *
 * Only the hash of a cookie is ever stored: who reads the store cannot connect with what it finds.
 */
import type { IpAddress } from '../../core/wire/ip-address.ts';
import type { KnownSession } from '../processes/auth-service.ts';

export interface StoredSession extends KnownSession {
  /** SHA-256 of the cookie, hex. */
  readonly cookieHash: string;
  /** The address of the log-in. */
  readonly remote: IpAddress;
  /** The address that it came to. */
  readonly local: IpAddress;
  readonly hasCertificate: boolean;
  /** When the cookie is void unless a tunnel is open; milliseconds since 1970. */
  readonly expiresAt: number;
  /** A tunnel was open when this was written. */
  readonly isOpen: boolean;
  /** What the back end wants back in each report (RFC 2865 §5.25). */
  readonly accountingClasses?: readonly Uint8Array[];
  readonly accounting?: AccountingState;
}

/** What accounting needs over reconnects and restarts: its start was sent, its stop not yet. */
export interface AccountingState {
  readonly startedAt: number;
  /** Of tunnels that have gone. */
  readonly received: number;
  readonly sent: number;
  readonly framedIpv4?: IpAddress;
  readonly framedIpv6?: IpAddress;
  readonly remote: IpAddress;
}

export interface SessionStore {
  load(): readonly StoredSession[];
  save(session: StoredSession): void;
  remove(id: string): void;
  close(): void;
}
