/** A worker that has died and is started again: nothing is told to it that was for the one before. */
import assert from 'node:assert/strict';
import type { Socket as UdpSocket } from 'node:dgram';
import { describe, it } from 'node:test';
import type { MovedAssociation } from '../../../src/core/dtls/state.ts';
import { silentLogger } from '../../../src/core/log.ts';
import { parseIp } from '../../../src/core/wire/ip-address.ts';
import type { Flow } from '../../../src/gateway/main/udp-door.ts';
import { WorkerPool } from '../../../src/gateway/main/worker-pool.ts';
import type { GatewayChild } from '../../../src/gateway/processes/child-processes.ts';
import type { WorkerSetup } from '../../../src/gateway/processes/worker-contract.ts';

const HERE = { address: parseIp('127.0.0.1') ?? assert.fail(), port: 1 };
const ARRIVAL = { connection: 1, hasProxyHeader: false };

describe('the workers of a gateway', () => {
  it('hear of nothing before they have started', async () => {
    const told: string[] = [];
    let closed = 0;
    const started = Promise.withResolvers<void>();
    const child = {
      rpc: {
        remote: () => ({ start: () => started.promise }),
        notify: (name: string) => told.push(name) > 0,
        offer: (name: string) => void told.push(name),
      },
      ...{ pid: 1, ended: new Promise<string>(() => undefined), end: async () => undefined },
    } as unknown as GatewayChild;
    const pool = new WorkerPool({
      ...{ count: 1, descriptorsOf: () => [], setup: () => ({}) as WorkerSetup, serves: {}, onGone: () => undefined, log: silentLogger },
      startWorker: () => child,
    });
    const socket = { close: () => void closed++ } as unknown as UdpSocket;
    const flow: Flow = { socket, local: HERE, remote: HERE, first: new Uint8Array(1) };
    const tell = () => {
      pool.flow(0, 7, flow);
      pool.greeted(0, 7, flow, {} as MovedAssociation);
      pool.stranger(0, ARRIVAL, flow);
      pool.expected(0, ARRIVAL, new Uint8Array(3), flow);
      pool.packets(0, [new Uint8Array(20)]);
      pool.forget('s', undefined);
      pool.forget('s', 0); // that one has them
    };
    const starting = pool.start();
    tell();
    assert.deepEqual([told, closed, pool.choose()], [[], 4, undefined]);
    started.resolve();
    await starting;
    tell();
    assert.deepEqual([told, closed, pool.choose()], [['flow', 'greeted', 'stranger', 'expected', 'packets', 'forget'], 4, 0]);
  });
});
