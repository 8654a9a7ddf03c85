/** Random and mutated packets: the stack throws nothing, keeps to its limits, and still works afterwards. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { putU16 } from '../../../src/core/ip/byte-order.ts';
import { checksumOf, sumPseudoHeader, sumWords } from '../../../src/core/ip/checksum.ts';
import { IpPacket, PROTOCOL } from '../../../src/core/ip/ip-packet.ts';
import type { Millis } from '../../../src/core/tunnel/packet.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { sized } from '../../support/size.ts';
import { LEFT, LEFT6, RIGHT, StackPair } from './stack-pair.ts';
import { exchange, hashOf, patternOf } from './tcp/transfer.ts';

/** How long packets of all kinds come in one go. */
const FUZZ_TIME: Millis = sized(2_000, 300_000);

/** A busy machine does few in the time, and what is kept for good has not grown by then. */
const WARM_UP_PACKETS = 12_000;

/** What is kept for good grows to its limits within the first quarter; the rest is what V8 has not tidied up, and code that it compiles. */
const MAX_GROWTH = 3_000_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const LIMITS = {
  connections: 100,
  reassemblies: 20,
  reassemblyBytes: 50_000,
  outbox: 100_000,
  receiveMemory: 1_000_000,
  spareSendMemory: 500_000,
  timeWait: 20,
};

/** Puts right what random changes have broken, so that more than the first check is reached. */
function withChecksums(bytes: Uint8Array): Uint8Array {
  const packet = Uint8Array.from(bytes);
  if ((packet[0] ?? 0) >>> 4 === 4 && packet.length >= 20) {
    const header = Math.min(((packet[0] as number) & 15) * 4, packet.length);
    putU16(packet, 2, packet.length);
    putU16(packet, 10, 0);
    putU16(packet, 10, checksumOf(sumWords(packet, 0, header)));
  }
  const view = new IpPacket();
  if (view.parse(packet, 0, packet.length) !== undefined) return packet;
  const { protocol, payload, end, addressesAt, addressLength } = view;
  const field =
    protocol === PROTOCOL.tcp ? 16 : protocol === PROTOCOL.udp ? 6 : protocol === PROTOCOL.icmp || protocol === PROTOCOL.icmpv6 ? 2 : -1;
  if (field < 0 || end - payload < field + 2) return packet;
  putU16(packet, payload + field, 0);
  const pseudo = protocol === PROTOCOL.icmp ? 0 : sumPseudoHeader(packet, addressesAt, addressLength, protocol, end - payload);
  putU16(packet, payload + field, checksumOf(sumWords(packet, payload, end, pseudo)));
  return packet;
}

function mutated(packet: Uint8Array, random: SeededRandom): Uint8Array {
  const copy = Uint8Array.from(packet);
  const changes = 1 + (random.uint32() % 4);
  for (let i = 0; i < changes; i++) copy[random.uint32() % copy.length] = random.uint32();
  const cut = random.fraction() < 0.1 ? random.uint32() % copy.length : copy.length;
  return random.fraction() < 0.8 ? withChecksums(copy.subarray(0, cut)) : copy.subarray(0, cut);
}

