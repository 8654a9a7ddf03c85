import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CancelledError } from '../../src/core/errors.ts';
import { unlessCancelled } from '../../src/node/cancellation.ts';

describe('work that cannot be stopped', () => {
  it('is waited for, however it ends', async () => {
    const { signal } = new AbortController();
    assert.equal(await unlessCancelled(Promise.resolve(1), signal), 1);
    await assert.rejects(unlessCancelled(Promise.reject(new Error('broken')), signal), /broken/);
  });

  it('is no longer waited for once the signal fires, even if it fails afterwards', async () => {
    const controller = new AbortController();
    const work = Promise.withResolvers<number>();
    const waiting = unlessCancelled(work.promise, controller.signal);
    controller.abort();
    await assert.rejects(waiting, CancelledError);
    work.reject(new Error('nobody hears this'));
  });

  it('is not waited for at all if the signal has fired already', async () => {
    await assert.rejects(unlessCancelled(Promise.resolve(1), AbortSignal.abort()), CancelledError);
  });
});
