import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Cidr, type IpAddress, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { BanTable, MAX_BANNED_ADDRESSES, MAX_SCORED_ADDRESSES } from '../../../src/gateway/main/ban-table.ts';

const SETTINGS = { maxScore: 30, banTime: 60_000, resetTime: 300_000 };
const START = Date.UTC(2026, 0, 1);

function ip(text: string): IpAddress {
  const address = parseIp(text);
  assert.ok(address !== undefined);
  return address;
}

function network(text: string): Cidr {
  const cidr = parseCidr(text);
  assert.ok(cidr !== undefined);
  return cidr;
}

/** The nth IPv4 address. */
const nth = (n: number): IpAddress => ({ family: 4, bytes: Uint8Array.of(11, n >>> 16, n >>> 8, n) });

describe('the ban table', () => {
  it('bans an address when its points reach the limit, for the ban time', () => {
    const table = new BanTable(SETTINGS);
    assert.equal(table.add(ip('192.0.2.1'), 10, START), 'counted');
    assert.equal(table.add(ip('192.0.2.1'), 10, START + 1), 'counted');
    assert.equal(table.isBanned(ip('192.0.2.1'), START + 1), false);
    assert.equal(table.add(ip('192.0.2.1'), 10, START + 2), 'banned');
    assert.equal(table.isBanned(ip('192.0.2.1'), START + 60_001), true);
    assert.equal(table.isBanned(ip('192.0.2.2'), START + 60_001), false);
    assert.equal(table.isBanned(ip('192.0.2.1'), START + 60_002), false);
    assert.deepEqual(table.listings(START + 60_002), [], 'after the ban the slate is clean');
  });

  it('counts on while an address is banned, and the ban ends no later', () => {
    const table = new BanTable(SETTINGS);
    table.add(ip('192.0.2.1'), 30, START);
    assert.equal(table.add(ip('192.0.2.1'), 10, START + 59_000), 'counted');
    assert.deepEqual(table.listings(START + 59_000), [{ address: '192.0.2.1', score: 40, bannedUntil: START + 60_000 }]);
    assert.equal(table.isBanned(ip('192.0.2.1'), START + 60_000), false);
  });

  it('forgets points after the reset time without new ones', () => {
    const table = new BanTable(SETTINGS);
    table.add(ip('192.0.2.1'), 20, START);
    table.add(ip('192.0.2.1'), 1, START + 299_999);
    assert.deepEqual(table.listings(START + 599_998), [{ address: '192.0.2.1', score: 21 }]);
    assert.deepEqual(table.listings(START + 599_999), []);
    assert.equal(table.add(ip('192.0.2.1'), 20, START + 599_999), 'counted');
  });

  it('takes all of an IPv6 /64 for one client', () => {
    const table = new BanTable(SETTINGS);
    table.add(ip('2001:db8:2::1'), 20, START);
    assert.equal(table.add(ip('2001:db8:2::ffff:1'), 20, START), 'banned');
    assert.equal(table.isBanned(ip('2001:db8:2:0:aaaa::'), START), true);
    assert.equal(table.isBanned(ip('2001:db8:2:1::1'), START), false);
    assert.equal(table.listings(START)[0]?.address, '2001:db8:2::');
    assert.equal(table.unban(ip('2001:db8:2::7')), true);
    assert.equal(table.isBanned(ip('2001:db8:2::1'), START), false);
  });

  it('knows an IPv4 client that comes by a socket for both families', () => {
    const table = new BanTable(SETTINGS, [network('198.51.100.0/24')]);
    table.add(ip('::ffff:c000:201'), 30, START);
    assert.equal(table.isBanned(ip('192.0.2.1'), START), true);
    assert.equal(table.isBanned(ip('::ffff:c000:202'), START), false);
    assert.equal(table.add(ip('::ffff:c633:6405'), 30, START), 'exempt');
  });

  it('lists peers on a local network, but keeps none of them out', () => {
    const table = new BanTable(SETTINGS, [network('192.0.2.0/24'), network('fd00::/64')]);
    assert.equal(table.add(ip('192.0.2.9'), 40, START), 'exempt');
    assert.equal(table.isBanned(ip('192.0.2.9'), START), false);
    assert.deepEqual(table.listings(START), [{ address: '192.0.2.9', score: 40, bannedUntil: START + 60_000 }]);
    assert.equal(table.add(ip('fd00::5'), 40, START), 'exempt');
    assert.equal(table.add(ip('fd00:0:0:1::5'), 40, START), 'banned');
  });

  it('ends a ban, and says when there was nothing to end', () => {
    const table = new BanTable(SETTINGS);
    table.add(ip('192.0.2.1'), 30, START);
    table.add(ip('192.0.2.2'), 5, START);
    assert.equal(table.unban(ip('192.0.2.1')), true);
    assert.equal(table.isBanned(ip('192.0.2.1'), START), false);
    assert.equal(table.unban(ip('192.0.2.1')), false);
    assert.equal(table.unban(ip('192.0.2.2')), true);
    assert.deepEqual(table.listings(START), []);
  });

  it('counts nothing when bans are off', () => {
    const table = new BanTable({ ...SETTINGS, maxScore: 0 });
    assert.equal(table.add(ip('192.0.2.1'), 1_000, START), 'counted');
    assert.deepEqual(table.listings(START), []);
  });

  it('takes new settings for what comes, and keeps the bans that are', () => {
    const table = new BanTable(SETTINGS);
    table.add(ip('192.0.2.1'), 30, START);
    table.add(ip('192.0.2.2'), 20, START);
    table.configure({ maxScore: 100, banTime: 1_000, resetTime: 1_000 });
    assert.equal(table.isBanned(ip('192.0.2.1'), START + 59_999), true);
    assert.equal(table.add(ip('192.0.2.3'), 99, START), 'counted');
    assert.equal(table.listings(START + 1_000).length, 1);
  });

  it('forgets the quietest address when too many have points, and no ban for them', () => {
    const table = new BanTable(SETTINGS);
    table.add(ip('192.0.2.1'), 30, START);
    for (let n = 0; n < MAX_SCORED_ADDRESSES; n++) table.add(nth(n), 1, START + n);
    table.add(nth(0), 1, START + MAX_SCORED_ADDRESSES); // no longer the quietest
    table.add(nth(MAX_SCORED_ADDRESSES), 1, START + MAX_SCORED_ADDRESSES);
    const known = new Set(table.listings(START + 1).map(({ address }) => address));
    assert.equal(known.size, MAX_SCORED_ADDRESSES + 1);
    assert.deepEqual(
      [known.has('192.0.2.1'), known.has('11.0.0.0'), known.has('11.0.0.1'), known.has('11.0.0.2')],
      [true, true, false, true],
    );
  });

  it('ends the oldest ban when too many are banned', () => {
    const table = new BanTable({ ...SETTINGS, maxScore: 1 });
    for (let n = 0; n <= MAX_BANNED_ADDRESSES; n++) table.add(nth(n), 1, START);
    assert.equal(table.isBanned(nth(0), START), false);
    assert.equal(table.isBanned(nth(1), START), true);
    assert.equal(table.listings(START).length, MAX_BANNED_ADDRESSES);
  });

  it('agrees with the obvious account of points, whatever comes when', () => {
    const step = fc.record({ address: fc.integer({ min: 0, max: 2 }), points: fc.integer({ min: 0, max: 25 }), wait: fc.nat(200_000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const table = new BanTable(SETTINGS);
        const accounts = [0, 1, 2].map(() => ({ score: 0, last: 0, until: 0 }));
        let now = START;
        for (const { address, points, wait } of steps) {
          now += wait;
          for (const account of accounts) {
            const isOver = account.until > 0 ? now >= account.until : now >= account.last + SETTINGS.resetTime;
            if (isOver) Object.assign(account, { score: 0, last: 0, until: 0 });
          }
          const account = accounts[address];
          assert.ok(account !== undefined);
          if (points > 0) Object.assign(account, { score: account.score + points, last: now });
          if (points > 0 && account.until === 0 && account.score >= SETTINGS.maxScore) account.until = now + SETTINGS.banTime;
          table.add(nth(address), points, now);
          for (const [i, { until }] of accounts.entries()) assert.equal(table.isBanned(nth(i), now), until > now);
          const scores = new Map(table.listings(now).map(({ address: text, score }) => [text, score]));
          for (const [i, { score }] of accounts.entries()) assert.equal(scores.get(`11.0.0.${i}`) ?? 0, score);
        }
      }),
    );
  });
});
