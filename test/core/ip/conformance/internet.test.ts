/** IP, ICMP and UDP, packet by packet: RFC 791, 8200, 1122, 792, 4443, 768, 1191, 8201, 5722, 5927. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { i32, putU16, u16 } from '../../../../src/core/ip/byte-order.ts';
import { checksumOf, sumWords } from '../../../../src/core/ip/checksum.ts';
import { fragmentsOf } from '../../../../src/core/ip/fragmentation.ts';
import { icmpPacket } from '../../../../src/core/ip/icmp-message.ts';
import { udpPacket } from '../../../../src/core/ip/udp.ts';
import { ipOf } from '../stack-pair.ts';
import { PacketScript } from './packet-script.ts';

const PEER_PORT = 9_000;

function ends(script: PacketScript) {
  return { from: { address: script.peer, port: PEER_PORT }, to: { address: script.local, port: 53 } };
}

/** Type and code of the ICMP message that the stack sent last. */
function lastIcmp(script: PacketScript): readonly [type: number, code: number] | undefined {
  script.pump();
  const packet = script.others.at(-1);
  const at = script.family === 4 ? 20 : 40;
  return packet && [packet[at] ?? -1, packet[at + 1] ?? -1];
}

function echoRequest(script: PacketScript, length: number): Uint8Array {
  const type = script.family === 4 ? 8 : 128;
  return icmpPacket(script.family, script.peer.bytes, script.local.bytes, {
    type,
    code: 0,
    rest: 0x1234_0007,
    body: new Uint8Array(length).fill(7),
  });
}

