/** The wait for what main gives back, beside traffic of others that never lets the rings be empty. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReturnWait } from '../../../src/node/engine/return-wait.ts';
import { SharedMemory, WORD } from '../../../src/node/engine/shared-memory.ts';

const ENTRY = new Uint8Array(100);

function rings() {
  const main = new SharedMemory();
  const worker = new SharedMemory(main.buffer);
  const move = (ring: 'toMain' | 'toWorker', action: 'push' | 'take') => {
    const [pusher, taker] = ring === 'toMain' ? [worker, main] : [main, worker];
    if (action === 'push') {
      assert.ok(pusher[ring].push(1, ENTRY, 0, ENTRY.length));
      pusher[ring].publish();
    } else {
      assert.ok(taker[ring].next());
      taker[ring].release();
    }
  };
  return { worker, move };
}

describe('the wait for what main gives back', () => {
  it('is over at once where main holds nothing', () => {
    assert.ok(new ReturnWait(rings().worker).isOver);
  });

  it('lasts until main has taken what was delivered before, and what it gave back has been read, and no longer', () => {
    const { worker, move } = rings();
    move('toMain', 'push');
    const wait = new ReturnWait(worker);
    move('toMain', 'push'); // of others
    move('toWorker', 'push');
    assert.equal(wait.isOver, false);
    assert.equal(Atomics.load(worker.words, WORD.roomWanted), 1, 'main is to wake the worker when it has taken more');
    move('toWorker', 'take');
    assert.equal(wait.isOver, false);
    move('toWorker', 'push'); // what comes back
    move('toMain', 'take');
    assert.equal(wait.isOver, false);
    move('toWorker', 'push'); // of others, later
    move('toMain', 'push');
    assert.equal(wait.isOver, false);
    move('toWorker', 'take');
    assert.equal(wait.isOver, true, 'though neither ring is empty');
  });
});
