/** The table of paths over epoll itself: what is watched, and who has a look taken at it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type PathSlot, PathTable } from '../../../src/node/engine/path-table.ts';
import type { WorkerEnd } from '../../../src/node/engine/worker-end.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { EventPoll } from '../../../src/node/ffi/event-poll.ts';
import { LINUX, libc } from '../../../src/node/ffi/libc.ts';
import { openSocketPair } from '../../../src/node/ffi/sockets.ts';

const skip = process.platform === 'linux' ? false : 'the packet engine runs on Linux only';
const { POLLIN, POLLOUT } = LINUX;
const FIRST_TOKEN = 2;

/** An end that says what the test wants. */
class ScriptedEnd {
  readonly fd: number;
  pollEvents: number = POLLIN;
  isWaiting = false;
  mayProceed = false;
  isCarried = true;
  asked = 0;
  failure: number | undefined;
  readonly done: string[] = [];

  constructor(fd: number) {
    this.fd = fd;
  }
  proceed(): void {
    this.done.push('proceed');
  }
  flush(): void {
    this.done.push('flush');
  }
  fail(errno: number): void {
    this.failure = errno;
    this.pollEvents = 0;
  }
  close(): void {
    this.done.push('close');
  }
}

function scene() {
  const c = libc('the test');
  const events = new EventPoll(c, new Arena(1 << 16), 8);
  const table = new PathTable(events, FIRST_TOKEN);
  const sockets: number[] = [events.fd];
  return {
    table,
    events,
    /** A path over one end of a socket pair, and what makes it readable. */
    open(id: number) {
      const { ours, theirs } = openSocketPair(c);
      sockets.push(ours, theirs);
      const end = new ScriptedEnd(ours);
      table.set(id, end as unknown as WorkerEnd);
      return { end, slot: table.get(id), ring: () => assert.equal(c.write(theirs, c.scratch.address(0), 1), 1), fd: ours };
    },
    /** Numbers of the paths that have something. */
    ready(): number[] {
      table.settle();
      const count = events.wait(0);
      return Array.from({ length: count }, (_, i) => events.token(i) - FIRST_TOKEN).sort((a, b) => a - b);
    },
    [Symbol.dispose]: () => {
      for (const fd of sockets) c.close(fd);
    },
  };
}

describe('the table of paths', { skip }, () => {
  it('tells which of many have something', () => {
    using s = scene();
    const [first, far] = [s.open(0), s.open(5000)];
    s.open(7);
    assert.deepEqual(s.ready(), []);
    far.ring();
    assert.deepEqual(s.ready(), [5000]);
    first.ring();
    assert.deepEqual(s.ready(), [0, 5000], 'and tells it again while it is not read');
  });

  it('tells of all in turn when they are more than one look has room for', () => {
    using s = scene();
    for (let id = 0; id < 20; id++) s.open(id).ring();
    const seen = new Set([...s.ready(), ...s.ready(), ...s.ready()]);
    assert.equal(seen.size, 20);
  });

  it('watches what a path waits for when it has been used, and asks no other', () => {
    using s = scene();
    const { end, slot, ring } = s.open(1);
    ring();
    end.pollEvents = 0;
    assert.deepEqual(s.ready(), []);
    end.pollEvents = POLLIN | POLLOUT;
    assert.deepEqual(s.ready(), [], 'nobody has used it since');
    assert.ok(slot);
    s.table.attend(slot);
    assert.deepEqual(s.ready(), [1]);
    assert.equal(s.events.events(0), POLLIN | POLLOUT);
    s.table.attend(slot);
    end.pollEvents = POLLOUT;
    assert.deepEqual(s.ready(), [1]);
    assert.equal(s.events.events(0), POLLOUT);
  });

  it('asks a path that waits for main until it need not wait', () => {
    using s = scene();
    const [waiting, idle] = [s.open(1), s.open(2)];
    waiting.end.isWaiting = true;
    assert.equal(s.table.settle(), false);
    assert.equal(s.table.settle(), false);
    waiting.end.mayProceed = true;
    assert.equal(s.table.settle(), true);
    s.table.proceed(undefined);
    s.table.flush();
    waiting.end.isWaiting = false;
    assert.equal(s.table.settle(), false);
    s.table.proceed(undefined);
    assert.deepEqual(waiting.end.done, ['proceed', 'flush']);
    assert.deepEqual(idle.end.done, []);
  });

  it('knows whether one has the traffic to itself', () => {
    using s = scene();
    const [one, other] = [s.open(1), s.open(2)];
    assert.ok(one.slot !== undefined && other.slot !== undefined);
    const use = (slot: PathSlot, times: number) => {
      for (let i = 0; i < times; i++) s.table.attend(slot);
    };
    use(one.slot, 20);
    assert.equal(s.table.areSeveral, false);
    use(other.slot, 1);
    assert.equal(s.table.areSeveral, true);
    use(one.slot, 5);
    assert.equal(s.table.areSeveral, true, 'others may be used again soon');
    use(one.slot, 20);
    assert.equal(s.table.areSeveral, false);
  });

  it('closes a path that is replaced or taken away, and watches it no more', () => {
    using s = scene();
    const { end, slot, ring } = s.open(3);
    assert.equal(slot?.carrier, end);
    ring();
    const next = s.open(3);
    assert.deepEqual([end.done, slot?.isOpen, slot?.carrier], [['close'], false, undefined], 'who kept the place knows');
    assert.deepEqual(s.ready(), []);
    next.ring();
    assert.deepEqual(s.ready(), [3]);
    s.table.set(3, undefined);
    assert.deepEqual([s.ready(), s.table.get(3)], [[], undefined]);
    next.end.isCarried = false;
    const idle = s.open(7);
    assert.ok(!s.table.hasIdlePath);
    idle.end.isCarried = false;
    assert.ok(s.table.hasIdlePath);
    idle.end.isCarried = true;
    s.open(9);
    assert.ok(s.table.hasIdlePath, 'not looked for among many');
    s.table.close();
    assert.deepEqual([next.end.done, idle.end.done], [['close'], ['close']]);
  });

  it('tells a path whose descriptor is none', () => {
    using s = scene();
    const end = new ScriptedEnd(-1);
    s.table.set(0, end as unknown as WorkerEnd);
    s.table.settle();
    assert.equal(end.failure, 9, 'EBADF');
    assert.deepEqual(s.ready(), []);
  });
});
