/** The order in which the two sides are measured. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { alternate } from '../../bench/rounds.ts';

describe('rounds', () => {
  it('measure one side at a time, and let each go first in turn', async () => {
    const order: string[] = [];
    let running = 0;
    await alternate(3, async (side, round) => {
      assert.equal(++running, 1, 'two at a time');
      order.push(`${round} ${side}`);
      await Promise.resolve();
      running--;
      return {};
    });
    assert.deepEqual(order, ['0 sallyport', '0 reference', '1 reference', '1 sallyport', '2 sallyport', '2 reference']);
  });

  it('keep the samples of a round together, whoever went first', async () => {
    const samples = await alternate(3, async (side, round) => ({ time: side === 'sallyport' ? round : 10 + round, size: round * 2 }));
    assert.deepEqual(Object.fromEntries(samples), {
      time: { sallyport: [0, 1, 2], reference: [10, 11, 12] },
      size: { sallyport: [0, 2, 4], reference: [0, 2, 4] },
    });
  });

  it('end with the first that fails', async () => {
    let measured = 0;
    const failing = alternate(3, async () => {
      if (++measured === 2) throw new Error('no tunnel');
      return {};
    });
    await assert.rejects(failing, /no tunnel/);
    assert.equal(measured, 2);
  });
});
