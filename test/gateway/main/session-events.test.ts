import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_KEPT_EVENTS, type NewSessionEvent, SessionEvents } from '../../../src/gateway/main/session-events.ts';

const CONNECTED: NewSessionEvent = {
  type: 'connected',
  at: 0,
  id: 7,
  user: 'alice',
  host: 'default',
  remote: '192.0.2.2',
  address: '10.0.0.2',
};

const forever = new AbortController().signal;

describe('session events', () => {
  it('come to a watcher that waits for them, in order and numbered', async () => {
    const events = new SessionEvents();
    const { last } = await events.after(undefined, forever);
    const waiting = events.after(last, forever);
    events.publish(CONNECTED);
    events.publish({ ...CONNECTED, type: 'disconnected', reason: 'idle timeout', duration: 5 });
    const page = await waiting;
    assert.deepEqual(
      page.events.map(({ number, type }) => [number, type]),
      [
        [1, 'connected'],
        [2, 'disconnected'],
      ],
    );
    assert.deepEqual([page.last, page.missed], [2, 0]);
  });

  it('that came meanwhile are there at once', async () => {
    const events = new SessionEvents();
    events.publish(CONNECTED);
    events.publish(CONNECTED);
    const page = await events.after(1, forever);
    assert.deepEqual(
      page.events.map(({ number }) => number),
      [2],
    );
  });

  it('end the waiting when the signal does', async () => {
    const events = new SessionEvents();
    const controller = new AbortController();
    const waiting = events.after(0, controller.signal);
    controller.abort();
    assert.deepEqual(await waiting, { events: [], last: 0, missed: 0 });
    assert.deepEqual(await events.after(0, controller.signal), { events: [], last: 0, missed: 0 });
  });

  it('are kept up to a limit, and a watcher that lags hears how many it missed', async () => {
    const events = new SessionEvents();
    for (let i = 0; i < MAX_KEPT_EVENTS + 3; i++) events.publish(CONNECTED);
    const page = await events.after(1, forever);
    assert.deepEqual([page.events.length, page.events[0]?.number, page.missed], [MAX_KEPT_EVENTS, 4, 2]);
  });

  it('are all news to a watcher of a gateway that has started again', async () => {
    const events = new SessionEvents();
    events.publish(CONNECTED);
    assert.equal((await events.after(500, forever)).events.length, 1);
  });
});
