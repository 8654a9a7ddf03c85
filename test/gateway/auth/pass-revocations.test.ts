import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PassRevocations, type RevocationStore } from '../../../src/gateway/auth/pass-revocations.ts';

const DAY = 86_400_000;

/** A store that a test can read. */
class Kept implements RevocationStore {
  readonly rows = new Map<string, number>();
  loadRevocations(): readonly { readonly user: string; readonly at: number }[] {
    return [...this.rows].map(([user, at]) => ({ user, at }));
  }
  saveRevocation(user: string, at: number): void {
    this.rows.set(user, at);
  }
  removeRevocation(user: string): void {
    this.rows.delete(user);
  }
}

describe('passes that are revoked', () => {
  it('are those of the user up to that time', () => {
    const revocations = new PassRevocations(new Kept(), () => 1000);
    assert.equal(revocations.isRevoked('alice', 0), false);
    revocations.revoke('alice');
    assert.deepEqual(
      [999, 1000, 1001].map((since) => revocations.isRevoked('alice', since)),
      [true, true, false],
    );
    revocations.revoke('');
    assert.equal(revocations.isRevoked('bob', 999), false);
  });

  it('are remembered for as long as a pass may be good, over a restart as well', () => {
    const store = new Kept();
    let now = 1000;
    new PassRevocations(store, () => now).revoke('alice');
    now += DAY;
    const again = new PassRevocations(store, () => now);
    assert.equal(again.isRevoked('alice', 1000), true);
    now += 1;
    again.revoke('bob');
    assert.deepEqual([...store.rows], [['bob', now]]);
  });

  it('are rather too many than too few, where there are more users than are kept, over a restart as well', () => {
    const store = new Kept();
    let now = 0;
    const revocations = new PassRevocations(store, () => now, 2);
    for (const user of ['alice', 'bob', 'alice', 'carol']) {
      now += 10;
      revocations.revoke(user);
    }
    assert.deepEqual([...store.rows.keys()].sort(), ['', 'alice', 'carol']);
    for (const each of [revocations, new PassRevocations(store, () => now, 2)]) {
      assert.deepEqual(
        [
          ['bob', 20],
          ['dave', 20],
          ['dave', 21],
          ['alice', 30],
          ['alice', 31],
        ].map(([user, at]) => each.isRevoked(String(user), Number(at))),
        [true, true, false, true, false],
      );
    }
  });
});
