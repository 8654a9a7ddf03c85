/** A worker in an attacker's hands lies to main: what it may say at all, and of what. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MisuseError } from '../../../src/core/errors.ts';
import { Secret } from '../../../src/core/secret.ts';
import { knownBy, SessionTable, type Tunnel } from '../../../src/gateway/main/session-table.ts';
import type { KnownSession } from '../../../src/gateway/processes/auth-service.ts';
import { WORKER_GUARDS } from '../../../src/gateway/processes/worker-contract.ts';
import { ip } from '../auth/auth-scene.ts';

const HERE = { address: ip('192.0.2.1'), port: 443 };
const LONG = 'x'.repeat(100_000);
const HINTS = { remote: HERE, local: HERE, userAgent: 'AnyConnect' };
const WISHES = { wantsIpv4: true, wantsIpv6: false, isMobile: false, userAgent: '' };
const END = { received: 1, sent: 2, duration: 3, reason: 'unspecified', keepsCookie: true };

const KEYS = { id: 1, key: new Uint8Array(32), iv: new Uint8Array(0), mac: new Uint8Array(20), nextSequence: 1 };
const SHAKEN = { version: '1.0', suite: 0xc014, isResumed: false, hasExtendedMasterSecret: false, maxPlaintext: 16_384 };
const ASSOCIATION = { session: SHAKEN, seal: KEYS, open: KEYS };

/** What an honest worker says, of each kind. */
const HONEST: Readonly<Record<string, readonly unknown[]>> = {
  admits: [1, HERE, HERE],
  begin: [1, HINTS],
  answer: [1, 'id', { username: 'alice', password: new Secret('x') }],
  knows: [1, 'id'],
  session: [1, new Secret('cookie')],
  preview: [1, 'session', WISHES],
  lease: [1, 'session', WISHES],
  expects: [1, 'session', new Uint8Array(3)],
  opened: [1, new Uint8Array(32), new Uint8Array(32)],
  greeted: [1, new Uint8Array(32), ASSOCIATION],
  rebound: [1, 'session', new Uint8Array(91)],
  endSession: [1, 'session'],
  reported: [1, { received: 1, sent: 2, duration: 3 }],
  closed: [1, END],
  disconnected: [1],
  forward: [[new Uint8Array(1400)]],
  strayed: [new Uint8Array(100), HERE],
  log: ['info', 'event', { user: 'alice', id: 1, isOpen: true }],
};

const LIES: readonly (readonly [what: string, name: string, args: unknown])[] = [
  ['an address of five bytes', 'admits', [1, { address: { family: 4, bytes: new Uint8Array(5) }, port: 1 }, HERE]],
  ['a port that is none', 'admits', [1, { ...HERE, port: 65_536 }, HERE]],
  ['a number that is a fraction', 'knows', [1.5, 'id']],
  ['a negative number', 'disconnected', [-1]],
  ['no number', 'disconnected', ['1']],
  ['nothing at all', 'disconnected', []],
  ['no list', 'disconnected', { 0: 1, length: 1 }],
  ['one argument more', 'disconnected', [1, 'x']],
  ['a user agent of 100 kB', 'begin', [1, { ...HINTS, userAgent: LONG }]],
  ['a chain of a thousand certificates', 'begin', [1, { ...HINTS, certificateChain: Array(1000).fill(new Uint8Array(1)) }]],
  ['a certificate of 100 kB', 'begin', [1, { ...HINTS, certificateChain: [new Uint8Array(100_000)] }]],
  ['a bearer that is no secret', 'begin', [1, { ...HINTS, bearer: 'token' }]],
  ['a thousand answers', 'answer', [1, 'id', Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`a${i}`, 'b']))]],
  ['an answer of 100 kB', 'answer', [1, 'id', { password: new Secret(LONG) }]],
  ['an answer that is an object', 'answer', [1, 'id', { password: { toString: 'x' } }]],
  ['a cookie of 100 kB', 'session', [1, new Secret(LONG)]],
  ['a cookie in the clear', 'session', [1, 'cookie']],
  ['wishes that are none', 'lease', [1, 'session', { ...WISHES, wantsIpv4: 'yes' }]],
  ['a host name of 100 kB', 'lease', [1, 'session', { ...WISHES, hostname: LONG }]],
  ['an expectation of 100 kB', 'expects', [1, 'session', new Uint8Array(100_000)]],
  ['an expectation of every hello without a session', 'expects', [1, 'session', new Uint8Array(0)]],
  ['an id of 100 kB', 'opened', [1, new Uint8Array(100_000)]],
  ['an id of nothing', 'opened', [1, new Uint8Array(0)]],
  ['a greeting of nothing', 'opened', [1, undefined, new Uint8Array(0)]],
  ['an id that is text', 'opened', [1, 'id']],
  ['a greeting of 100 kB', 'greeted', [1, new Uint8Array(100_000), ASSOCIATION]],
  ['a version that nobody shakes hands in', 'greeted', [1, new Uint8Array(32), { ...ASSOCIATION, session: { ...SHAKEN, version: '0.9' } }]],
  ['a traffic key of 100 kB', 'greeted', [1, new Uint8Array(32), { ...ASSOCIATION, seal: { ...KEYS, mac: new Uint8Array(100_000) } }]],
  ['a key of 100 kB', 'rebound', [1, 'session', new Uint8Array(100_000)]],
  ['bytes below nothing', 'reported', [1, { received: -1, sent: 0, duration: 0 }]],
  ['endless bytes', 'reported', [1, { received: Number.POSITIVE_INFINITY, sent: 0, duration: 0 }]],
  ['no number of bytes', 'closed', [1, { ...END, sent: Number.NaN }]],
  ['a reason that nobody knows', 'closed', [1, { ...END, reason: '<b>' }]],
  ['ten thousand packets', 'forward', [Array(10_000).fill(new Uint8Array(1))]],
  ['a packet of 100 kB', 'forward', [[new Uint8Array(100_000)]]],
  ['a datagram that is text', 'strayed', ['datagram', HERE]],
];

