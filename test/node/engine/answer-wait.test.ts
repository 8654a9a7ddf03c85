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

  /** Something comes after so many milliseconds. */
  receive(after: number): void {
    this.#now += after;
    this.wait.passed(0, 1, () => this.#now);
  }

  /** So many lone packets, each answered after a while, or not at all: how many were followed by a look-out. */
  lookOuts(packets: number, answerAfter: number | undefined): number {
    let count = 0;
    for (let i = 0; i < packets; i++) {
      if (this.send()) {
        count++;
        this.wait.ended(answerAfter !== undefined && answerAfter <= 0.5);
      }
      if (answerAfter !== undefined) this.receive(answerAfter);
    }
    return count;
  }
}

describe('the look-out for the answer to a lone packet', () => {
  it('follows each one once an answer came soon', () => {
    assert.equal(new Thread().lookOuts(1000, 0.3), 999);
  });

  it('is never tried where answers come late: a peer far away costs nothing', () => {
    const thread = new Thread();
    assert.equal(thread.lookOuts(1000, 10), 0);
    assert.equal(thread.lookOuts(2, 0.3), 1, 'but follows the first that came soon');
    assert.equal(thread.lookOuts(1000, 10), 1, 'until one is late');
  });

  it('is given up where no answers come', () => {
    const thread = new Thread();
    assert.equal(thread.lookOuts(1000, undefined), 0);
    thread.receive(0.3);
    assert.equal(thread.lookOuts(1000, undefined), 4);
  });

  it('is not for packets that are not alone, nor where nothing left', () => {
    const thread = new Thread();
    thread.lookOuts(2, 0.3);
    assert.equal(thread.send({ sent: 2 }), false);
    assert.equal(thread.send({ received: 1 }), false);
    assert.equal(thread.send({ sent: 0, received: 1 }), false);
    assert.equal(thread.send({ sent: 0 }), false);
    assert.equal(thread.send(), true);
    assert.equal(thread.send({ pause: 0.5 }), false, 'it follows another one at once');
  });

  it('takes what comes after packets that were not alone for no answer', () => {
    const thread = new Thread();
    thread.send({ sent: 2 });
    thread.receive(0.1);
    assert.equal(thread.send(), false);
  });

  it('is one for each packet', () => {
    const thread = new Thread();
    thread.lookOuts(2, 0.3);
    assert.equal(thread.send(), true);
    thread.wait.ended(false);
    assert.equal(thread.wait.isDue, false);
    assert.equal(thread.send({ sent: 0 }), false);
  });
});
