/** The words about Array's tunnel by UDP, and its channel at both ends: an association with its client's id in it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MovedServer } from '../../../../src/core/dtls/moved-association.ts';
import { DatagramChannel } from '../../../../src/core/protocols/array/datagram-channel.ts';
import { parseAnswer, parseHello, renderAnswer, renderHello, renderRequest } from '../../../../src/core/protocols/array/speed-tunnel.ts';
import { packetOf } from '../../../../src/core/tunnel/packet.ts';
import { parseIp } from '../../../../src/core/wire/ip-address.ts';
import { fromHex, toHex, utf8 } from '../../../../src/core/wire/text.ts';
import { SeededCrypto } from '../../../support/scripted-crypto.ts';
import { kindNamed, pairUp } from '../../dtls/associations.ts';
import { packetDown as down, numberedPacket as packet } from './numbered-packets.ts';

const ID = '37CF8025-705B-8086-1254-3BEC83E94038';
const KEEPALIVE = 10_000;

describe("Array's words about UDP", () => {
  it('are those of the specification', () => {
    assert.equal(
      toHex(renderRequest(ID)),
      '450000340000000000ff00000004000033374346383032352d373035422d383038362d313235342d334245433833453934303338',
    );
    const answer = '450000250000000000ff0000000400000000530044544c532053504545442054554e4e454c';
    assert.equal(toHex(renderAnswer(21_248)), answer);
    assert.equal(parseAnswer(fromHex(answer)), 21_248);
    assert.equal(toHex(renderHello(ID)), '33374346383032352d373035422d383038362d313235342d3342454338334539343033383133');
    assert.equal(parseHello(renderHello(ID)), ID);
  });

  it('are no for whatever is not DTLS, whole and with a port', () => {
    const answer = renderAnswer(21_248);
    const altered = (at: number, byte: number) => answer.map((own, i) => (i === at ? byte : own));
    const noPort = altered(18, 0).map((byte, i) => (i === 19 ? 0 : byte));
    for (const other of [answer.subarray(0, 36), Uint8Array.of(...answer, 0), altered(20, 0x64), noPort]) {
      assert.equal(parseAnswer(other), undefined);
    }
    for (const text of [`${ID}`, `${ID}14`, `${ID}13 `, `${ID.replace('-', 'x')}13`, '']) assert.equal(parseHello(utf8(text)), undefined);
  });
});

describe("a channel of Array's", () => {
  function channels() {
    const dtls = pairUp(kindNamed('PSK, DTLS 1.0'));
    const remote = { address: parseIp('192.0.2.1') ?? assert.fail(), port: 443 };
    const options = { facts: { remote }, dpd: KEEPALIVE };
    const client = new DatagramChannel({ ...options, dtls: dtls.left, hello: renderHello(ID) });
    const gateway = new DatagramChannel({ ...options, dtls: dtls.right, dpd: 0 });
    const { left, right } = dtls.sinks;
    /** What either says goes to the other, until nothing is said. */
    const pass = (now: number) => {
      while (left.records.length + right.records.length > 0) {
        for (const bytes of left.take()) gateway.receive(bytes, now, right);
        for (const bytes of right.take()) client.receive(bytes, now, left);
      }
    };
    // DTLS is up at both ends: the client finds so with the next thing that comes.
    gateway.accept(0, right);
    return { client, gateway, sinks: dtls.sinks, pass };
  }

  it('says its id each second until the gateway is heard, and is up by an echo as well, if that is all that comes', () => {
    const { client, sinks, pass } = channels();
    pass(0);
    assert.equal(client.phase, 'up', 'the first thing was the answer');
    const late = channels();
    late.sinks.right.take(); // lost
    late.gateway.send(packetOf(down(1)), 0, late.sinks.right);
    late.pass(0);
    assert.equal(late.client.phase, 'up', 'a packet is an answer');
    assert.deepEqual(late.sinks.left.packets, [down(1)]);
    assert.equal(sinks.left.packets.length, 0);
  });

  it('is answered once more, and its question comes back as it was; the gateway’s is not answered', () => {
    const { client, gateway, sinks, pass } = channels();
    pass(0);
    client.handleTimeout(KEEPALIVE, sinks.left);
    assert.equal(sinks.left.records.length, 1);
    pass(KEEPALIVE);
    assert.equal(client.nextTimeout(), 2 * KEEPALIVE, 'it was answered');
    assert.deepEqual([sinks.left.records.length, sinks.right.packets], [0, []]);
    assert.equal(gateway.nextTimeout(), undefined);
  });

  it('drops what would pass for a control packet, both ways', () => {
    const { client, gateway, sinks, pass } = channels();
    pass(0);
    const reserved = packet(1);
    reserved[9] = 255;
    reserved[0] = 0x46;
    assert.equal(client.send(packetOf(reserved), 0, sinks.left), true);
    assert.deepEqual([sinks.left.records.length, client.dropped, gateway.dropped], [0, 1, 0]);
  });

  it('has no room for a packet that is longer than its peer takes', () => {
    const { left, right, sinks } = pairUp(kindNamed('PSK, DTLS 1.0'));
    left.send(packetOf(renderHello(ID)), 0, sinks.left);
    right.receive(sinks.left.takeBytes(), 0, sinks.right);
    const { session, ...keys } = right.moveAway();
    const dtls = new MovedServer(new SeededCrypto(7), { session: { ...session, maxPlaintext: 600 }, ...keys });
    const remote = { address: parseIp('192.0.2.1') ?? assert.fail(), port: 443 };
    const channel = new DatagramChannel({ dtls, dpd: 0, facts: { remote } });
    channel.accept(0, sinks.right);
    assert.equal(channel.send(packetOf(down(1)), 0, sinks.right), true);
    assert.equal(channel.send(packetOf(packet(2, { length: 601, isDown: true })), 0, sinks.right), false, 'it is for the stream');
    assert.equal(channel.handOver()?.tunnelMtu, 600);
  });

  it('has no room for a packet whose record the path does not carry, once that is known', () => {
    const { client, sinks, pass } = channels();
    pass(0);
    assert.equal(client.send(packetOf(packet(1, { length: 1400 })), 0, sinks.left), true);
    client.notice({ type: 'too-big', length: 1400 });
    assert.equal(client.send(packetOf(packet(1, { length: 1400 })), 0, sinks.left), false);
    assert.equal(client.send(packetOf(packet(1, { length: 1300 })), 0, sinks.left), true);
    client.notice({ type: 'too-big', length: undefined });
    assert.equal(client.send(packetOf(packet(1, { length: 1300 })), 0, sinks.left), false);
  });
});
