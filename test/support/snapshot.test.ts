import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assertUnchanged, differences, type NetworkSnapshot } from './snapshot.ts';

const snapshot = (subjects: Record<string, readonly string[]>): NetworkSnapshot => new Map(Object.entries(subjects));

describe('differences of snapshots', () => {
  it('are none between equal ones, and lists may come in another order', () => {
    const before = snapshot({ 'IPv4 route': ['a', 'b'], '/etc/hosts': ['x', ''] });
    assert.deepEqual(differences(before, snapshot({ 'IPv4 route': ['b', 'a'], '/etc/hosts': ['x', ''] })), []);
  });

  it('name what is gone and what is new, each with its subject', () => {
    const before = snapshot({ device: ['eth0', 'tun0'], address: ['1'] });
    const after = snapshot({ device: ['eth0'], address: ['1', '1', '2'] });
    assert.deepEqual(differences(before, after), ['- device: tun0', '+ address: 1', '+ address: 2']);
  });

  it('notice the order of lines in a file', () => {
    const before = snapshot({ device: ['eth0'], '/etc/resolv.conf': ['nameserver 1', 'nameserver 2'] });
    const after = snapshot({ device: ['eth1'], '/etc/resolv.conf': ['nameserver 2', 'nameserver 1'] });
    assert.deepEqual(differences(before, after), [
      '- device: eth0',
      '+ device: eth1',
      '± /etc/resolv.conf: the same lines in another order',
    ]);
  });

  it('are the message of a failed assertion', () => {
    const before = snapshot({ device: ['eth0'] });
    assertUnchanged(before, snapshot({ device: ['eth0'] }));
    assert.throws(() => assertUnchanged(before, snapshot({ device: ['eth0', 'tun0'] })), {
      name: 'AssertionError',
      message: 'The network is not as it was:\n+ device: tun0',
    });
  });
});
