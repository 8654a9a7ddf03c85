/** Which addresses are this machine's. */
import assert from 'node:assert/strict';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';
import { formatIp, parseIp } from '../../../src/core/wire/ip-address.ts';
import { addressesOf, isSameHost, OwnHost } from '../../../src/gateway/nat/own-host.ts';

const common = { netmask: '', mac: '00:00:00:00:00:00', internal: false };

describe('the addresses of this machine', () => {
  it('are those of its interfaces, and of IPv6 the first of each subnet, which a router hears', () => {
    const addresses = addressesOf({
      eth0: [
        { ...common, family: 'IPv4', address: '192.0.2.7', cidr: '192.0.2.7/24' },
        { ...common, family: 'IPv6', address: '2001:db8:0:1::7', cidr: '2001:db8:0:1::7/64', scopeid: 0 },
        { ...common, family: 'IPv6', address: 'fe80::7%eth0', cidr: 'fe80::7%eth0/64', scopeid: 2 },
      ],
      eth1: [{ ...common, family: 'IPv6', address: '2001:db8:0:2::8', cidr: null, scopeid: 0 }],
    });
    assert.deepEqual(
      [...addresses].sort(),
      ['192.0.2.7', '2001:db8:0:1::', '2001:db8:0:1::7', '2001:db8:0:2::8', 'fe80::', 'fe80::7'].sort(),
    );
  });

  it('are asked of the system', () => {
    let now = 0;
    const host = new OwnHost(() => now);
    const own = Object.values(networkInterfaces())
      .flatMap((all) => all ?? [])
      .map(({ address }) => parseIp(address.replace(/%.*/, '')))
      .filter((address) => address !== undefined);
    for (const address of own) assert.ok(host.has(address), formatIp(address));
    now = 10_000;
    assert.equal(host.has(parseIp('198.51.100.99') ?? assert.fail()), false);
  });

  it('are at both ends of a socket that leads back', () => {
    assert.ok(isSameHost('fe80::7%eth0', 'fe80::7'));
    assert.equal(isSameHost('192.0.2.7', '192.0.2.8'), false);
    assert.equal(isSameHost(undefined, undefined), false);
  });
});
