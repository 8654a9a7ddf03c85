import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isIpPacket } from '../../../src/core/tunnel/inner-packet.ts';
import { packetOf } from '../../../src/core/tunnel/packet.ts';
import { SourceFilter } from '../../../src/core/tunnel/source-filter.ts';
import { type Cidr, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { fromHex } from '../../../src/core/wire/text.ts';

/** An IPv4 or IPv6 header that says the packet has this length, in `available` bytes. */
function packet(family: 4 | 6, length: number, available: number = length): Uint8Array {
  const bytes = new Uint8Array(available);
  const said = family === 4 ? length : length - 40;
  bytes[0] = family << 4;
  bytes[family === 4 ? 2 : 4] = said >>> 8;
  bytes[family === 4 ? 3 : 5] = said;
  return bytes;
}

const isPacket = (bytes: Uint8Array) => isIpPacket(bytes, 0, bytes.length);

describe('A packet inside a tunnel', () => {
  it('is IPv4 or IPv6, with at least a header', () => {
    assert.ok(isPacket(packet(4, 20)));
    assert.ok(isPacket(packet(6, 40)));
    assert.ok(!isPacket(packet(4, 19)));
    assert.ok(!isPacket(packet(6, 40, 39)));
    assert.ok(!isPacket(new Uint8Array(0)));
    for (const version of [0, 1, 2, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15]) {
      const bytes = packet(4, 100);
      bytes[0] = version << 4;
      assert.ok(!isPacket(bytes), `version ${version}`);
    }
  });

  it('is all there; bytes behind it do no harm', () => {
    for (const family of [4, 6] as const) {
      assert.ok(isPacket(packet(family, 1400)));
      assert.ok(isPacket(packet(family, 1400, 1500)));
      assert.ok(!isPacket(packet(family, 1400, 1399)));
    }
  });

  // Spec "AnyConnect", section 13.1: a router solicitation, as a Linux client sends it.
  it('can be a router solicitation', () => {
    const bytes = '6000000000083afffe800000000000005b8943b229c8d1e9ff0200000000000000000000000000028500e24900000000';
    assert.ok(isPacket(fromHex(bytes)));
  });

  it('is judged by its own bytes alone', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ maxLength: 80 }), (before, bytes) => {
        assert.equal(
          isIpPacket(Uint8Array.from([...before, ...bytes, 1, 2, 3]), before.length, before.length + bytes.length),
          isPacket(bytes),
        );
      }),
    );
  });
});

describe('SourceFilter', () => {
  const from = (source: string) => {
    const { family, bytes: address } = parseIp(source) ?? assert.fail();
    const bytes = packet(family, 60);
    bytes.set(address, family === 4 ? 12 : 8);
    return packetOf(bytes);
  };
  const filter = (...networks: string[]) => new SourceFilter(networks.map((text): Cidr => parseCidr(text) ?? assert.fail()));

  it('lets a client send from its own addresses only', () => {
    const own = filter('10.9.0.2', 'fd09::2');
    assert.ok(own.allows(from('10.9.0.2')));
    assert.ok(own.allows(from('fd09::2')));
    for (const other of ['10.9.0.3', '10.9.0.1', '0.0.0.0', 'fd09::3', 'fe80::2', '::ffff:10.9.0.2'])
      assert.ok(!own.allows(from(other)), other);
  });

  it('lets it send from networks behind it', () => {
    const router = filter('10.9.0.2', '192.168.64.0/20', 'fd64::/60');
    for (const source of ['192.168.64.0', '192.168.79.255', 'fd64:0:0:f::1']) assert.ok(router.allows(from(source)), source);
    for (const source of ['192.168.80.0', '192.168.63.255', 'fd64:0:0:10::1']) assert.ok(!router.allows(from(source)), source);
  });

  it('lets nobody send who has no address, and anyone whose network is everything', () => {
    assert.ok(!filter().allows(from('10.9.0.2')));
    assert.ok(filter('0.0.0.0/0').allows(from('10.9.0.2')));
    assert.ok(!filter('0.0.0.0/0').allows(from('fd09::2')));
  });
});
