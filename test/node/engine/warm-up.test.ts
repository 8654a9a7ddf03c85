import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { it } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { MisuseError } from '../../../src/core/errors.ts';
import { PacketSwitch } from '../../../src/node/engine/packet-switch.ts';
import { SharedMemory } from '../../../src/node/engine/shared-memory.ts';
import { StreamCommands } from '../../../src/node/engine/stream-commands.ts';
import { warmStreams } from '../../../src/node/engine/stream-warm-up.ts';
import { WarmUp } from '../../../src/node/engine/warm-up.ts';
import { WorkerContext } from '../../../src/node/engine/worker-context.ts';
import { LINUX } from '../../../src/node/ffi/libc.ts';
import type { OpenSslTls } from '../../../src/node/ffi/openssl-tls-calls.ts';
import { openSocketPair } from '../../../src/node/ffi/sockets.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';

it('the warm-up leaves nothing behind: no counts, no descriptors, nothing for main', { skip }, () => {
  const { port1, port2 } = new MessageChannel();
  const memory = new SharedMemory();
  const context = new WorkerContext(port1, { memory: memory.buffer, portableCrypto: false, without: [] });
  const packets = new PacketSwitch(context);
  const streams = new StreamCommands(context, packets);
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const before = descriptors();

  const warmUp = () =>
    new WarmUp(
      context,
      () => streams.room,
      (warming) => warming.serve(() => false, 1),
    );

  const unused = warmUp();
  assert.ok(!unused.isOver);
  unused.close();
  assert.ok(unused.isOver);

  const halfway = warmUp();
  assert.equal(halfway.step(), 56, 'one by one, and some of what is rare');
  assert.equal(descriptors(), before + 5);
  assert.equal(memory.descriptors.filter((held) => held > 0).length, 5, 'main could close them');
  halfway.close();
  assert.equal(descriptors(), before);

  const whole = warmUp();
  const steps: number[] = [];
  while (!whole.hasRunAll) steps.push(whole.step());
  assert.equal(whole.quiet, 1000, 'the rest has time');
  whole.used = 'streams';
  while (!whole.isOver) steps.push(whole.step());
  const turn = (packets: number) => Array.from({ length: packets / 50 }, (_, i) => (i < 4 ? 56 : 50));
  assert.deepEqual(steps, [1500, 1500, 10_000].flatMap(turn), 'over UDP, over TLS, and over what is used');
  assert.equal(descriptors(), before);
  assert.ok(memory.descriptors.every((held) => held === 0));
  assert.ok(memory.deviceCounters.every((value) => value === 0));
  for (const id of [0, 1]) assert.ok(memory.pathCounters(id).every((value) => value === 0));
  assert.ok(memory.toMain.isRead);
  packets.close();
  port1.close();
  port2.close();
});

it('packets of the warm-up that a pass left behind never reach main', { skip }, () => {
  const { port1, port2 } = new MessageChannel();
  const memory = new SharedMemory();
  const context = new WorkerContext(port1, { memory: memory.buffer, portableCrypto: false, without: [] });
  const packets = new PacketSwitch(context);
  const { room } = new StreamCommands(context, packets);
  let passes = 0;
  const warmUp = new WarmUp(
    context,
    () => room,
    (warming) => passes++ % 2 === 0 && warming.serve(() => true, 0), // so the last packet of a step has got as far as the second path
  );
  for (let step = 0; step < 4; step++) warmUp.step();
  context.flush();
  assert.ok(memory.toMain.isRead);
  warmUp.close();
  packets.close();
  port1.close();
  port2.close();
});

it('the warm-up frees the connection that it has when there is no second one', { skip }, () => {
  const { port1, port2 } = new MessageChannel();
  const context = new WorkerContext(port1, { memory: new SharedMemory().buffer, portableCrypto: false, without: [] });
  const { room } = new StreamCommands(context, new PacketSwitch(context));
  const { call } = room.tls;
  const made: number[] = [];
  const freed: number[] = [];
  const counting: OpenSslTls['call'] = {
    ...call,
    newContext: (...args) => (made.length === 0 ? call.newContext(...args) : 0),
    newSession: (...args) => {
      made.push(Number(call.newSession(...args)));
      return made.at(-1) ?? 0;
    },
    freeSession: (...args) => {
      freed.push(Number(args[0]));
      return call.freeSession(...args);
    },
  };
  const flow = openSocketPair(context.libc, LINUX.SOCK_STREAM);
  const tls: OpenSslTls = Object.create(room.tls, { call: { value: counting } });
  assert.throws(() => warmStreams(context, { ...room, tls }, flow), MisuseError);
  assert.equal(made.length, 1);
  assert.deepEqual(freed, made);
  for (const fd of [flow.ours, flow.theirs]) context.libc.close(fd);
  port1.close();
  port2.close();
});
