/** A device that says what the test wants: what happens when the host refuses what was joined, and by which descriptor a flow is written. */
import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { afterEach, describe, it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { oneDescriptor } from '../../../src/node/engine/device-descriptors.ts';
import { flowHash } from '../../../src/node/engine/flow-hash.ts';
import { DEVICE, DEVICE_COUNTERS, SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { MAX_DEVICE_BURST, WorkerContext } from '../../../src/node/engine/worker-context.ts';
import { WorkerDevice } from '../../../src/node/engine/worker-device.ts';
import { packetFrom, TCP, UDP } from '../../support/inner-packets.ts';

const { EINVAL, EIO } = constants.errno;
const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';
const MAX_PIECES = 2;

const ports: MessageChannel[] = [];
afterEach(() => {
  for (const { port1, port2 } of ports.splice(0)) {
    port1.close();
    port2.close();
  }
});

/** A device whose writes, of more than one packet, go to `written`, unless `refuses` has an error number for them. `by`: the descriptor of each write. */
function device(refuses: (pieces: number) => number, descriptors = oneDescriptor(0)) {
  const channel = new MessageChannel();
  ports.push(channel);
  const context = new WorkerContext(channel.port1, { memory: new SharedMemory().buffer, portableCrypto: false, without: [] });
  const { arena } = context;
  const written: Buffer[] = [];
  const by: number[] = [];
  let errno = 0;
  const pointer = (at: number) => Number(arena.view.getBigUint64(at, true));
  const writev = (fd: number, address: number, count: number) => {
    errno = refuses(count);
    if (errno !== 0) return -1;
    const table = address - arena.address(0);
    const pieces = Array.from({ length: count }, (_, i) => {
      const start = pointer(table + i * 16) - arena.address(0);
      return Buffer.from(arena.bytes.subarray(start, start + pointer(table + i * 16 + 8)));
    });
    written.push(Buffer.concat(pieces));
    by.push(fd);
    return written.at(-1)?.length ?? 0;
  };
  const scripted: WorkerContext = Object.create(context, { libc: { value: { ...context.libc, writev, errno: () => errno } } });
  const counters = new Float64Array(DEVICE_COUNTERS.length);
  return {
    device: new WorkerDevice(scripted, descriptors, 'tun0', counters, { hasHeader: true, hasUdp: true }),
    context,
    counters,
    written,
    by,
  };
}

function give(to: WorkerDevice, packets: readonly Buffer[]): void {
  for (const packet of packets) to.addCopy(packet, 0, packet.length);
  to.flush();
}

const NO_HEADER = Buffer.alloc(10);

describe('a device that refuses what was joined', { skip }, () => {
  for (const [protocol, feature] of [
    [TCP, 'tcp-join'],
    [UDP, 'udp-join'],
  ] as const) {
    it(`gets the packets one by one as they came, and no more groups: ${feature}`, () => {
      const t = device((pieces) => (pieces > MAX_PIECES ? EINVAL : 0));
      const packets = Array.from({ length: 5 }, (_, i) =>
        packetFrom({ protocol, identification: i, sequence: i * 100, payload: Buffer.alloc(100, i) }),
      );
      const plain = packets.map((packet) => Buffer.concat([NO_HEADER, packet]));
      for (let round = 1; round <= 2; round++) {
        t.written.length = 0;
        give(t.device, packets);
        assert.deepEqual(t.written, plain);
        assert.equal(t.counters[DEVICE.written], round * 5);
      }
      assert.equal(t.counters[DEVICE.writeRefused], 0);
      assert.deepEqual(
        t.context.features.states.filter(({ isOn }) => isOn === false),
        [{ name: feature, isOn: false, why: 'tun0 refused it (EINVAL)' }],
      );
    });
  }

  it('gets joined packets again after it was down', () => {
    let isDown = true;
    const t = device(() => (isDown ? EIO : 0));
    const packets = [0, 1, 2].map((i) => packetFrom({ identification: i, sequence: i * 100, payload: Buffer.alloc(100, i) }));
    give(t.device, packets);
    assert.deepEqual([t.counters[DEVICE.writeRefused], t.counters[DEVICE.written]], [3, 0]);
    isDown = false;
    give(t.device, packets);
    assert.deepEqual([t.written.length, t.counters[DEVICE.written], t.counters[DEVICE.writtenBytes]], [1, 3, 3 * 140]);
  });

  it('gets each packet of a long burst as it came, whatever their lengths', () => {
    const t = device(() => 0);
    const packets = Array.from({ length: MAX_DEVICE_BURST + 200 }, (_, i) => Buffer.alloc(i < MAX_DEVICE_BURST + 1 ? 100 : 1400, i & 0x0f));
    give(t.device, packets);
    assert.deepEqual(
      t.written,
      packets.map((packet) => Buffer.concat([NO_HEADER, packet])),
    );
  });
});

describe('a device with several descriptors to write to', { skip }, () => {
  const writers = [10, 11, 12];
  const flows = Array.from({ length: 12 }, (_, flow) => flow);
  const each = 3;
  /** One burst, in which no two packets of a flow come one after the other. */
  const packets = Array.from({ length: each }, (_, i) =>
    flows.map((flow) => packetFrom({ flow, identification: i, sequence: i * 100, payload: Buffer.alloc(100, flow) })),
  ).flat();
  const writerFor = (packet: Buffer) =>
    writers[flowHash(new DataView(packet.buffer, packet.byteOffset), 0, packet.length) % writers.length];

  for (const [what, refuses, writes] of [
    ['joined', () => 0, flows.length],
    ['one by one, where they are not taken together', (pieces: number) => (pieces > MAX_PIECES ? EINVAL : 0), flows.length * each],
  ] as const) {
    it(`gives each flow of a burst to the one that its hash says: ${what}`, () => {
      const t = device(refuses, { writers, queues: [] });
      give(t.device, packets);
      assert.equal(t.written.length, writes);
      assert.deepEqual(
        t.by,
        t.written.map((bytes) => writerFor(bytes.subarray(NO_HEADER.length))),
      );
      assert.deepEqual(new Set(t.by), new Set(writers));
    });
  }
});