for (const family of [4, 6] as const) {
  const header = family === 4 ? 20 : 40;
  describe(`IPv${family}`, () => {
    it('RFC 792, RFC 4443 §4.2: answers an echo request with what was in it', () => {
      const script = new PacketScript({ family });
      script.deliver(echoRequest(script, 100));
      assert.deepEqual(lastIcmp(script), [family === 4 ? 0 : 129, 0]);
      const answer = script.others[0] ?? new Uint8Array();
      assert.deepEqual([answer.length, i32(answer, header + 4), answer[header + 8]], [header + 108, 0x1234_0007, 7]);
    });

    it('RFC 1122 §3.3.2: puts fragments together, in any order', () => {
      const script = new PacketScript({ family });
      const fragments = fragmentsOf(echoRequest(script, 5_000), 1_300, 42);
      assert.ok(fragments.length >= 4);
      for (const fragment of fragments.reverse()) script.deliver(fragment);
      script.pump();
      assert.equal(
        script.others.length > 1 && script.others.every((packet) => packet.length <= 1_500),
        true,
        'the answer is in fragments, too',
      );
    });

    it('RFC 5722 §4: overlapping fragments drop the whole', () => {
      const script = new PacketScript({ family });
      const [first, second] = fragmentsOf(echoRequest(script, 2_000), 1_300, 42);
      assert.ok(first && second);
      script.deliver(first);
      const overlapping = fragmentsOf(echoRequest(script, 2_000), 1_292, 42)[1];
      assert.ok(overlapping);
      script.deliver(overlapping);
      script.deliver(second);
      script.pump();
      assert.deepEqual([script.others.length, script.stack.counters.dropped['reassembly-overlap']], [0, 1]);
    });

    it('RFC 8200 §4.5: the same fragment twice is no overlap', () => {
      const script = new PacketScript({ family });
      const fragments = fragmentsOf(echoRequest(script, 1_400), 1_300, 42);
      for (const fragment of [...fragments.slice(0, 1), ...fragments]) script.deliver(fragment);
      assert.deepEqual(lastIcmp(script), [family === 4 ? 0 : 129, 0]);
    });

    it('RFC 792, RFC 4443 §3.3: says that fragments did not come in time, if it has the first', () => {
      for (const which of [0, 1]) {
        const script = new PacketScript({ family });
        const datagram = udpPacket(ends(script).from, ends(script).to, new Uint8Array(2_000));
        const fragment = fragmentsOf(datagram, 1_300, 42)[which];
        assert.ok(fragment);
        script.deliver(fragment);
        script.wait(60_001);
        assert.deepEqual(lastIcmp(script), which === 0 ? [family === 4 ? 11 : 3, 1] : undefined);
        assert.equal(script.stack.counters.dropped['reassembly-timeout'], 1);
      }
    });

    it('keeps no more fragments than its limits', () => {
      const script = new PacketScript({ family, limits: { reassemblies: 10, reassemblyBytes: 5_000 } });
      for (let id = 0; id < 100; id++) {
        const fragment = fragmentsOf(echoRequest(script, 2_000), 1_300, id)[0];
        assert.ok(fragment);
        script.deliver(fragment);
      }
      script.wait(60_001);
      assert.ok(script.stack.counters.dropped['reassembly-timeout'] <= 10);
      assert.equal(script.stack.nextTimeout(), undefined);
    });

    it('RFC 1122 §3.2.2.1, RFC 4443 §3.1: says that nobody has a UDP port, and quotes what came', () => {
      const script = new PacketScript({ family });
      const { from, to } = ends(script);
      const datagram = udpPacket(from, to, Uint8Array.of(1, 2, 3));
      script.deliver(datagram);
      assert.deepEqual(lastIcmp(script), family === 4 ? [3, 3] : [1, 4]);
      assert.deepEqual(script.others[0]?.subarray(header + 8), datagram);
    });

    it('RFC 1122 §3.2.2, RFC 4443 §3.4: says that it does not know a protocol', () => {
      const script = new PacketScript({ family });
      const { from, to } = ends(script);
      const packet = udpPacket(from, to, Uint8Array.of(1));
      packet[family === 4 ? 9 : 6] = 132;
      if (family === 4) {
        putU16(packet, 10, 0);
        putU16(packet, 10, checksumOf(sumWords(packet, 0, 20)));
      }
      script.deliver(packet);
      assert.deepEqual(lastIcmp(script), family === 4 ? [3, 2] : [4, 1]);
    });

    it('RFC 1122 §3.2.2, RFC 4443 §2.4: never answers an error with an error', () => {
      const script = new PacketScript({ family });
      const body = udpPacket(ends(script).to, ends(script).from, Uint8Array.of(1));
      const type = family === 4 ? 3 : 1;
      script.deliver(icmpPacket(family, script.peer.bytes, script.local.bytes, { type, code: 3, rest: 0, body }));
      script.deliver(icmpPacket(family, script.peer.bytes, script.local.bytes, { type: family === 4 ? 5 : 100, code: 0, rest: 0, body }));
      assert.equal(lastIcmp(script), undefined);
    });

    it('RFC 1122 §3.2.1.3, RFC 4291 §2.7: takes nothing from or for many, and nothing for others', () => {
      const script = new PacketScript({ family });
      const { from, to } = ends(script);
      const many = ipOf(family === 4 ? '224.0.0.1' : 'ff02::1');
      const stranger = ipOf(family === 4 ? '10.9.0.77' : 'fd09::77');
      script.deliver(udpPacket({ address: many, port: 1 }, to, new Uint8Array(1)));
      script.deliver(udpPacket(from, { address: many, port: 1 }, new Uint8Array(1)));
      script.deliver(udpPacket(from, { address: stranger, port: 1 }, new Uint8Array(1)));
      script.deliver(udpPacket({ address: script.local, port: 1 }, to, new Uint8Array(1)));
      assert.equal(lastIcmp(script), undefined);
      assert.deepEqual([script.stack.counters.dropped['bad-source'], script.stack.counters.dropped['not-ours']], [2, 2]);
    });

    it('RFC 1812 §4.3.2.8, RFC 4443 §2.4 (f): limits its errors', () => {
      const script = new PacketScript({ family, limits: { repliesPerSecond: 10 } });
      const { from, to } = ends(script);
      for (let i = 0; i < 100; i++) script.deliver(udpPacket(from, to, new Uint8Array(1)));
      script.pump();
      assert.ok(script.others.length >= 10 && script.others.length <= 11, `${script.others.length}`);
    });

    it('RFC 768: gives a datagram to the socket of its port, and sends from it', () => {
      const script = new PacketScript({ family });
      const { from, to } = ends(script);
      const socket = script.stack.openUdp(family, { port: 53 });
      script.deliver(udpPacket(from, to, Uint8Array.of(1, 2)));
      const datagram = socket.receive();
      assert.deepEqual([datagram?.bytes, datagram?.from.port], [Uint8Array.of(1, 2), PEER_PORT]);
      assert.equal(socket.send(Uint8Array.of(3), from), 'sent');
      script.pump();
      const sent = script.others[0] ?? new Uint8Array();
      assert.deepEqual([u16(sent, header), u16(sent, header + 2), sent[header + 8]], [53, PEER_PORT, 3]);
    });

    it('RFC 768, RFC 8200 §8.1: a datagram without a checksum counts over IPv4 only', () => {
      const script = new PacketScript({ family });
      const { from, to } = ends(script);
      const socket = script.stack.openUdp(family, { port: 53 });
      const packet = udpPacket(from, to, Uint8Array.of(1, 2));
      putU16(packet, header + 6, 0);
      script.deliver(packet);
      assert.equal(socket.receive() !== undefined, family === 4);
    });

    it('RFC 768: drops a datagram with a wrong checksum or length', () => {
      const script = new PacketScript({ family });
      const { from, to } = ends(script);
      const socket = script.stack.openUdp(family, { port: 53 });
      const wrong = udpPacket(from, to, Uint8Array.of(1, 2));
      putU16(wrong, header + 6, u16(wrong, header + 6) ^ 1);
      const long = udpPacket(from, to, Uint8Array.of(1, 2));
      putU16(long, header + 4, 500);
      const short = udpPacket(from, to, Uint8Array.of(1, 2));
      putU16(short, header + 4, 7);
      for (const packet of [wrong, long, short]) script.deliver(packet);
      assert.equal(socket.receive(), undefined);
      assert.deepEqual([script.stack.counters.dropped['bad-checksum'], script.stack.counters.dropped.malformed], [1, 2]);
    });

    it('drops datagrams that nobody takes in time', () => {
      const script = new PacketScript({ family, limits: { datagramBuffer: 10_000 } });
      const { from, to } = ends(script);
      const socket = script.stack.openUdp(family, { port: 53 });
      for (let i = 0; i < 100; i++) script.deliver(udpPacket(from, to, new Uint8Array(1_000)));
      let taken = 0;
      while (socket.receive() !== undefined) taken++;
      assert.ok(taken > 5 && taken < 10);
      assert.equal(script.stack.counters.dropped['socket-full'], 100 - taken);
    });

    it('RFC 1191 §3, RFC 8201 §4: makes segments smaller when a router says so, and sends them again', () => {
      const script = new PacketScript({ family });
      const server = script.accepted({ mss: 1_440 });
      script.write(server, 5_000);
      const before = script.take();
      assert.ok(before[0] !== undefined && before[0].len >= 1_400);
      tooBig(script, before[0].rawSeq, 1_280);
      const after = script.take();
      assert.equal(after[0]?.seq, 1);
      assert.ok(after.every(({ len }) => len + header + 20 <= 1_280));
    });

    it('RFC 5927 §4.1: believes no router that quotes what is not on its way', () => {
      const script = new PacketScript({ family });
      const server = script.accepted({ mss: 1_440 });
      script.write(server, 5_000);
      const [first] = script.take();
      assert.ok(first);
      tooBig(script, first.rawSeq + 100_000, 1_280);
      tooBig(script, first.rawSeq - 10, 1_280);
      assert.deepEqual(script.take(), []);
      assert.equal(server.statistics().segment, 1_440);
    });

    it('RFC 5927 §7.2: believes no router that quotes a datagram which nobody here sends', () => {
      const script = new PacketScript({ family });
      const quoting = (protocol: number, bytes: readonly number[]) => {
        const body = quotedSegment(script, 0, 53);
        body[family === 4 ? 9 : 6] = protocol;
        body.set(bytes, header);
        const [type, code] = family === 4 ? [3, 4] : [2, 0];
        script.deliver(icmpPacket(family, script.peer.bytes, script.local.bytes, { type, code, rest: 1_280, body }));
      };
      const [echo, request] = family === 4 ? [1, 8] : [58, 128];
      quoting(17, [0, 53]); // UDP
      quoting(132, [0, 53]); // SCTP
      quoting(echo, [request, 0, 0, 0, 0x12, 0x34]);
      const server = script.accepted({ mss: 1_440 });
      assert.equal(server.statistics().segment, 1_440);
      const socket = script.stack.openEcho(script.peer);
      quoting(echo, [request, 0, 0, 0, socket.identifier >>> 8, socket.identifier & 0xff]);
      script.write(server, 5_000);
      tooBig(script, script.take()[0]?.rawSeq ?? 0, 1_400); // it looks at what is known of the path
      assert.equal(server.statistics().segment, 1_280 - header - 20);
    });

    it('believes a router that quotes a datagram of a socket', () => {
      const script = new PacketScript({ family });
      script.stack.openUdp(family, { port: 53 });
      const body = udpPacket({ address: script.local, port: 53 }, { address: script.peer, port: PEER_PORT }, new Uint8Array(1_400));
      const [type, code] = family === 4 ? [3, 4] : [2, 0];
      script.deliver(icmpPacket(family, script.peer.bytes, script.local.bytes, { type, code, rest: 1_280, body }));
      assert.equal(script.accepted({ mss: 1_440 }).statistics().segment, 1_280 - header - 20);
    });

    it('does not let a router make segments senselessly small', () => {
      const script = new PacketScript({ family });
      const server = script.accepted({ mss: 1_440 });
      script.write(server, 5_000);
      const [first] = script.take();
      assert.ok(first);
      tooBig(script, first.rawSeq, 68);
      assert.equal(server.statistics().segment, (family === 4 ? 552 : 1_280) - header - 20);
    });

    it('RFC 5461 §4: an unreachable host ends an attempt, and no connection that is made', () => {
      const script = new PacketScript({ family });
      const client = script.connect();
      const syn = script.expect('S');
      unreachable(script, syn.rawSeq, client.local.port);
      assert.deepEqual([client.state, client.error], ['closed', 'host-unreachable']);

      const other = new PacketScript({ family });
      const server = other.accepted({ mss: 1_440 });
      other.write(server, 100);
      const [data] = other.take();
      assert.ok(data);
      unreachable(other, data.rawSeq, 80);
      assert.equal(server.state, 'established');
    });

    it('tells a UDP socket that nobody listens at the other end', () => {
      const script = new PacketScript({ family });
      const { from } = ends(script);
      const socket = script.stack.openUdp(family, { port: 53 });
      socket.send(Uint8Array.of(1), from);
      script.pump();
      const body = script.others[0] ?? new Uint8Array();
      const [type, code] = family === 4 ? [3, 3] : [1, 4];
      script.deliver(icmpPacket(family, script.peer.bytes, script.local.bytes, { type, code, rest: 0, body }));
      assert.deepEqual(socket.takeError(), { error: 'port-unreachable', to: from });
    });
  });
}

