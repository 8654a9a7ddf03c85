/** Who is told of sessions as they begin, go on and end. Reports do not hold sessions up: they are sent as they can be, and failures are logged. */
import type { DisconnectReason, SessionUsage } from '../processes/auth-service.ts';
import type { StoredSession } from './session-store.ts';

export interface Accounting {
  started(session: StoredSession): void;
  interim(session: StoredSession, usage: SessionUsage): void;
  stopped(session: StoredSession, usage: SessionUsage, reason: DisconnectReason): void;
  /** Waits for the reports that are under way; they have deadlines of their own. */
  close(): Promise<void>;
}
