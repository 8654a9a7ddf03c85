import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXPECTATION_LIFE, Expectations } from '../../../src/gateway/processes/expectations.ts';

const id = (number: number) => Uint8Array.of(1, 2, number);

describe('UDP flows that are expected', () => {
  it('are known by their id', () => {
    const flows = new Expectations<number>();
    assert.equal(flows.expect('alice', id(1), 3, 0), true);
    assert.deepEqual([flows.of(id(1), 1), flows.of(id(2), 1)], [3, undefined]);
  });

  it('are one for each session, the last, wherever it was told', () => {
    const flows = new Expectations<number>();
    flows.expect('alice', id(1), 3, 0);
    flows.expect('alice', id(2), 4, 1);
    assert.deepEqual([flows.of(id(1), 2), flows.of(id(2), 2)], [undefined, 4]);
  });

  it('have ids that are nobody else’s', () => {
    const flows = new Expectations<number>();
    flows.expect('alice', id(1), 3, 0);
    assert.equal(flows.expect('bob', id(1), 4, 1), false);
    assert.equal(flows.of(id(1), 2), 3);
    assert.equal(flows.expect('alice', id(1), 4, 1), true, 'her own');
  });

  it('are forgotten with their session’s next tunnel, when they have come, and in time', () => {
    const flows = new Expectations<number>();
    flows.expect('alice', id(1), 3, 0);
    flows.expect('bob', id(2), 3, 10);
    flows.expect('carol', id(3), 3, 10);
    flows.forget('alice');
    flows.forget('nobody');
    flows.forgetId(id(3));
    flows.forgetId(id(9));
    assert.deepEqual([flows.of(id(1), 20), flows.of(id(3), 20)], [undefined, undefined]);
    assert.equal(flows.of(id(2), EXPECTATION_LIFE + 9), 3);
    assert.equal(flows.of(id(2), EXPECTATION_LIFE + 10), undefined);
    assert.equal(flows.expect('dave', id(2), 3, EXPECTATION_LIFE + 11), true, 'the id is free again');
  });

  it('are forgotten with the worker that has their keys', () => {
    const flows = new Expectations<number>();
    flows.expect('alice', id(1), 3, 0);
    flows.expect('bob', id(2), 4, 0);
    flows.expect('carol', id(3), 3, 0);
    flows.forgetWhere((worker) => worker === 3);
    assert.deepEqual(
      [1, 2, 3].map((number) => flows.of(id(number), 1)),
      [undefined, 4, undefined],
    );
  });

  it('are no more than there is room for, and one session takes no more room than another', () => {
    const flows = new Expectations<number>(2);
    flows.expect('alice', id(1), 3, 0);
    flows.expect('bob', id(2), 3, 1);
    for (let number = 10; number < 20; number++) flows.expect('bob', id(number), 3, number);
    assert.equal(flows.of(id(1), 20), 3);
    flows.expect('carol', id(20), 3, 20);
    assert.deepEqual([flows.of(id(1), 21), flows.of(id(19), 21), flows.of(id(20), 21)], [undefined, 3, 3]);
  });
});
