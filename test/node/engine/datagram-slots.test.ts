/** How much one call for datagrams may bring, against a system that has what the test wants. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DatagramSlots } from '../../../src/node/engine/datagram-slots.ts';
import { Arena } from '../../../src/node/ffi/arena.ts';
import { LINUX, type Libc } from '../../../src/node/ffi/libc.ts';

/** struct mmsghdr: its length, and where in it control's address and length are, and the message's length. */
const ENTRY = { size: 64, control: 32, controlLength: 40, length: 56 };
/** struct cmsghdr: type and value. */
const CONTROL = { type: 12, value: 16 };

/** A socket on which runs of datagrams wait: bytes of each datagram, and how many of them a run has. */
class Socket {
  readonly arena: Arena = new Arena(3 << 20);
  readonly slots: DatagramSlots;
  readonly #waiting: (readonly [size: number, count: number])[] = [];

  constructor() {
    const libc = { recvmmsg: (_fd: number, at: number, most: number) => this.#recvmmsg(at - this.arena.address(0), most) };
    this.slots = new DatagramSlots(libc as unknown as Libc, this.arena, true);
  }

  wait(runs: number, size: number, count: number): void {
    for (let i = 0; i < runs; i++) this.#waiting.push([size, count]);
  }

  receive(): number {
    return this.slots.receive(7, this.slots.most);
  }

  /** How many slots each call fills until nothing waits any more. */
  fill(): number[] {
    const calls: number[] = [];
    for (let filled = this.receive(); filled > 0; filled = this.receive()) calls.push(filled);
    return calls;
  }

  #recvmmsg(at: number, most: number): number {
    const { view } = this.arena;
    const taken = this.#waiting.splice(0, most);
    for (const [i, [size, count]] of taken.entries()) {
      const entry = at + i * ENTRY.size;
      view.setUint32(entry + ENTRY.length, size * count, true);
      if (count === 1) view.setUint32(entry + ENTRY.controlLength, 0, true);
      const control = Number(view.getBigUint64(entry + ENTRY.control, true)) - this.arena.address(0);
      view.setInt32(control + CONTROL.type, LINUX.UDP_GRO, true);
      view.setInt32(control + CONTROL.value, size, true);
    }
    return taken.length === 0 ? -1 : taken.length;
  }
}

describe('what one call for datagrams may bring', () => {
  it('is all slots of datagrams that come one by one', () => {
    const socket = new Socket();
    socket.wait(200, 100, 1);
    assert.deepEqual(socket.fill(), [1, 2, 4, 8, 16, 32, 32, 32, 32, 32, 9]);
  });

  it('is all slots of long runs of large ones', () => {
    const socket = new Socket();
    socket.wait(70, 1400, 46);
    assert.deepEqual(socket.fill(), [1, 32, 32, 5]);
  });

  it('is 64 small ones, as a socket of the host holds no more than a few times that', () => {
    const socket = new Socket();
    socket.wait(6, 100, 64);
    assert.deepEqual(socket.fill(), [1, 1, 1, 1, 1, 1]);
    socket.wait(100, 1400, 1);
    socket.fill();
    socket.wait(35, 100, 64);
    assert.deepEqual(socket.fill(), [32, 1, 1, 1], 'as soon as that is known');
    socket.wait(50, 100, 8);
    assert.deepEqual(socket.fill(), [1, 2, 4, 8, 8, 8, 8, 8, 3]);
  });

  it('leaves some where it stopped at its limit, and says so', () => {
    const socket = new Socket();
    socket.wait(3, 100, 40);
    const said: boolean[] = [];
    for (let i = 0; i < 4; i++) {
      socket.slots.leavesSome = false;
      socket.receive();
      said.push(socket.slots.leavesSome);
    }
    assert.deepEqual(said, [true, true, true, false]);
  });

  it('are long runs where a sender has gathered large ones: who waits for the answer is not to rest long where many share the device', () => {
    const says = (size: number, count: number): boolean[] => {
      const socket = new Socket();
      socket.wait(3, size, count);
      socket.fill();
      socket.slots.leavesSome = false;
      return [socket.slots.hasRuns, socket.slots.wantsBriefRest(true), socket.slots.wantsBriefRest(false)];
    };
    for (const count of [46, 16]) assert.deepEqual(says(1400, count), [true, true, false]);
    for (const [size, count] of [
      [1400, 15],
      [1400, 1],
      [100, 64],
    ] as const)
      assert.deepEqual(says(size, count), [false, false, false]);
  });
});
