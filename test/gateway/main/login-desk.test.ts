/** What main counts of log-ins: sessions that were begun, and not the passes by which others begin. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { AuthStep } from '../../../src/core/auth/dialogue.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import { BanTable } from '../../../src/gateway/main/ban-table.ts';
import { LoginDesk } from '../../../src/gateway/main/login-desk.ts';
import { SessionTable } from '../../../src/gateway/main/session-table.ts';
import { Statistics } from '../../../src/gateway/main/statistics.ts';
import { AuthScene } from '../auth/auth-scene.ts';
import { sampleConfig } from '../config-samples.ts';

it('a log-in at a portal and the one at its gateway are one', async () => {
  await using scene = new AuthScene();
  const config = sampleConfig();
  const service = await scene.open(config);
  const table = new SessionTable();
  const statistics = new Statistics(60_000, 0);
  const step: AuthStep = { type: 'admitted', user: 'alice', cookie: new Secret('secret') };
  const steps: AuthStep[] = [{ ...step, isPass: true }, step];
  const auth = { ...service, begin: async () => ({ dialogue: 'd', step: steps.shift() ?? assert.fail() }) };
  const desk = new LoginDesk({
    config: () => config,
    auth,
    table,
    statistics,
    bans: new BanTable(config.bans),
    log: silentLogger,
    now: () => 0,
  });
  const counted: number[] = [];
  for (const hints of [scene.hints({ wantsPass: true }), scene.hints()]) {
    const { id } = table.connect(0, hints.remote, hints.local, 0);
    await desk.begin(0, id, hints);
    counted.push(statistics.snapshot(0).total.logins);
  }
  assert.deepEqual(counted, [0, 1]);
});