describe('what a worker may say', () => {
  it('is what an honest one says', () => {
    assert.deepEqual(Object.keys(WORKER_GUARDS).sort(), Object.keys(HONEST).sort());
    for (const [name, args] of Object.entries(HONEST)) assert.deepEqual(WORKER_GUARDS[name]?.(args), args, name);
  });

  for (const [what, name, args] of LIES) it(`is not ${what} (${name})`, () => assert.throws(() => WORKER_GUARDS[name]?.(args)));

  const LINES: readonly (readonly [what: string, line: readonly unknown[]])[] = [
    ['a level that nobody knows', ['fatal', 'event', {}]],
    ['a line of 100 kB', ['info', LONG, {}]],
    ['a field that is an object', ['info', 'event', { user: { name: 'x' } }]],
  ];

  for (const [what, line] of LINES) {
    it(`is not ${what}: it is told that there was one, and nothing of it`, () => {
      const [level, event, fields] = WORKER_GUARDS.log?.(line) ?? [];
      assert.deepEqual([level, fields], ['warn', {}]);
      assert.match(String(event), /a line of the log was dropped/);
    });
  }

  it('is stripped of what it adds', () => {
    const [, hints] = WORKER_GUARDS.begin?.([1, { ...HINTS, isAdmin: true }]) ?? [];
    assert.equal((hints as { isAdmin?: boolean }).isAdmin, undefined);
  });
});

describe('what a worker may speak of', () => {
  const [OWN, OTHER] = [0, 1];
  const session: KnownSession = { id: 's', user: 'alice', createdAt: 0, userAgent: '' };

  it('are connections that main gave to it, and no others', () => {
    const table = new SessionTable();
    const { id } = table.connect(OWN, HERE, HERE, 0);
    assert.equal(table.connectionOf(OWN, id).id, id);
    assert.throws(() => table.connectionOf(OTHER, id), MisuseError);
    assert.throws(() => table.connectionOf(OWN, id + 1), MisuseError);
  });

  it('are sessions whose cookie came by that connection', () => {
    const table = new SessionTable();
    const [one, another] = [table.connect(OWN, HERE, HERE, 0), table.connect(OWN, HERE, HERE, 0)];
    one.known = session;
    assert.equal(knownBy(table, OWN, one.id, 's').known, session);
    assert.throws(() => knownBy(table, OWN, one.id, 't'), MisuseError);
    assert.throws(() => knownBy(table, OWN, another.id, 's'), MisuseError, 'the cookie has not come by this one');
    assert.throws(() => knownBy(table, OTHER, one.id, 's'), MisuseError);
  });

  it('are tunnels that it runs', () => {
    const table = new SessionTable();
    const connection = table.connect(OWN, HERE, HERE, 0);
    assert.throws(() => table.tunnelOf(OWN, connection.id), MisuseError, 'there is none yet');
    const tunnel = { id: connection.id, connection, session } as unknown as Tunnel;
    table.open(tunnel);
    assert.equal(table.tunnelOf(OWN, connection.id), tunnel);
    assert.throws(() => table.tunnelOf(OTHER, connection.id), MisuseError);
    table.close(tunnel);
    assert.throws(() => table.tunnelOf(OWN, connection.id), MisuseError, 'it is gone');
  });
});
