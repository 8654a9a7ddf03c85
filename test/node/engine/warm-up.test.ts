import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { PacketSwitch } from '../../../src/node/engine/packet-switch.ts';
import { SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { StreamCommands } from '../../../src/node/engine/stream-commands.ts';
import { WarmUp } from '../../../src/node/engine/warm-up.ts';
import { WorkerContext } from '../../../src/node/engine/worker-context.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';

it('the warm-up leaves nothing behind: no counts, no descriptors, nothing for main', { skip }, () => {
  const { port1, port2 } = new MessageChannel();
  const memory = new SharedMemory();
  const context = new WorkerContext(port1, { memory: memory.buffer, portableCrypto: false, without: [] });
  const packets = new PacketSwitch(context);
  const streams = new StreamCommands(context, packets);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();

  const unused = new WarmUp(context, () => streams.room);
  assert.ok(!unused.isOver);
  unused.close();
  assert.ok(unused.isOver);

  const halfway = new WarmUp(context, () => streams.room);
  assert.equal(halfway.step(), 50);
  assert.equal(descriptors(), before + 5);
  assert.equal(memory.descriptors.filter((held) => held > 0).length, 5, 'main could close them');
  halfway.close();
  assert.equal(descriptors(), before);

  const whole = new WarmUp(context, () => streams.room);
  let moved = 0;
  for (; !whole.isOver; moved += 50) assert.equal(whole.step(), 50);
  assert.equal(moved, 3000, 'over UDP and over TLS');
  assert.equal(descriptors(), before);
  assert.ok(memory.descriptors.every((held) => held === 0));
  assert.ok(memory.deviceCounters.every((value) => value === 0));
  for (const id of [0, 1]) assert.ok(memory.pathCounters(id).every((value) => value === 0));
  assert.ok(memory.toMain.isRead);
  packets.close();
  port1.close();
  port2.close();
});
