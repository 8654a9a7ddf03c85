/** Our addresses beside those of the real ocserv, for the same users in the same pools. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LeasePool } from '../../../src/gateway/network/lease-pool.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { Lab } from '../../support/lab.ts';
import { Ocserv } from '../../support/ocserv.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { request, words } from './lease-requests.ts';

describe('leases beside ocserv', { skip: missing('root', 'netns', 'tun', 'ocserv', 'openconnect'), timeout: HANG_LIMIT }, () => {
  for (const pools of [
    { ipv4: '10.0.0.0/8', ipv6: 'fd77::/16', ipv6SubnetPrefix: 128 },
    { ipv4: '10.77.0.0/24', ipv6: 'fd77::/48', ipv6SubnetPrefix: 64 },
  ]) {
    it(`gives the same addresses in ${pools.ipv4} and ${pools.ipv6}, subnets of /${pools.ipv6SubnetPrefix}`, async () => {
      const logins = ['alice', 'alice', 'a-user-with-a-long-name@example.test', 'bob'];
      const users = [...new Set(logins)].map((name) => ({ name, password: 'pw' }));
      await using lab = await Lab.open();
      const settings = { 'ipv4-network': pools.ipv4, 'ipv6-network': pools.ipv6, 'ipv6-subnet-prefix': pools.ipv6SubnetPrefix };
      const ocserv = await Ocserv.start(lab, { users, settings });
      const ours = new LeasePool({ crypto: new NodeCrypto() });
      for (const [i, name] of logins.entries()) {
        const user = { name, password: 'pw' };
        const { gateway, pin } = ocserv;
        const client = await OpenConnect.start(lab.client, { gateway, pin, user, device: `tun${i}`, script: 'true' });
        const { ipv4, ipv6 } = await client.up();
        const { lease } = await ours.acquire(request(`session${i}`, name, pools));
        assert.equal(words(lease).replace(/\/\d+ /, ' '), `${ipv4} ${ipv6}`);
      }
    });
  }
});
