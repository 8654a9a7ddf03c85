import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Packet, packetBytes, packetOf } from '../../../src/core/tunnel/packet.ts';
import { type Cidr, parseCidr } from '../../../src/core/wire/ip-address.ts';
import { DeviceSwitch } from '../../../src/gateway/worker/device-switch.ts';
import { ipv4Udp } from '../../support/traffic-peer.ts';

const cidr = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);

const packetTo = (address: string, mark: number) => new Uint8Array(ipv4Udp('192.0.2.1', address, 1, 2, Buffer.of(mark)));

/** A device whose host sends bursts. */
class BurstDevice {
  #onBurst: (packets: readonly Packet[]) => void = () => undefined;

  start(onBurst: (packets: readonly Packet[]) => void): void {
    this.#onBurst = onBurst;
  }

  feed(packets: readonly Uint8Array[]): void {
    this.#onBurst(packets.map(packetOf));
  }

  write(): void {
    assert.fail('nothing was sent');
  }
}

const markOf = (packet: Packet | Uint8Array) => ('buffer' in packet && 'start' in packet ? packetBytes(packet) : packet).at(-1);

describe('device switch', () => {
  it('gives each tunnel its packets in order, a run of them in one call', () => {
    const device = new BurstDevice();
    const forwarded: (number | undefined)[] = [];
    const tunnels = new DeviceSwitch(device, { forward: (packets) => forwarded.push(...packets.map(markOf)) });
    const calls: string[] = [];
    const taker = (name: string) => (packets: readonly Packet[]) => calls.push(`${name}:${packets.map(markOf).join(',')}`);
    const [a, b] = [taker('a'), taker('b')];
    tunnels.attach([cidr('10.0.0.1/32'), cidr('192.168.7.0/24')], a);
    tunnels.attach([cidr('10.0.0.2/32')], b);
    tunnels.start();
    device.feed([
      packetTo('10.0.0.1', 1),
      packetTo('192.168.7.9', 2),
      packetTo('10.0.0.2', 3),
      packetTo('10.0.0.9', 4),
      packetTo('10.0.0.1', 5),
      packetTo('10.0.0.1', 6),
    ]);
    assert.deepEqual(calls, ['a:1,2', 'b:3', 'a:5,6']);
    assert.deepEqual(forwarded, [4]);
    tunnels.detach([cidr('10.0.0.1/32')], a);
    device.feed([packetTo('10.0.0.1', 7)]);
    assert.deepEqual(forwarded, [4, 7]);
  });

  it('hands on nothing twice: what another worker has read is for a tunnel here, or for nobody', () => {
    const tunnels = new DeviceSwitch(new BurstDevice(), { forward: () => assert.fail('it came from there') });
    const got: (number | undefined)[] = [];
    tunnels.attach([cidr('10.0.0.1/32')], (packets) => got.push(...packets.map(markOf)));
    tunnels.deliver([packetOf(packetTo('10.0.0.2', 1)), packetOf(packetTo('10.0.0.1', 2)), packetOf(Uint8Array.of(0x45, 1, 2))]);
    assert.deepEqual(got, [2]);
  });
});
