import assert from 'node:assert/strict';
import { isIP, SocketAddress } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  formatCidr,
  formatEndpoint,
  formatIp,
  type IpAddress,
  isInNetwork,
  netmaskOf,
  networkOf,
  parseCidr,
  parseIp,
  prefixOfNetmask,
  sameIp,
} from '../../../src/core/wire/ip-address.ts';

function ip(text: string): IpAddress {
  const address = parseIp(text);
  assert.ok(address, text);
  return address;
}

describe('IP addresses', () => {
  it('are written in the canonical form of RFC 5952', () => {
    for (const [text, canonical] of [
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['::', '::'],
      ['::1', '::1'],
      ['1::', '1::'],
      ['::ffff:192.0.2.1', '::ffff:c000:201'],
      ['192.0.2.1', '192.0.2.1'],
    ] as const) {
      assert.equal(formatIp(ip(text)), canonical, text);
    }
  });

  it('are accepted exactly where Node accepts them', () => {
    const piece = fc.constantFrom('0', '1', 'ff', 'abcd', ':', '::', '.', '255', '256', '01', '10', 'g', '12345', ' ');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const text = pieces.join('');
        assert.equal(parseIp(text)?.family ?? 0, isIP(text), text);
      }),
      { numRuns: 2000 },
    );
  });

  it('read back what they write, and agree with Node', () => {
    const bytes = fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 }));
    fc.assert(
      fc.property(bytes, (value) => {
        const address: IpAddress = { family: value.length === 4 ? 4 : 6, bytes: value };
        assert.ok(sameIp(ip(formatIp(address)), address));
        const family = address.family === 4 ? 'ipv4' : 'ipv6';
        assert.equal(new SocketAddress({ address: formatIp(address), family }).family, family);
      }),
    );
  });

  it('are bracketed in endpoints only for IPv6', () => {
    assert.equal(formatEndpoint({ address: ip('192.0.2.1'), port: 443 }), '192.0.2.1:443');
    assert.equal(formatEndpoint({ address: ip('fd99::1'), port: 4443 }), '[fd99::1]:4443');
  });
});

describe('networks', () => {
  it('are read with a length, a netmask or alone', () => {
    const text = (cidr: string) => {
      const network = parseCidr(cidr);
      return network && formatCidr(network);
    };
    assert.equal(text('10.1.2.3/255.255.0.0'), '10.1.2.3/16');
    assert.equal(text('10.1.2.3/8'), '10.1.2.3/8');
    assert.equal(text('10.1.2.3'), '10.1.2.3/32');
    assert.equal(text('fd00::/64'), 'fd00::/64');
    assert.equal(text('fd00::/ffff:ffff::'), 'fd00::/32');
    for (const wrong of ['10.1.2.3/33', 'fd00::/129', '10.0.0.0/255.0.255.0', '10.0.0.0/', '10.0.0.0/ffff::', 'host/8', '']) {
      assert.equal(text(wrong), undefined, wrong);
    }
  });

  it('turn prefix lengths into netmasks and back', () => {
    for (let prefix = 0; prefix <= 128; prefix++) {
      assert.equal(prefixOfNetmask(netmaskOf(6, prefix)), prefix);
      if (prefix <= 32) assert.equal(prefixOfNetmask(netmaskOf(4, prefix)), prefix);
    }
    assert.equal(prefixOfNetmask(ip('255.0.255.0')), undefined);
  });

  it('hold the addresses that are the same without their host bits, and no others', () => {
    const family = fc.constantFrom(4 as const, 6 as const);
    const pair = family.chain((family) => {
      const length = family === 4 ? 4 : 16;
      const bytes = fc.uint8Array({ minLength: length, maxLength: length });
      const near = fc.tuple(bytes, fc.nat(length * 8 - 1)).map(([one, bit]) => {
        const other = Uint8Array.from(one);
        other[bit >>> 3] = (other[bit >>> 3] ?? 0) ^ (0x80 >>> (bit & 7));
        return [one, other] as const;
      });
      return fc.tuple(fc.oneof(near, fc.tuple(bytes, bytes)), fc.nat(length * 8)).map(([[one, other], prefix]) => ({
        address: { family, bytes: one },
        network: { address: { family, bytes: other }, prefix },
      }));
    });
    fc.assert(
      fc.property(pair, ({ address, network }) => {
        const { prefix } = network;
        assert.equal(isInNetwork(address, network), sameIp(networkOf({ address, prefix }).address, networkOf(network).address));
      }),
    );
    assert.equal(isInNetwork(ip('10.0.0.1'), { address: ip('::'), prefix: 0 }), false, 'of the other family');
  });

  it('clear host bits', () => {
    assert.equal(formatCidr(networkOf({ address: ip('10.1.2.3'), prefix: 20 })), '10.1.0.0/20');
    assert.equal(formatCidr(networkOf({ address: ip('fd00::ffff'), prefix: 0 })), '::/0');
  });
});
