import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { MAX_DEVICE_BYTES, MAX_DEVICE_READS, MAX_SHARED_BYTES, PacketSwitch } from '../../../src/node/engine/packet-switch.ts';
import { DEVICE_COUNTERS, MAX_DEVICE_QUEUES, MAX_PACKET_LENGTH, SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { COMMIT_WINDOW, MAX_UNSENT } from '../../../src/node/engine/stream-messages.ts';
import { WorkerContext } from '../../../src/node/engine/worker-context.ts';
import { WorkerDevice } from '../../../src/node/engine/worker-device.ts';
import type { WorkerEnd } from '../../../src/node/engine/worker-end.ts';
import { openSocketPair } from '../../../src/node/ffi/sockets.ts';
import { NO_OFFLOADS } from '../../../src/node/ffi/tun.ts';
import { ipv4Udp } from '../../support/traffic-peer.ts';

/** Where a socket's own memory is the limit, and not a number of packets. */
const SOCK_SEQPACKET = 5;

const LENGTH = 1400;
const EACH = 40;

/** So long that the bytes of a pass are its limit; as many as a socket holds. */
const LARGE_LENGTH = 20_000;
const EACH_LARGE = 6;

/** A device with a full queue for each flow, and a path that takes so many packets a pass, of which it notes the flows. */
function scene(room: number, length = LENGTH) {
  const { port1, port2 } = new MessageChannel();
  const context = new WorkerContext(port1, { memory: new SharedMemory().buffer, portableCrypto: false, without: [] });
  const { libc, arena } = context;
  const packets = new PacketSwitch(context);
  const pairs = Array.from({ length: MAX_DEVICE_QUEUES }, () => openSocketPair(libc, SOCK_SEQPACKET));
  const queues = pairs.map(({ ours }) => ours);
  packets.setDevice(
    new WorkerDevice(
      context,
      { writers: queues.slice(0, 1), queues },
      'of the test',
      new Float64Array(DEVICE_COUNTERS.length),
      NO_OFFLOADS,
    ),
  );
  const flow = openSocketPair(libc);
  let pass: number[] = [];
  const place = context.slots.offset(0);
  const path: Partial<WorkerEnd> = {
    ...{ fd: flow.ours, pollEvents: 0, isCarried: true, tunnelMtu: length, isWaiting: false, mayProceed: false, packetPlace: place },
    addPacket: () => {
      pass.push(arena.bytes.readUInt16BE(place + 20));
      return true;
    },
    ...{ flush: () => undefined, receive: () => 0, proceed: () => undefined, close: () => libc.close(flow.ours) },
  };
  Object.defineProperty(path, 'isFull', { get: () => pass.length >= room });
  packets.setPath(0, path as WorkerEnd);
  packets.setRoute(0);
  const fill = (queue: number, count: number) => {
    const packet = ipv4Udp('10.9.0.1', '10.9.0.2', queue, 7, Buffer.alloc(length - 28));
    for (let i = 0; i < count; i++) {
      packet.copy(arena.bytes, place);
      assert.equal(libc.write(pairs[queue]?.theirs ?? -1, arena.address(place), length), length);
    }
  };
  return {
    fill,
    /** The flows of the packets that one pass takes. */
    serve(): number[] {
      pass = [];
      packets.serve(() => false, 0);
      return pass;
    },
    [Symbol.dispose]() {
      packets.close();
      for (const fd of [...pairs.map(({ theirs }) => theirs), flow.theirs]) libc.close(fd);
      port1.close();
      port2.close();
    },
  };
}

describe('the queues of a device', { skip: process.platform !== 'linux' && 'the packet engine runs on Linux only' }, () => {
  it('share what one pass takes', () => {
    using t = scene(Number.POSITIVE_INFINITY);
    for (let queue = 0; queue < MAX_DEVICE_QUEUES; queue++) t.fill(queue, EACH);
    const passes = Array.from({ length: 40 }, () => t.serve());
    assert.equal(passes.flat().length, MAX_DEVICE_QUEUES * EACH, 'all');
    const most = Math.max(...passes.map(({ length }) => length));
    assert.equal(most, MAX_DEVICE_READS);
    const longest = passes.find(({ length }) => length === most);
    assert.ok(new Set(longest).size > 1, 'also one that is full of them');
  });

  it('share its bytes, too, and a pass ends with the packet that goes beyond them', () => {
    using t = scene(Number.POSITIVE_INFINITY, LARGE_LENGTH);
    const waiting = new Array(MAX_DEVICE_QUEUES).fill(EACH_LARGE);
    for (let queue = 0; queue < MAX_DEVICE_QUEUES; queue++) t.fill(queue, EACH_LARGE);
    const [ofPass, ofQueue]: [number[], number[]] = [[], []];
    while (waiting.some((count) => count > 0)) {
      const areSeveral = waiting.filter((count) => count > 0).length > 1;
      const taken = t.serve();
      assert.ok(taken.length > 0);
      ofPass.push(taken.length);
      for (const queue of new Set(taken)) {
        const count = taken.filter((each) => each === queue).length;
        waiting[queue] -= count;
        if (areSeveral) ofQueue.push(count);
      }
    }
    assert.equal(Math.max(...ofPass), Math.ceil(MAX_DEVICE_BYTES / LARGE_LENGTH), 'packets of a pass');
    assert.equal(Math.max(...ofQueue), Math.ceil(MAX_SHARED_BYTES / LARGE_LENGTH), 'of one queue while others have some');
  });

  it('each have their turn, where the way on has little room', () => {
    using t = scene(3);
    const [busy, lone] = [0, 5];
    t.fill(busy, EACH);
    for (let i = 0; i < 8; i++) t.serve(); // as many packets a pass as there is room for
    t.fill(lone, 1);
    const next = [t.serve(), t.serve()].flat();
    assert.ok(next.includes(lone), `not among ${next}`);
  });
});

it('what one pass takes of a device never makes a TLS peer one that does not read', () => {
  const [smallestPayload, headers] = [500, 40 + 8 + 29]; // IP and TCP, a frame's, a record's
  const most = (MAX_DEVICE_BYTES + MAX_PACKET_LENGTH) * (1 + headers / smallestPayload) + COMMIT_WINDOW;
  assert.ok(2 * most < MAX_UNSENT, `${most} of ${MAX_UNSENT}`);
});
