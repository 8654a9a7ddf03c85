import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ControlDesk, type ControlDeskOptions } from '../../../src/gateway/main/control-desk.ts';

/** A desk at which alice has a tunnel, an idle session and one that gets its tunnel now, and bob a tunnel; and what is done there. */
function makeDesk() {
  const done: string[] = [];
  const over = new Set<string>();
  const note = (text: string) => async () => void done.push(text);
  const tunnels = [
    { id: 1, session: { id: 'first', user: 'alice' } },
    { id: 2, session: { id: 'third', user: 'bob' } },
  ];
  const sessions = [
    { id: 'first', user: 'alice', isOpen: true },
    { id: 'second', user: 'alice', isOpen: false },
    { id: 'third', user: 'bob', isOpen: true },
    { id: 'fourth', user: 'alice', isOpen: true },
  ];
  const parts = {
    table: {
      ofUser: (name: string) => tunnels.filter(({ session }) => session.user === name),
      find: (id: number) => [{ worker: 0, tunnel: tunnels[0] }, { worker: 0, tunnel: tunnels[1] }, { worker: 0 }][id - 1],
    },
    auth: {
      revokePasses: (user: string) => note(`passes of ${user}`)(),
      sessions: async () => sessions.filter(({ id }) => !over.has(id)),
    },
    desk: {
      disconnect: ({ session }: (typeof tunnels)[number]) => {
        over.add(session.id);
        return note(`tunnel of ${session.user}`)();
      },
      endSessionOf: (id: string) => note(`session ${id}`)(),
    },
    pool: { service: () => ({ drop: (id: number) => note(`connection ${id}`)() }) },
  };
  return { desk: new ControlDesk(parts as unknown as ControlDeskOptions), done };
}

describe('what an administrator ends', () => {
  it('is all that a user has: the passes first, that nobody comes back by one, then tunnels, then sessions without, or whose tunnel has just come', async () => {
    const { desk, done } = makeDesk();
    assert.equal(await desk.disconnectUser('alice'), 1);
    assert.deepEqual(done, ['passes of alice', 'tunnel of alice', 'session second', 'session fourth']);
  });

  it('is a tunnel by its number, and the passes of its user', async () => {
    const { desk, done } = makeDesk();
    assert.equal(await desk.disconnectId(2), true);
    assert.deepEqual(done, ['passes of bob', 'tunnel of bob']);
  });

  it('is a connection that is nobody’s yet', async () => {
    const { desk, done } = makeDesk();
    assert.deepEqual([await desk.disconnectId(3), await desk.disconnectId(4)], [true, false]);
    assert.deepEqual(done, ['connection 3']);
  });
});
