import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { flowHash } from '../../../src/node/engine/flow-hash.ts';
import { ipv4Icmp, ipv4Udp } from '../../support/traffic-peer.ts';

const hashOf = (packet: Uint8Array) => flowHash(new DataView(packet.buffer, packet.byteOffset, packet.length), 0, packet.length);
const udp = (from: number, to: number, length = 1) => ipv4Udp('10.9.0.2', '10.9.0.1', from, to, Buffer.alloc(length));

/** Next header, addresses' last byte, ports. */
function ipv6(next: number, last: number, ports: number): Buffer {
  const packet = Buffer.alloc(60);
  packet[0] = 0x60;
  packet[6] = next;
  packet[8] = 0xfd;
  packet[24] = 0xfd;
  packet[39] = last;
  packet.writeUInt32BE(ports, 40);
  return packet;
}

/** How many of eight places so many flows take, and how many the fullest has. */
function placesOf(flows: readonly Uint8Array[]): { readonly taken: number; readonly most: number } {
  const counts = new Array<number>(8).fill(0);
  for (const flow of flows) counts[hashOf(flow) % 8] = (counts[hashOf(flow) % 8] ?? 0) + 1;
  return { taken: counts.filter((count) => count > 0).length, most: Math.max(...counts) };
}

describe('flow hash', () => {
  it('is the same for the packets of a flow, whatever they hold', () => {
    assert.equal(hashOf(udp(1, 2)), hashOf(udp(1, 2, 1000)));
    assert.equal(hashOf(ipv6(6, 1, 7)), hashOf(ipv6(6, 1, 7)));
  });

  it('is the same for what is answered', () => {
    for (let port = 1; port < 60_000; port += 999) {
      assert.equal(
        hashOf(ipv4Udp('10.9.0.2', '10.9.0.9', port, 443, Buffer.of(1))),
        hashOf(ipv4Udp('10.9.0.9', '10.9.0.2', 443, port, Buffer.of(1))),
      );
      const there = ipv6(6, port % 256, port * 65_536 + 443);
      const back = Buffer.concat([
        there.subarray(0, 8),
        there.subarray(24, 40),
        there.subarray(8, 24),
        there.subarray(42, 44),
        there.subarray(40, 42),
      ]);
      assert.equal(hashOf(there), hashOf(back));
    }
  });

  it('spreads flows that differ in a port, or in an address', () => {
    const flows = [
      Array.from({ length: 64 }, (_, i) => udp(40_000 + i, 443)),
      Array.from({ length: 64 }, (_, i) => udp(443, 40_000 + 2 * i)),
      Array.from({ length: 64 }, (_, i) => ipv4Udp('10.9.0.2', `10.9.0.${i}`, 1, 2, Buffer.alloc(1))),
      Array.from({ length: 64 }, (_, i) => ipv6(17, 1, 40_000 + i)),
      Array.from({ length: 64 }, (_, i) => ipv6(58, i, 0)),
    ];
    for (const each of flows) {
      const { taken, most } = placesOf(each);
      assert.ok(taken === 8 && most < 24, JSON.stringify({ taken, most }));
    }
  });

  it('looks at ports only where they are: not in fragments, whose later ones have none, nor in ICMP', () => {
    const [first, second] = [udp(1, 2), udp(3, 4)];
    for (const packet of [first, second]) packet.writeUInt16BE(0x2000, 6);
    assert.equal(hashOf(first), hashOf(second));
    second.writeUInt16BE(0x00b9, 6);
    assert.equal(hashOf(first), hashOf(second));
    assert.notEqual(hashOf(udp(1, 2)), hashOf(udp(3, 4)));
    const pings = ['one', 'two'].map((text) => ipv4Icmp('10.9.0.2', '10.9.0.1', 8, 0, 1, Buffer.from(text)));
    assert.equal(hashOf(pings[0] ?? assert.fail()), hashOf(pings[1] ?? assert.fail()));
    assert.equal(hashOf(ipv6(44, 1, 5)), hashOf(ipv6(44, 1, 6)), 'nor behind a header of fragments');
  });

  it('reads nothing behind a packet that is cut short', () => {
    const view = new DataView(Uint8Array.from(udp(1, 2)).buffer);
    view.setUint8(0, 0x4f);
    assert.equal(flowHash(view, 0, view.byteLength), flowHash(view, 0, 20));
    assert.equal(flowHash(view, 0, 19), 0);
    assert.equal(flowHash(new DataView(Uint8Array.of(0x60).buffer), 0, 1), 0);
  });

  it('needs no options looked at: the ports are behind them', () => {
    const plain = udp(5, 6);
    const optioned = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(4, 1), plain.subarray(20)]);
    optioned[0] = 0x46;
    assert.equal(hashOf(optioned), hashOf(plain));
  });
});
