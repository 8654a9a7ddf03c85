import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Path, TunnelEvent, TunnelSink } from '../../../src/core/tunnel/machine.ts';
import { type Flow, type MovingChannel, MovingFlow } from '../../../src/core/tunnel/moving-flow.ts';

const path = (): Path => ({ kind: 'datagram' });
const flow = (engine = true): Flow => ({ path: path(), engine });
const DATAGRAM = Uint8Array.of(1, 2, 3);

function scene() {
  const events: TunnelEvent[] = [];
  const out: TunnelSink & { readonly events: TunnelEvent[] } = {
    events,
    event: (event) => void events.push(event),
    on: () => assert.fail('it sends nothing'),
  };
  const current = path();
  const channel = (more: Partial<MovingChannel<string>> = {}): MovingChannel<string> => ({
    ...{ owner: 'alice', path: current, isHandedOver: false, receive: () => true },
    ...more,
  });
  return { flows: new MovingFlow<string>(), out, current, channel };
}

describe('a flow that comes', () => {
  it('arrives until something comes by it, one at a time', () => {
    const { flows, out } = scene();
    const [first, second] = [flow(), flow()];
    flows.opened(first, out);
    flows.opened(second, out);
    assert.deepEqual(out.events, [{ type: 'drop', path: first.path }]);
    assert.equal(flows.take(first.path), undefined);
    assert.equal(flows.arriving, second.path);
    assert.equal(flows.take(second.path), second);
    assert.equal(flows.take(second.path), undefined);
  });

  it('is the client’s if its first datagram is, and else is dropped', () => {
    for (const isTheirs of [true, false]) {
      const { flows, out, channel } = scene();
      const arriving = flow();
      assert.equal(flows.admit(arriving, DATAGRAM, channel({ receive: () => isTheirs }), out), isTheirs);
      assert.deepEqual(out.events, isTheirs ? [] : [{ type: 'drop', path: arriving.path }]);
    }
    const { flows, out } = scene();
    assert.equal(flows.admit(flow(), DATAGRAM, undefined, out), false);
    assert.equal(out.events.length, 1);
  });

  it('is put to the engine where that has the keys, one at a time, and said to have moved once', () => {
    const { flows, out, current, channel } = scene();
    const held = channel({ isHandedOver: true, receive: () => assert.fail('it has no keys') });
    const [first, second] = [flow(), flow()];
    assert.equal(flows.admit(first, DATAGRAM, held, out), false);
    assert.deepEqual(out.events, [{ type: 'move', from: current, to: first.path, datagram: DATAGRAM }]);
    assert.equal(flows.moving, first.path);
    assert.equal(flows.admit(second, DATAGRAM, held, out), false);
    assert.deepEqual(out.events[1], { type: 'drop', path: second.path });
    assert.equal(flows.moved(second.path), undefined);
    assert.deepEqual(flows.moved(first.path), { flow: first, owner: 'alice' });
    assert.equal(flows.moved(first.path), undefined);
  });

  it('is dropped where the engine has the keys and cannot carry it, or carries nothing now', () => {
    for (const [engine, more] of [
      [false, {}],
      [true, { path: undefined }],
    ] as const) {
      const { flows, out, channel } = scene();
      const arriving = flow(engine);
      assert.equal(flows.admit(arriving, DATAGRAM, channel({ isHandedOver: true, ...more }), out), false);
      assert.deepEqual(out.events, [{ type: 'drop', path: arriving.path }]);
    }
  });

  it('is forgotten when it is lost, and dropped at the end', () => {
    const { flows, out, channel } = scene();
    const [moving, arriving] = [flow(), flow()];
    flows.admit(moving, DATAGRAM, channel({ isHandedOver: true }), out);
    flows.opened(arriving, out);
    flows.lost(moving.path);
    assert.deepEqual([flows.moving, flows.arriving], [undefined, arriving.path]);
    flows.admit(moving, DATAGRAM, channel({ isHandedOver: true }), out);
    const before = out.events.length;
    flows.drop(out);
    assert.deepEqual(out.events.slice(before), [
      { type: 'drop', path: arriving.path },
      { type: 'drop', path: moving.path },
    ]);
    assert.deepEqual([flows.moving, flows.arriving], [undefined, undefined]);
  });
});
