import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, it } from 'node:test';
import { SallyportError } from '../../../src/core/errors.ts';
import { GatewayNetwork } from '../../../src/gateway/main/gateway-network.ts';
import { GatewayDevice } from '../../../src/gateway/network/gateway-device.ts';
import { MAX_DEVICE_QUEUES } from '../../../src/node/engine/shared-memory.ts';
import { inNamespace } from '../../support/namespace.ts';
import { sampleConfig } from '../config-samples.ts';

const WORKERS = 4;
const MANY = WORKERS * MAX_DEVICE_QUEUES;

/** This process opens no more than `count` descriptors beside those it has, until what is returned is called. */
function limitDescriptors(count: number): () => void {
  const open = new Set(readdirSync('/proc/self/fd').map(Number));
  let [limit, free] = [0, 0];
  for (; free < count; limit++) if (!open.has(limit)) free++;
  const prlimit = (...options: string[]) => execFileSync('prlimit', [`--pid=${process.pid}`, ...options], { encoding: 'utf8' });
  const before = prlimit('--nofile', '--output=SOFT', '--noheadings', '--raw').trim();
  prlimit(`--nofile=${limit}:`);
  return () => prlimit(`--nofile=${before}:`);
}

inNamespace(
  'the network of the gateway',
  import.meta.filename,
  () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-network-'));
    after(() => rmSync(folder, { recursive: true }));
    const logged: unknown[] = [];
    const open = () =>
      GatewayNetwork.open(sampleConfig(), {
        ...{ workers: WORKERS, leaseFile: path.join(folder, 'leases'), isKnown: () => false },
        log: { log: (...entry) => logged.push(entry) },
      });
    const queuesOf = (network: GatewayNetwork) => Array.from({ length: WORKERS }, (_, worker) => network.descriptorsOf(worker).length);

    it('gives each worker as many queues as its engine takes', async () => {
      const network = await open();
      assert.deepEqual(queuesOf(network), new Array(WORKERS).fill(MAX_DEVICE_QUEUES));
      await network.close();
      assert.deepEqual(logged, []);
    });

    it('gives each worker one where there are no descriptors for more, and says so', async () => {
      const restore = limitDescriptors(MANY / 2);
      try {
        const network = await open();
        assert.deepEqual(queuesOf(network), new Array(WORKERS).fill(1));
        await network.close();
      } finally {
        restore();
      }
      const reason = 'opening /dev/net/tun: too many open files (EMFILE)';
      assert.deepEqual(logged.splice(0), [['warn', 'the device has one queue for each worker', { reason }]]);
    });

    for (const [code, asked] of [
      ['EMFILE', [MANY, WORKERS]],
      ['ENFILE', [MANY, WORKERS]],
      ['E2BIG', [MANY, WORKERS]],
      ['EPERM', [MANY]],
      ['ERR_NETWORK_SETUP', [MANY]],
    ] as const) {
      it(`asks for ${asked.join(' queues, then for ')} where the device is refused with ${code}`, async ({ mock }) => {
        const refused = mock.method(GatewayDevice, 'open', () => Promise.reject(new SallyportError(code, 'Refused.')));
        await assert.rejects(open(), { code });
        assert.deepEqual(
          refused.mock.calls.map(({ arguments: [options] }) => options?.queues),
          asked,
        );
        assert.deepEqual(logged, []);
      });
    }
  },
  ['prlimit'],
);