function quotedSegment(script: PacketScript, sequence: number, localPort: number): Uint8Array {
  const remote = { address: script.peer, port: 4_000 };
  const packet = udpPacket({ address: script.local, port: localPort }, remote, new Uint8Array(1_400));
  const at = script.family === 4 ? 20 : 40;
  packet[script.family === 4 ? 9 : 6] = 6;
  new DataView(packet.buffer).setInt32(at + 4, sequence);
  return packet;
}

function tooBig(script: PacketScript, sequence: number, mtu: number): void {
  const [type, code] = script.family === 4 ? [3, 4] : [2, 0];
  const body = quotedSegment(script, sequence, 80);
  script.deliver(icmpPacket(script.family, script.peer.bytes, script.local.bytes, { type, code, rest: mtu, body }));
}

function unreachable(script: PacketScript, sequence: number, localPort: number): void {
  const [type, code] = script.family === 4 ? [3, 1] : [1, 3];
  const body = quotedSegment(script, sequence, localPort);
  script.deliver(icmpPacket(script.family, script.peer.bytes, script.local.bytes, { type, code, rest: 0, body }));
}

describe('IPv4 and IPv6 headers', () => {
  it('RFC 791 §3.1: drops what is cut, and what has a wrong checksum', () => {
    const script = new PacketScript();
    const packet = echoRequest(script, 10);
    for (const length of [0, 1, 19, packet.length - 1]) script.deliver(packet.subarray(0, length));
    const wrong = Uint8Array.from(packet);
    wrong[8] = 1;
    script.deliver(wrong);
    assert.equal(lastIcmp(script), undefined);
    assert.deepEqual([script.stack.counters.dropped.malformed, script.stack.counters.dropped['bad-checksum']], [4, 1]);
  });

  it('RFC 791 §3.1: takes a packet with options, and with padding behind it', () => {
    const script = new PacketScript();
    const plain = echoRequest(script, 10);
    const packet = new Uint8Array(plain.length + 8 + 20);
    packet.set(plain.subarray(0, 20));
    packet.fill(1, 20, 28); // eight NOPs
    packet.set(plain.subarray(20), 28);
    packet[0] = 0x47;
    putU16(packet, 2, plain.length + 8);
    putU16(packet, 10, 0);
    putU16(packet, 10, checksumOf(sumWords(packet, 0, 28)));
    script.deliver(packet);
    assert.deepEqual(lastIcmp(script), [0, 0]);
  });

  it('RFC 8200 §4: walks extension headers, up to a limit', () => {
    for (const [count, isTaken] of [
      [1, true],
      [8, true],
      [9, false],
    ] as const) {
      const script = new PacketScript({ family: 6 });
      const plain = echoRequest(script, 10);
      const packet = new Uint8Array(plain.length + 8 * count);
      packet.set(plain.subarray(0, 40));
      packet.set(plain.subarray(40), 40 + 8 * count);
      packet[6] = 60;
      for (let i = 0; i < count; i++) packet.set([i === count - 1 ? 58 : 60, 0, 1, 4, 0, 0, 0, 0], 40 + 8 * i);
      putU16(packet, 4, packet.length - 40);
      script.deliver(packet);
      assert.equal(lastIcmp(script) !== undefined, isTaken, `${count} headers`);
    }
  });

  it('RFC 6946: an atomic fragment is whole', () => {
    const script = new PacketScript({ family: 6 });
    const [atomic, ...rest] = fragmentsOf(echoRequest(script, 10), 1_300, 7);
    assert.ok(atomic && rest.length === 0);
    script.deliver(atomic);
    assert.deepEqual(lastIcmp(script), [129, 0]);
  });
});
