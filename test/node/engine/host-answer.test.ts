/** What this host answers while a lone packet is written to it, as the kernel does a ping: the queue that the packet was written by has it. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { parseCidr } from '../../../src/core/wire/ip-address.ts';
import { PacketSwitch } from '../../../src/node/engine/packet-switch.ts';
import { DEVICE_COUNTERS, SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { WorkerContext } from '../../../src/node/engine/worker-context.ts';
import { WorkerDevice } from '../../../src/node/engine/worker-device.ts';
import type { WorkerEnd } from '../../../src/node/engine/worker-end.ts';
import { LINUX } from '../../../src/node/ffi/libc.ts';
import { openSocketPair } from '../../../src/node/ffi/sockets.ts';
import { NO_OFFLOADS } from '../../../src/node/ffi/tun.ts';
import { ipv4Udp } from '../../support/traffic-peer.ts';

const CLIENT = parseCidr('10.9.0.2/32') ?? assert.fail();
const QUESTION = ipv4Udp('10.9.0.2', '10.9.0.1', 7, 8, Buffer.from('question'));
const ANSWER = ipv4Udp('10.9.0.1', '10.9.0.2', 8, 7, Buffer.from('answer'));

/** How many packets the one path is given in a pass in which it has brought so many. */
function sentBack(questions: number, isShared: boolean): number {
  const { port1, port2 } = new MessageChannel();
  const context = new WorkerContext(port1, { memory: new SharedMemory().buffer, portableCrypto: false, without: [] });
  const { libc, arena } = context;
  const packets = new PacketSwitch(context);
  const pairs = Array.from({ length: 4 }, () => openSocketPair(libc));
  const queues = pairs.map(({ ours }) => ours);
  const device = new WorkerDevice(
    context,
    { writers: queues, queues },
    'of the test',
    new Float64Array(DEVICE_COUNTERS.length),
    NO_OFFLOADS,
  );
  packets.setDevice(device);
  const flow = openSocketPair(libc);
  const place = context.slots.offset(0);
  let given = 0;
  const path: Partial<WorkerEnd> = {
    ...{ fd: flow.ours, pollEvents: LINUX.POLLIN, isCarried: true, tunnelMtu: 1400, isWaiting: false, mayProceed: false, isFull: false },
    ...{ packetPlace: place, flush: () => undefined, proceed: () => undefined, close: () => libc.close(flow.ours) },
    addPacket: () => ++given > 0,
    receive: () => {
      for (let i = 0; i < questions; i++) device.addCopy(QUESTION, 0, QUESTION.length);
      device.flush();
      ANSWER.copy(arena.bytes, place);
      for (const { theirs } of pairs) {
        if (libc.recv(theirs, arena.address(place + 2000), 2000, LINUX.MSG_DONTWAIT) > 0) {
          assert.equal(libc.write(theirs, arena.address(place), ANSWER.length), ANSWER.length);
        }
      }
      return questions;
    },
  };
  packets.setPath(0, path as WorkerEnd);
  if (isShared) packets.setNetworks(0, [CLIENT]);
  else packets.setRoute(0);
  packets.serve(() => false, 0); // from here on it is watched
  assert.equal(libc.write(flow.theirs, arena.address(place), 1), 1);
  packets.serve(() => false, 0);
  packets.close();
  for (const fd of [...pairs.map(({ theirs }) => theirs), flow.theirs]) libc.close(fd);
  port1.close();
  port2.close();
  return given;
}

it('leaves in the same pass where many share the device', {
  skip: process.platform !== 'linux' && 'the packet engine runs on Linux only',
}, () => {
  assert.equal(sentBack(1, true), 1);
  assert.equal(sentBack(2, true), 0, 'who sends more is not looked after between two passes');
  assert.equal(sentBack(1, false), 0, "nor a client, whose host's programs take their time");
});
