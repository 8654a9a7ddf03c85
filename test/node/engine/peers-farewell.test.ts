import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FarewellPatience, hearFarewells } from '../../../src/node/engine/peers-farewell.ts';

it('peers are waited for while they take what is on its way, a second where they take nothing, and a moment when they have all', () => {
  const patience = new FarewellPatience();
  for (const [left, now, lasts] of [
    [3_000_000, 10_000, true],
    [3_000_000, 10_999, true],
    [2_000_000, 11_000, true],
    [2_000_000, 11_999, true],
    [2_500_000, 12_500, true], // more of it has left OpenSSL
    [0, 13_000, true],
    [0, 13_199, true],
    [0, 13_200, false],
  ] as const) {
    assert.equal(patience.lasts(left, now), lasts, `${left} at ${now}`);
  }
  const gone = new FarewellPatience();
  assert.ok(gone.lasts(500, 0));
  assert.ok(!gone.lasts(500, 1000));
});

it('nobody is waited for who does not say how much is on its way, nor longer than the peers need', async () => {
  const never = new Promise<never>(() => undefined);
  await hearFarewells([never], () => never);
  await hearFarewells([Promise.resolve()], () => never);
  await hearFarewells([], () => never);
});
