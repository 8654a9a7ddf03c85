import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { PACKET_HEADROOM, packetBytes, packetOf } from '../../../src/core/tunnel/packet.ts';
import { MemoryDevice } from '../../../src/node/devices/memory-device.ts';

const bytes = (...values: number[]) => Uint8Array.from(values);

describe('memory device', () => {
  it('takes packets from the host once it is started, each with room around it', () => {
    const device = new MemoryDevice();
    const got: Uint8Array[] = [];
    device.send(bytes(1, 2));
    device.send(bytes(3));
    device.start((packets) => {
      for (const packet of packets) {
        assert.ok(packet.start >= PACKET_HEADROOM);
        got.push(Uint8Array.from(packetBytes(packet)));
      }
    });
    device.send(bytes(4));
    assert.deepEqual(got, [bytes(1, 2), bytes(3), bytes(4)]);
    assert.throws(() => device.start(() => undefined), MisuseError);
  });

  it('keeps packets of the host back while it is paused', () => {
    const device = new MemoryDevice();
    let bursts = 0;
    device.start(() => bursts++);
    device.pause();
    device.send(bytes(1));
    device.send(bytes(2));
    assert.equal(bursts, 0);
    device.resume();
    assert.equal(bursts, 1);
  });

  it('gives the host what the tunnel writes, waiting or not', async () => {
    const device = new MemoryDevice();
    const waiting = device.receive();
    const packet = packetOf(bytes(1));
    device.write([packet, packetOf(bytes(2))]);
    packet.buffer.fill(9);
    assert.deepEqual(await waiting, bytes(1), 'a copy: the tunnel only lends its packets');
    assert.deepEqual(await device.receive(), bytes(2));
    device.write([packetOf(bytes(3))]);
    const last = device.receive();
    const none = device.receive();
    await device.close();
    await device.close();
    assert.deepEqual(await last, bytes(3));
    assert.equal(await none, undefined);
    for await (const _ of device) assert.fail('closed');
  });

  it('drops and counts what is too large, too much or too late', async () => {
    const device = new MemoryDevice();
    await device.setMtu(100);
    device.send(new Uint8Array(101));
    assert.equal(device.dropped, 1);
    for (let i = 0; i < 2000; i++) device.send(bytes(1));
    assert.equal(device.dropped, 1 + 2000 - 1024);
    device.write(Array.from({ length: 1025 }, () => packetOf(bytes(1))));
    assert.equal(device.dropped, 1 + 2000 - 1024 + 1);
    await device.close();
    device.send(bytes(1));
    assert.equal(device.dropped, 1 + 2000 - 1024 + 2);
  });

  it('fails when it is told to', async () => {
    const device = new MemoryDevice();
    device.fail(new Error('pulled out'));
    assert.equal((await device.failed).message, 'pulled out');
  });
});