describe('hostile packets', () => {
  it('random bytes as packets for us are weather', () => {
    const pair = new StackPair({ left: { limits: LIMITS } });
    pair.left.stack.listen(80);
    pair.left.stack.openUdp(4, { port: 53 });
    const heads = fc.constantFrom(4, 6);
    const protocols = fc.constantFrom(PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp, PROTOCOL.icmpv6, PROTOCOL.fragment, 0, 43, 60);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 60, maxLength: 300 }), heads, protocols, (bytes, family, protocol) => {
        const packet = Uint8Array.from(bytes);
        packet[0] = family === 4 ? 0x45 : 0x60;
        if (family === 4) {
          packet[9] = protocol;
          packet.set(LEFT.bytes, 16);
        } else {
          putU16(packet, 4, packet.length - 40);
          packet[6] = protocol;
          packet.set(LEFT6.bytes, 24);
        }
        pair.left.receive(withChecksums(packet));
      }),
      { numRuns: sized(3_000, 100_000) },
    );
    assert.ok(pair.left.stack.connections <= LIMITS.connections);
  });

  it('mutated packets of real connections break no other connection, and nothing grows beyond its limit', () => {
    const seeds = sized(3, 60);
    for (let seed = 1; seed <= seeds; seed++) {
      const random = new SeededRandom(seed);
      const seen: Uint8Array[] = [];
      let isReplaying = false;
      const pair = new StackPair(
        {
          link: { delay: 5, loss: 0.01 },
          left: { limits: LIMITS },
          right: { limits: LIMITS },
          tap: (packet) => {
            if (!isReplaying && seen.length < 2_000) seen.push(packet);
            return true;
          },
        },
        seed,
      );
      exchange(pair, 80, patternOf(100_000, seed), patternOf(50_000, seed), 600_000);
      pair.left.stack.listen(81);
      const client = pair.right.stack.connect({ address: LEFT, port: 81 }, pair.clock.now);
      pair.runUntil(() => client.isMade, 60_000); // the link loses packets
      isReplaying = true;
      for (let i = 0; i < sized(4_000, 20_000); i++) {
        const packet = seen[random.uint32() % seen.length];
        assert.ok(packet);
        const end = packet.subarray(16, 20).every((byte, at) => byte === RIGHT.bytes[at]) ? pair.right : pair.left;
        end.receive(mutated(packet, random));
        if (i % 100 === 0) pair.advance(10);
      }
      for (const { stack } of [pair.left, pair.right]) {
        assert.ok(stack.connections <= LIMITS.connections);
      }
      // Whoever was not attacked works as before.
      const up = patternOf(30_000, seed + 1);
      assert.equal(exchange(pair, 90, up, patternOf(10, 1), 600_000).atServer.hash, hashOf(up));
    }
  });

  it('packets of all kinds for minutes take no more memory than those of the first moments', (test) => {
    const seed = Date.now() >>> 0;
    test.diagnostic(`seed ${seed}`);
    const random = new SeededRandom(seed);
    const seen: Uint8Array[] = [];
    const pair = new StackPair({
      link: { delay: 5, loss: 0.01, jitter: 5 },
      left: { limits: LIMITS },
      right: { limits: LIMITS },
      tap: (packet) => {
        // The oldest make room: what is changed next is of connections that live.
        if (seen.length < 4_000) seen.push(packet);
        else seen[random.uint32() % seen.length] = packet;
        return true;
      },
    });
    const attack = (packets: number) => {
      for (let i = 0; i < packets; i++) {
        const packet = random.fraction() < 0.9 ? seen[random.uint32() % seen.length] : randomPacket(random);
        assert.ok(packet);
        const end = packet.subarray(16, 20).every((byte, at) => byte === RIGHT.bytes[at]) ? pair.right : pair.left;
        end.receive(mutated(packet, random));
        if (i % 100 === 0) pair.advance(10);
      }
    };
    const round = () => {
      const up = patternOf(20_000, random.uint32());
      assert.equal(exchange(pair, 80, up, patternOf(20_000, 1), 3_600_000).atServer.hash, hashOf(up), `seed ${seed}`);
      for (const port of [81, 82]) {
        const listener = pair.left.stack.listen(port);
        pair.right.stack.connect({ address: LEFT, port }, pair.clock.now);
        attack(1_000);
        listener.close();
      }
      pair.advance(120_000); // what is to time out does
    };
    const used = () => {
      seen.length = 0; // the test's own, megabytes more or less by the sizes of the packets in it
      // Buffers that were in use when a collection began go with the next.
      for (let i = 0; i < 3; i++) collectGarbage();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return heapUsed + arrayBuffers;
    };
    let packets = 0;
    const rounds = (duration: Millis, least = 0) => {
      for (const end = performance.now() + duration; performance.now() < end || packets < least; packets += 2_000) round();
    };
    rounds(FUZZ_TIME / 4, WARM_UP_PACKETS);
    const before = used();
    rounds((3 * FUZZ_TIME) / 4);
    const grown = used() - before;
    const { packetsIn, dropped } = pair.left.stack.counters;
    test.diagnostic(`${packets} packets in ${FUZZ_TIME / 1000} s; memory grew by ${Math.round(grown / 1024)} KB`);
    assert.ok(packetsIn > packets / 4 && dropped['bad-segment'] > 0 && dropped.malformed > 0);
    assert.ok(grown < MAX_GROWTH, `${grown} bytes more, seed ${seed}`);
  });
});

function randomPacket(random: SeededRandom): Uint8Array {
  const packet = Uint8Array.from({ length: 40 + (random.uint32() % 200) }, () => random.uint32());
  packet[0] = 0x45;
  packet[9] = [PROTOCOL.tcp, PROTOCOL.udp, PROTOCOL.icmp][random.uint32() % 3] as number;
  packet.set(random.fraction() < 0.5 ? RIGHT.bytes : LEFT.bytes, 16);
  return packet;
}
