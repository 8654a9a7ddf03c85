/** A store of sessions that nothing outlives. */
import type { SessionStore, StoredSession } from '../../src/gateway/auth/session-store.ts';

export class MemorySessionStore implements SessionStore {
  readonly #sessions = new Map<string, StoredSession>();

  load(): readonly StoredSession[] {
    return [...this.#sessions.values()];
  }

  save(session: StoredSession): void {
    this.#sessions.set(session.id, session);
  }

  remove(id: string): void {
    this.#sessions.delete(id);
  }

  close(): void {
    // Nothing is open.
  }
}
