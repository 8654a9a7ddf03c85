import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { NetworkError, PeerMisbehavedError, PeerRefusedError, SallyportError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { type Channel, Rpc, type RpcOptions } from '../../../src/gateway/processes/rpc.ts';

type Listener = (message: unknown, handle: unknown) => void;

/** Both ends of a channel in one process: what is sent is cloned, as between processes. */
class MemoryChannel implements Channel {
  peer: MemoryChannel | undefined;
  #onMessage: Listener = () => undefined;
  #onClose: () => void = () => undefined;

  send(message: unknown, handle: unknown, sent: () => void): boolean {
    const copy = structuredClone(message);
    queueMicrotask(() => {
      this.peer?.receive(copy, handle);
      sent();
    });
    return true;
  }

  receive(message: unknown, handle?: unknown): void {
    this.#onMessage(message, handle);
  }

  close(): void {
    this.#onClose();
  }

  onMessage(listener: Listener): void {
    this.#onMessage = listener;
  }

  onClose(listener: () => void): void {
    this.#onClose = listener;
  }
}

function pair(theirs: Partial<RpcOptions> = {}) {
  const [near, far] = [new MemoryChannel(), new MemoryChannel()];
  near.peer = far;
  far.peer = near;
  const faults: SallyportError[] = [];
  const ours = new Rpc(near, { peer: 'the far side', serves: {}, onFault: (error) => faults.push(error) });
  new Rpc(far, { peer: 'the near side', serves: {}, onFault: (error) => faults.push(error), ...theirs });
  return { ours, near, far, faults };
}

describe('calls between processes', () => {
  it('are answered, with bytes and secrets as they are', async () => {
    const serves = { join: (a: Secret, b: { readonly bytes: Uint8Array }) => new Secret(`${a.reveal()}-${b.bytes.length}`) };
    const { ours } = pair({ serves });
    const answer = await ours.call('join', [new Secret('x'), { bytes: Uint8Array.of(1, 2, 3) }]);
    assert.ok(answer instanceof Secret);
    assert.equal(answer.reveal(), 'x-3');
  });

  it('look like an object with methods, which is no promise', async () => {
    const { ours } = pair({ serves: { double: (n: number) => 2 * n } });
    const remote = ours.remote<{ double(n: number): Promise<number> }>();
    assert.equal(await (await Promise.resolve(remote)).double(21), 42);
  });

  it('fail with the class and the words of what was thrown', async () => {
    const serves = {
      refuse: () => {
        throw new PeerRefusedError('No address left.');
      },
      fail: () => Promise.reject(new TypeError('x is undefined')),
    };
    const { ours } = pair({ serves });
    await assert.rejects(ours.call('refuse', []), (error) => error instanceof PeerRefusedError && error.message === 'No address left.');
    await assert.rejects(ours.call('fail', []), (error) => error instanceof SallyportError && /x is undefined/.test(error.message));
  });

  it('reach nothing that is not served: no inherited method, and nothing without a guard', async () => {
    const { ours } = pair({ serves: { a: () => 1, b: () => 2 }, guards: { a: (args) => args as unknown[] } });
    assert.equal(await ours.call('a', []), 1);
    for (const name of ['b', 'c', 'toString', '__proto__', 'constructor']) {
      await assert.rejects(ours.call(name, []), /is not for it/, name);
    }
  });

  it('are refused where the guard says so, before anything runs', async () => {
    let runs = 0;
    const guards = {
      add: (args: unknown) => {
        if (!Array.isArray(args) || typeof args[0] !== 'number') throw new TypeError('a number, please');
        return args;
      },
    };
    const { ours } = pair({ serves: { add: () => ++runs }, guards });
    await assert.rejects(ours.call('add', ['one']), (error) => error instanceof PeerMisbehavedError && !/please/.test(error.message));
    assert.equal(runs, 0);
    assert.equal(await ours.call('add', [1]), 1);
  });

  it('end with the other side, those under way as well', async () => {
    const { ours, near } = pair({ serves: { never: () => new Promise(() => undefined) } });
    const waiting = assert.rejects(ours.call('never', []), (error) => error instanceof NetworkError && error.code === 'ERR_PROCESS_GONE');
    near.close();
    await waiting;
    await assert.rejects(ours.call('never', []), /has ended/);
    assert.equal(ours.notify('never', []), false);
  });

  it('take what travels with a notice, and tell of a notice that failed', async () => {
    const { promise: taken, resolve } = Promise.withResolvers<unknown>();
    const { promise: told, resolve: tell } = Promise.withResolvers<SallyportError>();
    const serves = {
      socket: (name: string, handle: unknown) => resolve([name, handle]),
      broken: () => {
        throw new Error('no');
      },
    };
    const { ours } = pair({ serves, onFault: tell });
    const handle = { fd: 7 };
    ours.notify('socket', ['a'], handle as never);
    assert.deepEqual(await taken, ['a', handle]);
    ours.notify('broken', []);
    assert.match((await told).message, /no/);
  });

  it('lose offers that the other side has no time for, and count them', async () => {
    let taken = 0;
    const { ours } = pair({ serves: { packets: () => taken++ } });
    for (let i = 0; i < 100; i++) ours.offer('packets', [i]);
    assert.equal(ours.lost, 100 - 64);
    await setImmediate();
    assert.equal(taken, 64);
    ours.offer('packets', [0]);
    await setImmediate();
    assert.equal(taken, 65, 'there is room again');
  });

  it('bound how deep a message may be, and what kinds there are', async () => {
    let deep: unknown = 1;
    for (let i = 0; i < 40; i++) deep = [deep];
    const { ours, far, faults } = pair({ serves: { take: () => 1 } });
    assert.throws(() => ours.notify('take', [deep]), /deeper than/);
    far.receive({ type: 'notice', name: 'take', args: deep });
    far.receive({ type: 'other' });
    assert.equal(faults.length, 2);
  });
});
