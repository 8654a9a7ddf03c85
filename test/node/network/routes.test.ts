import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Cidr, formatCidr, formatIp, networkOf } from '../../../src/core/wire/ip-address.ts';
import { covers, halvesOf, hostNetwork, type MachineRoute, sameNetwork, wayTo } from '../../../src/node/network/routes.ts';
import { cidr, ip } from './samples.ts';

const networks: fc.Arbitrary<Cidr> = fc.oneof(
  fc.record({ address: fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => ({ family: 4 as const, bytes })), prefix: fc.nat(32) }),
  fc.record({
    address: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => ({ family: 6 as const, bytes })),
    prefix: fc.nat(128),
  }),
);

function route(destination: string, device: string, more: Partial<MachineRoute> = {}): MachineRoute {
  return {
    destination: cidr(destination),
    name: destination,
    metric: 0,
    hops: [{ device, isOnlink: false, isDead: false }],
    isSelective: false,
    ...more,
  };
}

describe('networks', () => {
  it('cover themselves, their parts, and nothing of the other family', () => {
    assert.ok(covers(cidr('10.0.0.0/8'), cidr('10.255.0.0/16')));
    assert.ok(!covers(cidr('10.255.0.0/16'), cidr('10.0.0.0/8')));
    assert.ok(!covers(cidr('10.0.0.0/8'), cidr('11.0.0.0/16')));
    assert.ok(covers(cidr('0.0.0.0/0'), cidr('255.255.255.255')));
    assert.ok(!covers(cidr('0.0.0.0/0'), cidr('::1')));
  });

  it('are the sum of their halves', () => {
    assert.deepEqual(halvesOf(cidr('0.0.0.0/0')).map(formatCidr), ['0.0.0.0/1', '128.0.0.0/1']);
    assert.deepEqual(halvesOf(cidr('2001:db8:8000::/33')).map(formatCidr), ['2001:db8:8000::/34', '2001:db8:c000::/34']);
    fc.assert(
      fc.property(networks, (network) => {
        const halves = halvesOf(network);
        if (network.prefix === network.address.bytes.length * 8) return assert.deepEqual(halves, []);
        const [lower, upper] = halves;
        assert.ok(lower !== undefined && upper !== undefined);
        assert.ok(covers(network, lower) && covers(network, upper));
        assert.ok(!covers(lower, upper) && !covers(upper, lower));
        assert.ok(sameNetwork(networkOf({ address: upper.address, prefix: network.prefix }), networkOf(network)));
        assert.equal(formatIp(lower.address), formatIp(networkOf(network).address));
      }),
    );
  });
});

describe('the way of a packet', () => {
  const target = hostNetwork(ip('10.1.2.3'));
  const deviceOf = (routes: readonly MachineRoute[], without?: string) => wayTo(target, routes, without)?.hop.device;

  it('is the longest prefix, then the lowest metric', () => {
    const routes = [
      route('0.0.0.0/0', 'a'),
      route('10.0.0.0/8', 'b', { metric: 10 }),
      route('10.0.0.0/8', 'c', { metric: 5 }),
      route('11.0.0.0/8', 'd'),
    ];
    assert.equal(deviceOf(routes), 'c');
    assert.equal(deviceOf(routes.toReversed()), 'c');
    assert.equal(deviceOf([route('::/0', 'a')]), undefined);
  });

  it('leaves out the tunnel, dead links, and routes that are not for all packets', () => {
    const dead = { hops: [{ device: 'dead', isOnlink: false, isDead: true }] };
    const routes = [
      route('0.0.0.0/0', 'a'),
      route('10.0.0.0/8', 'tun0'),
      route('10.1.0.0/16', 'x', dead),
      route('10.1.2.0/24', 'y', { isSelective: true }),
    ];
    assert.equal(deviceOf(routes, 'tun0'), 'a');
    assert.equal(deviceOf(routes), 'tun0');
  });

  it('is the first living hop of several', () => {
    const hops = ['dead', 'tun0', 'b'].map((device) => ({ device, isOnlink: false, isDead: device === 'dead' }));
    assert.equal(deviceOf([route('0.0.0.0/0', '', { hops })], 'tun0'), 'b');
  });

  it('is none where the route that wins says there is none', () => {
    assert.equal(deviceOf([route('0.0.0.0/0', 'a'), route('10.0.0.0/8', '', { hops: [] })]), undefined);
  });
});
