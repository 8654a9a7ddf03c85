import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DataPath } from '../../../src/core/tunnel/data-path.ts';

const s = (seconds: number) => seconds * 1000;

/** One that is being tried since `at`. */
function tried(at: number): DataPath {
  const path = new DataPath();
  path.offered(at);
  assert.equal(path.handleTimeout(at), 'try');
  return path;
}

describe('DataPath', () => {
  it('does nothing until a datagram path is offered', () => {
    const path = new DataPath();
    assert.deepEqual(path.state, { name: 'disabled' });
    assert.equal(path.nextTimeout(), undefined);
    path.lost(s(1));
    path.proven();
    assert.deepEqual(path.state, { name: 'disabled' });
  });

  it('is tried at once when it is offered', () => {
    const path = new DataPath();
    path.offered(s(3));
    assert.equal(path.nextTimeout(), s(3));
    assert.equal(path.handleTimeout(s(2)), 'none');
    assert.equal(path.handleTimeout(s(3)), 'try');
    assert.deepEqual(path.state, { name: 'trying', since: s(3) });
  });

  // Spec "AnyConnect", section 7.9.
  it('gives an attempt 12 seconds, and begins the next one 60 seconds after its end', () => {
    const path = tried(0);
    assert.equal(path.nextTimeout(), s(12));
    assert.equal(path.handleTimeout(s(12)), 'give-up');
    path.lost(s(12)); // the owner's own clean-up changes nothing
    assert.equal(path.nextTimeout(), s(72));
    assert.equal(path.handleTimeout(s(72)), 'try');
    path.lost(s(75));
    assert.equal(path.nextTimeout(), s(135), 'counted from when it failed');
  });

  it('is tried again at once when it worked and is lost', () => {
    const path = tried(0);
    path.proven();
    assert.equal(path.nextTimeout(), undefined);
    path.lost(s(100));
    assert.equal(path.nextTimeout(), s(100));
    assert.equal(path.handleTimeout(s(100)), 'try');
    path.lost(s(100));
    assert.equal(path.nextTimeout(), s(160), 'once');
  });

  it('does not begin attempts in quick succession where each breaks right after its proof', () => {
    const path = tried(0);
    path.proven();
    path.lost(s(1));
    assert.equal(path.nextTimeout(), s(12));
  });

  it('is never tried again once it is disabled', () => {
    const path = tried(0);
    path.disable();
    path.lost(s(1));
    path.proven();
    assert.equal(path.nextTimeout(), undefined);
    assert.equal(path.handleTimeout(s(1000)), 'none');
  });
});
