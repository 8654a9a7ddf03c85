/** What a UDP flow's socket keeps, and when it is of no use. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { FLOW_DATAGRAM_BYTES } from '../../../src/core/nat/limits.ts';
import type { UdpFlow } from '../../../src/core/nat/session.ts';
import { parseIp } from '../../../src/core/wire/ip-address.ts';
import { DatagramRoom } from '../../../src/gateway/nat/datagram-room.ts';
import { UdpOutlet } from '../../../src/gateway/nat/udp-outlet.ts';

const DATAGRAM = new Uint8Array(1_000);

/** What a datagram of this length takes up. */
const COST = DATAGRAM.length + 256;

/** An outlet to a port of this machine, or of another address. */
function outlet(t: TestContext, room: DatagramRoom, port: number, address = '127.0.0.1') {
  const target = { address: parseIp(address) ?? assert.fail(address), port };
  const flow = { targets: [target], isService: true } as unknown as UdpFlow; // nothing else of it is looked at
  const heard: string[] = [];
  const ended = Promise.withResolvers<void>();
  const opened = new UdpOutlet({
    ...{ flow, room, now: () => 0 },
    onDatagram: () => heard.push('answer'),
    onFailed: (why) => heard.push(why),
    onEnded: () => {
      heard.push('ended');
      ended.resolve();
    },
    onLost: () => heard.push('lost'),
    onOwnLimit: () => heard.push('limit'),
  });
  opened.open();
  t.after(() => opened.close());
  return { outlet: opened, heard, ended: ended.promise };
}

async function echo(t: TestContext) {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  await once(socket, 'listening');
  t.after(() => socket.close());
  return { socket, port: socket.address().port };
}

describe('a UDP flow’s socket', () => {
  it('keeps no more for the system than there is room for, and gives the room back', async (t) => {
    const { socket, port } = await echo(t);
    const room = new DatagramRoom(10 * COST);
    const { outlet: flow, heard } = outlet(t, room, port);
    flow.send(DATAGRAM);
    await once(socket, 'message');
    assert.equal(room.used, 0);
    for (let i = 0; i < 25; i++) flow.send(DATAGRAM);
    assert.equal(heard.filter((word) => word === 'lost').length, 15);
    assert.equal(room.used, 10 * COST);
    await once(socket, 'message');
    flow.close();
    await new Promise(setImmediate);
    assert.equal(room.used, 0, 'also of one that was closed meanwhile');
  });

  it('lets no flow have more than its part, connected or not', async (t) => {
    const { socket, port } = await echo(t);
    const { outlet: flow, heard } = outlet(t, new DatagramRoom(Number.POSITIVE_INFINITY), port);
    const fit = Math.floor(FLOW_DATAGRAM_BYTES / COST);
    for (let i = 0; i < fit + 7; i++) flow.send(DATAGRAM);
    assert.deepEqual(heard, Array(7).fill('lost'));
    await once(socket, 'message');
    await new Promise(setImmediate);
    heard.length = 0;
    for (let i = 0; i < fit + 5; i++) flow.send(DATAGRAM);
    assert.equal(heard.filter((word) => word === 'lost').length, 5);
  });

  it('is given up where it cannot be connected: the next datagram is another flow’s', async (t) => {
    const { outlet: flow, heard, ended } = outlet(t, new DatagramRoom(10 * COST), 9, '255.255.255.255'); // broadcast: no socket may, unasked
    flow.send(DATAGRAM);
    await ended;
    assert.deepEqual(heard, ['prohibited', 'ended']);
  });
});
