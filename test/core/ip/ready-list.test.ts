import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReadyList } from '../../../src/core/ip/ready-list.ts';

function socket(onReady: () => void) {
  return { isReadyQueued: false, onReady };
}

describe('ready list', () => {
  it('tells each once, and what becomes ready meanwhile the next time', () => {
    const list = new ReadyList();
    const told: string[] = [];
    const second = socket(() => told.push('second'));
    const first = socket(() => {
      told.push('first');
      list.add(first);
    });
    for (const each of [first, second, first]) list.add(each);
    list.tell();
    assert.deepEqual(told, ['first', 'second']);
    list.tell();
    assert.deepEqual(told, ['first', 'second', 'first']);
  });

  it('tells the others the next time if one throws', () => {
    const list = new ReadyList();
    const told: string[] = [];
    list.add(
      socket(() => {
        throw new Error('mine');
      }),
    );
    list.add(socket(() => told.push('other')));
    assert.throws(() => list.tell(), /mine/);
    assert.equal(list.isEmpty, false);
    list.tell();
    assert.deepEqual([told, list.isEmpty], [['other'], true]);
  });
});
