import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { NetworkError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { ExpectedFlow } from '../../../src/core/protocols/gateway-protocol.ts';
import { Secret } from '../../../src/core/secret.ts';
import type { TunnelMachine } from '../../../src/core/tunnel/machine.ts';
import { EXPECTATION_LIFE } from '../../../src/gateway/processes/expectations.ts';
import type { DeskService } from '../../../src/gateway/processes/worker-contract.ts';
import { ExpectedTunnels, receiveExpected } from '../../../src/gateway/worker/expected-tunnels.ts';
import { workerVisitor } from '../../../src/gateway/worker/worker-visitor.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { PLAIN_TERMS } from '../../support/gateway-visitor.ts';

const ID = Uint8Array.of(1, 2, 3);
const OWN = Uint8Array.of(7);
const MACHINE = {} as TunnelMachine;

function scene({ isTaken = false } = {}) {
  let time = 0;
  let isAlive: boolean | Error = true;
  const tunnels = new ExpectedTunnels(() => time);
  const said: unknown[] = [];
  const desk = {
    session: async (connection: number, cookie: Secret) => {
      said.push(['session', connection, cookie.reveal()]);
      if (isAlive instanceof Error) throw isAlive;
      return isAlive ? { id: 's', user: 'alice' } : undefined;
    },
    lease: async (connection: number) => ({ tunnel: connection, terms: PLAIN_TERMS, limits: {} }),
    expects: async (...args: unknown[]) => {
      said.push(['expects', ...args]);
      return !isTaken;
    },
  } as unknown as DeskService;
  const host = { serverName: '', certificate: new Uint8Array(0), headers: [], cookieTimeout: 0, needsCertificate: false };
  const parts = { desk, host, crypto: new NodeCrypto(), log: silentLogger, now: () => time };
  const visitor = (connection: number) => workerVisitor({ ...parts, connection, expect: (session, flow) => tunnels.expect(session, flow) });
  const flow: ExpectedFlow = {
    ...{ datagramId: ID, cookie: new Secret('c'), wishes: { wantsIpv4: true, wantsIpv6: true, isMobile: false, userAgent: '' } },
    opens: (datagram) => datagram[0] === OWN[0],
    tunnel: () => MACHINE,
  };
  const expect = async () => (await visitor(1).session(new Secret('c')))?.expect(flow);
  const receive = async (first: Uint8Array, id = ID) => {
    const claimed = tunnels.claim(id, first);
    if (claimed === undefined) return undefined;
    assert.deepEqual(said.at(-1), ['expects', 1, 's', ID], 'main has not been asked: the path is connected first');
    return receiveExpected(claimed, { close: async () => void said.push('closed') }, visitor(2), silentLogger);
  };
  const end = (how: false | Error = false) => {
    isAlive = how;
  };
  const wait = (millis: number) => {
    time += millis;
  };
  return { said, expect, receive, end, wait };
}

describe('tunnels that are expected', () => {
  it('begin with what is their client’s own, by its cookie, once', async () => {
    const { said, expect, receive } = scene();
    assert.equal(await expect(), true);
    assert.deepEqual(said.at(-1), ['expects', 1, 's', ID]);
    assert.equal(await receive(Uint8Array.of(8)), undefined, 'forged');
    assert.equal(await receive(OWN, Uint8Array.of(1, 2, 4)), undefined, 'another’s');
    const received = await receive(OWN);
    assert.deepEqual([received?.lease.tunnel, received?.machine, received?.datagramId], [2, MACHINE, ID]);
    assert.deepEqual(said.at(-1), ['session', 2, 'c'], 'shown again');
    assert.equal(await receive(OWN), undefined, 'it runs');
  });

  it('do not begin for a session that is over, nor too late, nor where main has said no', async () => {
    const late = scene();
    await late.expect();
    late.wait(EXPECTATION_LIFE);
    assert.equal(await late.receive(OWN), undefined);
    const taken = scene({ isTaken: true });
    assert.equal(await taken.expect(), false);
    assert.equal(await taken.receive(OWN), undefined);
    const over = scene();
    await over.expect();
    over.end();
    assert.equal(await over.receive(OWN), undefined);
    assert.equal(over.said.at(-1), 'closed', 'nobody has the path');
    const failed = scene();
    await failed.expect();
    failed.end(new NetworkError('auth has ended'));
    await assert.rejects(failed.receive(OWN), NetworkError);
    assert.equal(failed.said.at(-1), 'closed');
  });
});
