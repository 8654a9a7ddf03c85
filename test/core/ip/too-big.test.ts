/** What becomes of packets that are too large for the way on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tooBig } from '../../../src/core/ip/too-big.ts';
import { checksumReference } from '../../reference/internet-checksum.ts';

function ipv4(length: number, flags: number, protocol = 17, type = 0): Uint8Array {
  const packet = new Uint8Array(length).fill(7);
  packet.set([
    0x45,
    0,
    length >>> 8,
    length & 0xff,
    0x12,
    0x34,
    flags >>> 8,
    flags & 0xff,
    64,
    protocol,
    0,
    0,
    10,
    0,
    0,
    1,
    10,
    0,
    0,
    2,
    type,
  ]);
  return packet;
}

function ipv6(length: number, next = 17, type = 128): Uint8Array {
  const packet = new Uint8Array(length).fill(7);
  packet.set([0x60, 0, 0, 0, (length - 40) >>> 8, (length - 40) & 0xff, next, 64]);
  packet.set([0xfd, ...new Uint8Array(14), 1, 0xfd, ...new Uint8Array(14), 2], 8);
  packet[40] = type;
  return packet;
}

describe('a packet that is too large', () => {
  it('of IPv4 that must not be cut is answered with the size that passes', () => {
    const verdict = tooBig(ipv4(1500, 0x4000), 1400);
    assert.equal(verdict.type, 'answer');
    const answer = verdict.type === 'answer' ? verdict.packet : assert.fail();
    assert.deepEqual([...answer.subarray(12, 20)], [10, 0, 0, 2, 10, 0, 0, 1]);
    assert.deepEqual([...answer.subarray(20, 22), (answer[26] ?? 0) * 256 + (answer[27] ?? 0)], [3, 4, 1400]);
    assert.deepEqual(answer.subarray(28), ipv4(1500, 0x4000).subarray(0, 548));
    assert.equal(checksumReference(answer.subarray(20)), 0);
  });

  it('of IPv6 is answered, and the answer fits every link', () => {
    const verdict = tooBig(ipv6(1500), 1400);
    const answer = verdict.type === 'answer' ? verdict.packet : assert.fail();
    assert.equal(answer.length, 1280);
    assert.deepEqual([answer[6], answer[40], answer[41]], [58, 2, 0]);
    assert.equal((answer[46] ?? 0) * 256 + (answer[47] ?? 0), 1400);
  });

  it('of IPv4 that may be cut is cut, and nothing is lost', () => {
    const packet = ipv4(3000, 0);
    const verdict = tooBig(packet, 1400);
    const fragments = verdict.type === 'fragments' ? verdict.packets : assert.fail();
    assert.ok(fragments.every(({ length }) => length <= 1400));
    assert.deepEqual(Buffer.concat(fragments.map((fragment) => fragment.subarray(20))), Buffer.from(packet.subarray(20)));
    assert.deepEqual(
      fragments.map((fragment) => [fragment[4], fragment[5], (fragment[6] ?? 0) >>> 5]),
      [
        [0x12, 0x34, 1],
        [0x12, 0x34, 1],
        [0x12, 0x34, 0],
      ],
    );
  });

  it('is dropped without a word where an answer would be one to an error, to many, or to a fragment', () => {
    const toMany = ipv4(1500, 0x4000);
    toMany[16] = 224;
    for (const packet of [ipv4(1500, 0x4000, 1, 3), ipv6(1500, 58, 1), toMany, ipv4(1500, 0x2000), ipv4(1500, 0x0010)]) {
      assert.deepEqual(tooBig(packet, 1400), { type: 'nothing' });
    }
  });
});
