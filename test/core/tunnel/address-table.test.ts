import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { AddressTable } from '../../../src/core/tunnel/address-table.ts';
import { type Cidr, networkOf, parseCidr, parseIp, sameIp } from '../../../src/core/wire/ip-address.ts';

const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);

/** The header of a packet to this address, somewhere in a buffer. */
function packetTo(text: string): Uint8Array {
  const { family, bytes } = parseIp(text) ?? assert.fail(text);
  const header = new Uint8Array(5 + 40);
  header[5] = family << 4;
  header.set(bytes, 5 + (family === 4 ? 16 : 24));
  return header;
}

describe('address table', () => {
  it('finds the network with the longest prefix, of the packet’s family', () => {
    const table = new AddressTable<string>();
    table.set(cidr('10.0.0.0/8'), 'eight');
    table.set(cidr('10.1.2.0/24'), 'twenty-four');
    table.set(cidr('10.1.2.3/32'), 'one');
    table.set(cidr('fd00:1::/64'), 'six');
    const of = (address: string) => table.ofPacket(packetTo(address), 5);
    assert.equal(of('10.1.2.3'), 'one');
    assert.equal(of('10.1.2.4'), 'twenty-four');
    assert.equal(of('10.9.9.9'), 'eight');
    assert.equal(of('11.0.0.1'), undefined);
    assert.equal(of('fd00:1::99'), 'six');
    assert.equal(of('fd00:2::99'), undefined);
  });

  it('replaces a value, and takes a network away only for its owner', () => {
    const table = new AddressTable<string>();
    const network = cidr('10.0.0.7/32');
    table.set(network, 'old');
    table.set(network, 'new');
    table.delete(network, 'old');
    assert.equal(table.ofPacket(packetTo('10.0.0.7'), 5), 'new');
    table.delete(network, 'new');
    assert.equal(table.ofPacket(packetTo('10.0.0.7'), 5), undefined);
    table.delete(network, 'new');
  });

  it('agrees with a list that is searched from end to end', () => {
    const network = fc
      .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }), fc.integer({ min: 20, max: 32 }))
      .map(([a, b, prefix]) => networkOf({ address: { family: 4, bytes: Uint8Array.of(10, 0, a, b) }, prefix }));
    fc.assert(
      fc.property(
        fc.array(network, { maxLength: 12 }),
        fc.array(fc.nat(11), { maxLength: 4 }),
        fc.nat(3),
        fc.nat(3),
        (networks, gone, a, b) => {
          const table = new AddressTable<number>();
          const list: { readonly network: Cidr; readonly value: number }[] = [];
          for (const [value, one] of networks.entries()) {
            table.set(one, value);
            const same = list.findIndex((other) => other.network.prefix === one.prefix && sameIp(other.network.address, one.address));
            if (same >= 0) list.splice(same, 1);
            list.push({ network: one, value });
          }
          for (const index of gone) {
            const entry = list[index];
            if (entry === undefined) continue;
            table.delete(entry.network, entry.value);
            list.splice(index, 1);
          }
          const address = { family: 4 as const, bytes: Uint8Array.of(10, 0, a, b) };
          const expected = list
            .filter(({ network: { address: own, prefix } }) => sameIp(networkOf({ address, prefix }).address, own))
            .sort((x, y) => y.network.prefix - x.network.prefix)[0]?.value;
          assert.equal(table.ofPacket(packetTo(`10.0.${a}.${b}`), 5), expected);
        },
      ),
    );
  });
});
