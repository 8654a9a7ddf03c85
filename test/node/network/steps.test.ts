import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { isDeviceName, parseStep, type Step } from '../../../src/node/network/steps.ts';

const STEPS: readonly Step[] = [
  { kind: 'link', device: 'tun0', mtu: 1400, before: { mtu: 1500, isUp: false } },
  { kind: 'address', device: 'tun0', address: 'fd00::1/64' },
  { kind: 'route', purpose: 'tunnel', destination: '10.0.0.0/8', device: 'tun0', metric: 0 },
  {
    kind: 'route',
    purpose: 'gateway',
    destination: '203.0.113.9/32',
    device: 'eth0.5',
    via: 'fe80::1',
    source: '192.0.2.10',
    isOnlink: true,
    metric: 1,
    mtu: 1400,
    replaces: ['203.0.113.9', 'dev', 'x'],
  },
  { kind: 'resolved', device: 'tun0', servers: ['10.0.0.1'], domains: ['~.', 'corp.example'], isDefault: true },
  { kind: 'resolvconf', record: 'tun0.sallyport', content: 'nameserver 10.0.0.1\n' },
  { kind: 'network-manager', path: '/run/x', content: '' },
  { kind: 'resolv-conf', path: '/etc/resolv.conf', content: 'x', before: null },
];

describe('steps read from a journal', () => {
  it('are what was written', () => {
    for (const step of STEPS) assert.deepEqual(parseStep(JSON.parse(JSON.stringify(step))), step);
  });

  it('are nothing else: no word that could be an option, a second command, or a path elsewhere', () => {
    const wrong: readonly object[] = [
      { ...STEPS[0], device: '-all' },
      { ...STEPS[0], mtu: '1400; reboot' },
      { ...STEPS[0], before: null },
      { ...STEPS[1], address: '10.0.0.1/8\nlink delete dev eth0' },
      { ...STEPS[2], destination: 'default' },
      { ...STEPS[2], metric: -1 },
      { ...STEPS[3], via: 'x' },
      { ...STEPS[3], replaces: ['a\nb'] },
      { ...STEPS[3], replaces: 'text' },
      { ...STEPS[4], domains: ['a b'] },
      { ...STEPS[7], path: 'relative' },
      { kind: 'constructor' },
      { kind: 'unknown' },
    ];
    for (const step of wrong) assert.equal(parseStep(step), undefined, JSON.stringify(step));
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.equal(parseStep(value), undefined);
      }),
    );
  });
});

describe('a device name', () => {
  it('is what may become an argument', () => {
    for (const name of ['tun0', 'eth0.100', 'wg-home', 'br_1', '0']) assert.ok(isDeviceName(name));
    for (const name of ['', '-a', '.', 'a/b', 'a b', 'a\n', 'sixteen-letters-', 5, undefined]) assert.ok(!isDeviceName(name));
  });
});
