import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { PeerRefusedError } from '../../../src/core/errors.ts';
import { silentLogger } from '../../../src/core/log.ts';
import type { SessionPolicy } from '../../../src/gateway/config/gateway-config.ts';
import { ClientRoutes } from '../../../src/gateway/network/client-routes.ts';
import { LeasePool } from '../../../src/gateway/network/lease-pool.ts';
import { SessionFirewall } from '../../../src/gateway/network/session-firewall.ts';
import { SessionNetwork } from '../../../src/gateway/network/session-network.ts';
import { SessionScripts } from '../../../src/gateway/network/session-scripts.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { inNamespace, ip as runIp } from '../../support/namespace.ts';
import { ForwardingScene } from './forwarding-scene.ts';
import { cidr, ip, request, words } from './lease-requests.ts';
import { ALICES_SESSION } from './session-facts.ts';
import { PLAIN_POLICY } from './session-policies.ts';

const USAGE = { received: 10, sent: 20, duration: 3_000 };
const POOLS = { ipv4: '10.77.0.0/24', ipv6: 'fd77::/48' };

interface Parts {
  readonly leases: LeasePool;
  readonly scripts: SessionScripts;
}

inNamespace(
  'the network of a session',
  import.meta.filename,
  () => {
    /** `body` gets the scene and a network whose scripts write what they are told, and end with the status in the file `status`. */
    async function scene(
      body: (scene: ForwardingScene, network: SessionNetwork, folder: string, parts: Parts) => Promise<void>,
    ): Promise<void> {
      const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-network-'));
      const script = path.join(folder, 'script');
      writeFileSync(
        script,
        `#!/bin/sh\necho "$REASON $IP_REMOTE $HOSTNAME $STATS_BYTES_IN" >> ${folder}/told\nexit $(cat ${folder}/status)\n`,
      );
      chmodSync(script, 0o755);
      writeFileSync(path.join(folder, 'status'), '0');
      const opened = await ForwardingScene.open();
      const leases = new LeasePool({ crypto: new NodeCrypto() });
      const scripts = new SessionScripts({ scripts: { connect: script, disconnect: script, hostUpdate: script }, log: silentLogger });
      const firewall = new SessionFirewall({ device: opened.device.name });
      const routes = new ClientRoutes({ device: opened.device.name, log: silentLogger });
      const network = new SessionNetwork({ device: opened.device, leases, routes, firewall, scripts });
      try {
        await body(opened, network, folder, { leases, scripts });
        await scripts.settled();
      } finally {
        await firewall.close();
        opened.close();
        rmSync(folder, { recursive: true });
      }
    }

    const opening = (policy: Partial<SessionPolicy>, more: Parameters<typeof request>[3] = {}) => ({
      request: request('s1', 'alice', POOLS, more),
      policy: { ...PLAIN_POLICY, ...policy },
      facts: ALICES_SESSION,
    });
    const restricted = { restrictsToRoutes: true, routes: [cidr('10.1.0.0/16')], iroutes: [cidr('172.16.5.0/24')] };
    const told = (folder: string) =>
      readFileSync(path.join(folder, 'told'), 'utf8')
        .split('\n')
        .map((line) => line.trim())
        .filter(Boolean);

    it('is there after the connect script, and gone after the disconnect; the addresses stay until the end', async () => {
      await scene(async (opened, network, folder, { leases, scripts }) => {
        const { lease } = await network.open(opening(restricted));
        assert.equal(words(lease), '10.77.0.50/24 fd77::8e4f:9a7c:c09f:b76e:58ef/128');
        assert.match(runIp('route show'), /172\.16\.5\.0\/24 dev vpns0/);
        for (const from of ['10.77.0.50', '172.16.5.9']) {
          assert.equal(await opened.out({ from, to: '10.1.1.1', protocol: 'icmp' }), 'passed');
          assert.equal(await opened.out({ from, to: '10.2.1.1', protocol: 'icmp' }), 'refused');
        }
        await network.updateHost('s1', 'renamed');
        await network.close('s1', USAGE);
        await network.close('s1', USAGE);
        assert.doesNotMatch(runIp('route show'), /172\.16\.5/);
        assert.equal(await opened.out({ from: '10.77.0.50', to: '10.2.1.1', protocol: 'icmp' }), 'passed');
        assert.deepEqual((await network.open(opening({}))).lease, lease);
        await network.close('s1', USAGE);
        network.end('s1');
        assert.equal(leases.entries.length, 0);
        await scripts.settled(); // only connect is waited for: the others end in any order
        const again = ['connect 10.77.0.50 client', 'disconnect 10.77.0.50 client 10'];
        assert.deepEqual(
          told(folder).sort(),
          [...again, 'connect 10.77.0.50 client', 'disconnect 10.77.0.50 renamed 10', 'host-update 10.77.0.50 renamed'].sort(),
        );
      });
    });

    it('is taken back where the connect script says no', async () => {
      await scene(async (opened, network, folder, { leases }) => {
        writeFileSync(path.join(folder, 'status'), '1');
        await assert.rejects(network.open(opening(restricted)), PeerRefusedError);
        assert.doesNotMatch(runIp('route show'), /172\.16\.5/);
        assert.equal(await opened.out({ from: '10.77.0.50', to: '10.2.1.1', protocol: 'icmp' }), 'passed');
        assert.equal(leases.entries.length, 0);
        await network.close('s1', USAGE);
        assert.deepEqual(told(folder), ['connect 10.77.0.50 client']);
      });
    });

    it('reaches an explicit address outside of all pools, and a pool of the user’s own', async () => {
      await scene(async (opened, network) => {
        await network.open(opening({}, { explicitIpv4: ip('10.99.9.9') }));
        assert.equal(await opened.in({ from: '10.2.1.1', to: '10.99.9.9', protocol: 'icmp' }), 'passed');
        const own = request('s2', 'bob', { ipv4: '10.50.0.0/16' });
        const { lease } = await network.open({ ...opening({}), request: own });
        assert.equal(words(lease).endsWith('/16'), true);
        assert.match(runIp('-4 address show dev vpns0'), /10\.50\.0\.1\/16/);
        await network.close('s1', USAGE);
        assert.doesNotMatch(runIp('route show'), /10\.99\.9\.9/);
      });
    });
  },
  ['nft'],
);
