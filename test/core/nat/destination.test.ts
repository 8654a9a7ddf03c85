/** Where flows may lead. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type DestinationWorld, destinationOf, isSpecialAddress } from '../../../src/core/nat/destination.ts';
import { formatEndpoint } from '../../../src/core/wire/ip-address.ts';
import { ipOf } from '../ip/stack-pair.ts';
import { OWN, WORLD } from './nat-pair.ts';

function lead(protocol: 'tcp' | 'udp', host: string, port: number, world: Partial<DestinationWorld> = {}): string {
  const destination = destinationOf(protocol, { address: ipOf(host), port }, undefined, { ...WORLD, ...world });
  return 'refused' in destination ? destination.refused : destination.targets.map(formatEndpoint).join(' ');
}

describe('the destination of a flow', () => {
  it('is the host that was asked for, of either family', () => {
    assert.equal(lead('tcp', '192.0.2.80', 80), '192.0.2.80:80');
    assert.equal(lead('udp', '2001:db8::1', 53), '[2001:db8::1]:53');
  });

  it('is nothing special', () => {
    const special = [
      ...[
        '0.0.0.0',
        '0.1.2.3',
        '127.0.0.1',
        '127.255.255.255',
        '169.254.169.254',
        '224.0.0.1',
        '239.1.1.1',
        '240.0.0.1',
        '255.255.255.255',
      ],
      ...['fd00:ec2::254', 'fd00:ec2::23', 'fd20:ce::254', '168.63.129.16', '100.100.100.200', '192.0.0.192'],
      ...['64:ff9b::127.0.0.1', '64:ff9b::169.254.169.254', '64:ff9b::168.63.129.16', '64:ff9b::0.0.0.1'],
      ...['::', '::1', '::127.0.0.1', '::ffff:127.0.0.1', '::ffff:192.0.2.80', 'fe80::1', 'febf::1', 'ff02::1'],
    ];
    for (const host of special) assert.equal(lead('tcp', host, 80), 'special-address', host);
    for (const host of [
      '1.0.0.1',
      '126.1.1.1',
      '128.0.0.1',
      '169.253.1.1',
      '223.255.255.255',
      '2000::1',
      'fc00::1',
      'fec0::1',
      'fd00:ec2::253',
      '64:ff9b::192.0.2.80',
      '168.63.129.17',
    ]) {
      assert.equal(isSpecialAddress(ipOf(host)), false, host);
    }
    assert.equal(lead('udp', '192.0.2.80', 0), 'special-address', 'no socket can be connected to port 0');
  });

  it('is no address of the gateway’s machine', () => {
    assert.equal(lead('tcp', '192.0.2.80', 22, { isOwnHost: (address) => address.bytes[3] === 80 }), 'own-host');
  });

  it('is a service where the administrator has one, of that protocol only', () => {
    const services = [{ protocol: 'tcp', port: 80, target: { address: ipOf('127.0.0.1'), port: 8080 } }] as const;
    assert.equal(lead('tcp', '10.77.0.1', 80, { services }), '127.0.0.1:8080');
    assert.equal(lead('tcp', 'fd77::1', 80, { services }), '127.0.0.1:8080');
    assert.equal(lead('udp', '10.77.0.1', 80, { services }), 'closed');
    assert.equal(lead('tcp', '10.77.0.1', 81, { services }), 'closed');
  });

  it('is this host’s name servers at port 53 of the gateway, unless that is a service', () => {
    const resolvers = ['127.0.0.53', '192.0.2.53'].map((host) => ({ address: ipOf(host), port: 53 }));
    assert.equal(lead('udp', '10.77.0.1', 53, { resolvers }), '127.0.0.53:53 192.0.2.53:53');
    assert.equal(lead('tcp', '10.77.0.1', 53, { resolvers }), '127.0.0.53:53 192.0.2.53:53');
    assert.equal(lead('udp', '10.77.0.1', 53), 'closed');
    const services = [{ protocol: 'udp', port: 53, target: { address: OWN, port: 1 } }] as const;
    assert.equal(lead('udp', '10.77.0.1', 53, { resolvers, services }), '10.77.0.1:1');
  });
});
