/** The worker's end of a stack's rings, when main does not take what is in them. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { DEVICE, DEVICE_COUNTERS, SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { StackRings } from '../../../src/node/engine/stack-rings.ts';
import { WorkerContext } from '../../../src/node/engine/worker-context.ts';
import { WorkerStackDevice } from '../../../src/node/engine/worker-stack-device.ts';
import { packetFrom, TCP } from '../../support/inner-packets.ts';

const { ECONNREFUSED } = constants.errno;
const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';

/** A device on a thread whose last system call that failed did so with `errno`; `waits` are its waits for room. */
function scene({ errno }: { readonly errno: number }) {
  const { port1, port2 } = new MessageChannel();
  port2.close();
  const context = new WorkerContext(port1, { memory: new SharedMemory().buffer, portableCrypto: false, without: [] });
  Object.defineProperty(context, 'libc', { value: { ...context.libc, errno: () => errno } });
  const rings = new StackRings();
  const main = new StackRings(rings.buffer);
  const t = { waits: 0 };
  rings.toStack.waitForRoom = () => {
    t.waits++;
  };
  const counters = new Float64Array(DEVICE_COUNTERS.length);
  const device = new WorkerStackDevice(context, rings, counters);
  const write = (packets: readonly Buffer[]) => {
    for (const packet of packets) device.addCopy(packet, 0, packet.length);
    device.flush();
  };
  const takeAll = () => {
    let taken = 0;
    while (main.toStack.next()) taken++;
    main.toStack.release();
    return taken;
  };
  return Object.assign(t, { device, counters, write, takeAll });
}

/** Each of a flow of its own: they are not joined. */
const PACKETS = Array.from({ length: 200 }, (_, i) =>
  packetFrom({ protocol: TCP, identification: i, sequence: i * 7, payload: Buffer.alloc(1_300, i) }),
);

describe('the ring to a stack that takes nothing', { skip }, () => {
  it('drops what has no room, counts it and lives on, whatever the last system call has said', () => {
    const t = scene({ errno: ECONNREFUSED });
    for (let i = 0; i < 2_000; i++) t.write([PACKETS[i % PACKETS.length] as Buffer]);
    const [written = 0, refused = 0] = [t.counters[DEVICE.written], t.counters[DEVICE.writeRefused]];
    assert.ok(written > 1_000 && refused > 0, `${written} written, ${refused} refused`);
    assert.equal(written + refused, 2_000);
    assert.equal(t.device.hasFailed, false);
    for (let i = 0; i < 20; i++) t.write(PACKETS);
    assert.equal(t.device.hasFailed, false, 'nor those of a burst');
    assert.equal(t.takeAll(), written);
  });

  it('waits for it once, not for each packet, until it has taken something', () => {
    const t = scene({ errno: 0 });
    for (let i = 0; i < 20; i++) t.write(PACKETS);
    const first = t.waits;
    assert.ok(first > 0 && first <= 10, `${first} waits`);
    t.takeAll();
    for (let i = 0; i < 20; i++) t.write(PACKETS);
    assert.equal(t.waits, 2 * first);
  });
});
