import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { respondToUnderlay } from '../../src/client/underlay-response.ts';
import type { UnderlayState } from '../../src/node/network/underlay-watch.ts';

const eth: UnderlayState = { way: { device: 'eth0', via: '192.0.2.1' }, isLost: false, isAddressGone: false };
const otherRouter: UnderlayState = { ...eth, way: { device: 'eth0', via: '192.0.2.254' } };
const wlan: UnderlayState = { ...eth, way: { device: 'wlan0', via: '198.18.0.1' } };
const nothing: UnderlayState = { isLost: true, isAddressGone: false };
const gone = (state: UnderlayState): UnderlayState => ({ ...state, isAddressGone: true });

describe('a session on a network that changes', () => {
  it('waits while there is no network, and is told once', () => {
    assert.deepEqual(respondToUnderlay(eth, nothing, 'stream'), ['lost']);
    assert.deepEqual(respondToUnderlay(eth, gone(nothing), 'datagram'), ['lost']);
    assert.deepEqual(respondToUnderlay(nothing, gone(nothing), 'datagram'), []);
  });

  it('goes on with UDP where it was, when the network is back with its address', () => {
    assert.deepEqual(respondToUnderlay(nothing, eth, 'datagram'), ['back']);
  });

  it('does not wait for a TCP connection that sat out a gap', () => {
    assert.deepEqual(respondToUnderlay(nothing, eth, 'stream'), ['back', 'reconnect']);
  });

  it('makes a new connection when the old one’s address or device is no longer the way', () => {
    assert.deepEqual(respondToUnderlay(eth, wlan, 'datagram'), ['reconnect']);
    assert.deepEqual(respondToUnderlay(eth, gone(eth), 'datagram'), ['reconnect']);
    assert.deepEqual(respondToUnderlay(nothing, gone(eth), 'datagram'), ['back', 'reconnect']);
  });

  it('lets another router on the same network carry the packets', () => {
    assert.deepEqual(respondToUnderlay(eth, otherRouter, 'stream'), []);
    assert.deepEqual(respondToUnderlay(eth, { ...eth, isLost: true }, 'stream'), [], 'the gateway’s route has been put back');
  });
});
