/**
 * Whose passes are over before their time: those that a user had got when an administrator ended what the user has. Kept over a restart, as the key of passes
 * may be.
 */
import { MAX_PASS_TIME } from '../config/portal-config.ts';

/** Users at once. Beyond, the oldest is forgotten and everybody's passes of before that time are over. */
const MAX_REVOCATIONS = 100_000;

/** In the store, in place of a user's name: nobody has an empty one. */
const EVERYBODY = '';

export interface RevocationStore {
  /** In any order; milliseconds since 1970. */
  loadRevocations(): readonly { readonly user: string; readonly at: number }[];
  saveRevocation(user: string, at: number): void;
  removeRevocation(user: string): void;
}

export class PassRevocations {
  readonly #store: RevocationStore;
  readonly #now: () => number;
  readonly #max: number;
  /** By user, the oldest first. */
  readonly #revokedAt = new Map<string, number>();
  #everybodysAt = Number.NEGATIVE_INFINITY;

  /** @param now milliseconds since 1970 */
  constructor(store: RevocationStore, now: () => number, max: number = MAX_REVOCATIONS) {
    this.#store = store;
    this.#now = now;
    this.#max = max;
    const kept = [...store.loadRevocations()].sort((a, b) => a.at - b.at);
    for (const { user, at } of kept) {
      if (user === EVERYBODY) this.#everybodysAt = at;
      else this.#revokedAt.set(user, at);
    }
    this.#sweep();
  }

  /** All passes that the user has got until now. */
  revoke(user: string): void {
    if (user === EVERYBODY) return;
    const at = this.#now();
    this.#revokedAt.delete(user); // to the end
    this.#revokedAt.set(user, at);
    this.#store.saveRevocation(user, at);
    this.#sweep();
  }

  /** `since`: when the password of a pass was given, in milliseconds since 1970. */
  isRevoked(user: string, since: number): boolean {
    return since <= Math.max(this.#revokedAt.get(user) ?? Number.NEGATIVE_INFINITY, this.#everybodysAt);
  }

  /** No pass is good for longer than the longest may be: then nothing is left to revoke. */
  #sweep(): void {
    for (const [user, at] of this.#revokedAt) {
      const isOver = at + MAX_PASS_TIME < this.#now();
      if (!isOver && this.#revokedAt.size <= this.#max) return;
      if (!isOver) this.#revokeEverybodys(at);
      this.#revokedAt.delete(user);
      this.#store.removeRevocation(user);
    }
  }

  #revokeEverybodys(at: number): void {
    this.#everybodysAt = at;
    this.#store.saveRevocation(EVERYBODY, at);
  }
}
