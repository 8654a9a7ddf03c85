import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../../../src/core/log.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { DeskService, Lease } from '../../../src/gateway/processes/worker-contract.ts';
import { workerVisitor } from '../../../src/gateway/worker/worker-visitor.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';

const WISHES = { wantsIpv4: true, wantsIpv6: false, isMobile: false, userAgent: '' };

function leasing(expiresAt: number | undefined) {
  const config = { dns: [], ...(expiresAt !== undefined && { expiresAt }) };
  const lease = { tunnel: 7, terms: { config }, limits: {} } as unknown as Lease;
  const desk = { session: async () => ({ id: 's', user: 'alice' }), lease: async () => lease } as unknown as DeskService;
  const host = { serverName: '', certificate: new Uint8Array(0), headers: [], cookieTimeout: 0, needsCertificate: false };
  return workerVisitor({
    connection: 7,
    desk,
    host,
    crypto: new NodeCrypto(),
    log: silentLogger,
    now: () => 5_000,
    expect: () => undefined,
  });
}

describe("a worker's visitor", () => {
  it('counts the time that a session has left from when it hears of it: the clock of main began at another moment', async () => {
    const session = (await leasing(3_600_000).session(new Secret('c'))) ?? assert.fail();
    const { config } = await session.lease(WISHES);
    assert.equal(config.expiresAt, 3_605_000);
  });

  it('leaves a session without an end as it is', async () => {
    const session = (await leasing(undefined).session(new Secret('c'))) ?? assert.fail();
    assert.equal((await session.lease(WISHES)).config.expiresAt, undefined);
  });
});
