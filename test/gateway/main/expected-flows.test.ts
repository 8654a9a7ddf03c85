import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { EXPECTATION_LIFE, ExpectedFlows } from '../../../src/gateway/main/expected-flows.ts';

const id = (number: number) => Uint8Array.of(1, 2, number);

describe('UDP flows that are expected', () => {
  it('are known by their id, and go to the worker that has the keys', () => {
    const flows = new ExpectedFlows();
    assert.equal(flows.expect('alice', 3, id(1), 0), true);
    assert.deepEqual([flows.workerOf(id(1), 1), flows.workerOf(id(2), 1)], [3, undefined]);
  });

  it('are one for each session, the last, wherever it was told', () => {
    const flows = new ExpectedFlows();
    flows.expect('alice', 3, id(1), 0);
    flows.expect('alice', 4, id(2), 1);
    assert.deepEqual([flows.workerOf(id(1), 2), flows.workerOf(id(2), 2)], [undefined, 4]);
  });

  it('have ids that are nobody else’s', () => {
    const flows = new ExpectedFlows();
    flows.expect('alice', 3, id(1), 0);
    assert.equal(flows.expect('bob', 4, id(1), 1), false);
    assert.equal(flows.workerOf(id(1), 2), 3);
    assert.equal(flows.expect('alice', 4, id(1), 1), true, 'her own');
  });

  it('are forgotten with their session’s next tunnel, and in time', () => {
    const flows = new ExpectedFlows();
    flows.expect('alice', 3, id(1), 0);
    flows.expect('bob', 3, id(2), 10);
    flows.forget('alice');
    flows.forget('nobody');
    assert.equal(flows.workerOf(id(1), 20), undefined);
    assert.equal(flows.workerOf(id(2), EXPECTATION_LIFE + 9), 3);
    assert.equal(flows.workerOf(id(2), EXPECTATION_LIFE + 10), undefined);
    assert.equal(flows.expect('carol', 3, id(2), EXPECTATION_LIFE + 11), true, 'the id is free again');
  });
});
