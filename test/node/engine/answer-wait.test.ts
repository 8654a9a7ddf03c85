import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerWait } from '../../../src/node/engine/answer-wait.ts';

/** A thread whose lone packets leave so many milliseconds apart. */
class Thread {
  readonly wait: AnswerWait = new AnswerWait();
  #now = 1000;

  /** One packet leaves after a pause. Whether its answer is looked out for. */
  send({ pause = 20, sent = 1, received = 0 }: { pause?: number; sent?: number; received?: number } = {}): boolean {
    this.#now += pause;
    this.wait.passed(sent, received, () => this.#now);
    return this.wait.isDue;
  }

  /** So many lone packets whose look-outs end like this: how many there were. */
  lookOuts(packets: number, came: boolean): number {
    let count = 0;
    for (let i = 0; i < packets; i++) {
      if (!this.send()) continue;
      count++;
      this.wait.ended(came);
    }
    return count;
  }
}

describe('the look-out for the answer to a lone packet', () => {
  it('follows each one while answers come that soon', () => {
    assert.equal(new Thread().lookOuts(1000, true), 1000);
  });

  it('is given up where they do not: a peer far away costs nothing', () => {
    const thread = new Thread();
    assert.equal(thread.lookOuts(4, false), 4);
    assert.equal(thread.lookOuts(64, false), 0);
    assert.equal(thread.lookOuts(65 * 100, false), 100, 'but is tried now and then');
  });

  it('is back with the first answer', () => {
    const thread = new Thread();
    thread.lookOuts(4 + 64, false);
    assert.equal(thread.lookOuts(100, true), 100);
  });

  it('is not for packets that are not alone, nor where nothing left', () => {
    const thread = new Thread();
    assert.equal(thread.send({ sent: 2 }), false);
    assert.equal(thread.send({ received: 1 }), false);
    assert.equal(thread.send({ sent: 0, received: 1 }), false);
    assert.equal(thread.send({ sent: 0 }), false);
    assert.equal(thread.send(), true);
    assert.equal(thread.send({ pause: 0.5 }), false, 'it follows another one at once');
  });

  it('is one for each packet', () => {
    const thread = new Thread();
    assert.equal(thread.send(), true);
    thread.wait.ended(false);
    assert.equal(thread.wait.isDue, false);
    assert.equal(thread.send({ sent: 0 }), false);
  });
});
