import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PeerRefusedError } from '../../../src/core/errors.ts';
import { formatCidr, formatIp, networkOf, sameIp } from '../../../src/core/wire/ip-address.ts';
import { LeasePool, MAX_PINGS } from '../../../src/gateway/network/lease-pool.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { cidr, ip, request, words } from './lease-requests.ts';

/** A crypto provider whose random bytes come again. */
function seededCrypto(seed: number) {
  const [crypto, random] = [new NodeCrypto(), new SeededRandom(seed)];
  return {
    hash: crypto.hash.bind(crypto),
    randomBytes: (length: number) => Uint8Array.from({ length }, () => random.uint32() & 255),
  };
}

const pool = (more: Partial<ConstructorParameters<typeof LeasePool>[0]> = {}) => new LeasePool({ crypto: seededCrypto(1), ...more });

describe('lease pool', () => {
  it("gives each user the addresses that ocserv 1.1.6 gives (observed), and a second session the user's next one", async () => {
    const leases = pool();
    const wide = { ipv4: '10.0.0.0/8', ipv6: 'fd77::/16' };
    const observed = [
      ['alice', '10.16.63.50/8 fd77:aac8:ec2e:8e4f:9a7c:c09f:b76e:58ef/128'],
      ['bob', '10.85.25.106/8 fd77:a89d:c633:84ed:7960:92fa:f28e:8849/128'],
      ['zz', '10.201.65.46/8 fd77:adca:3058:6de7:6280:7d02:8f58:5ecd/128'],
      ['alice', '10.24.209.26/8 fd77:f27c:5103:bc5c:c44b:cdf0:a15e:160d/128'],
    ] as const;
    for (const [i, [user, expected]] of observed.entries()) {
      assert.equal(words((await leases.acquire(request(`s${i}`, user, wide))).lease), expected);
    }
    const third = await leases.acquire(request('s9', 'alice', { ipv4: '10.0.0.0/8' }));
    assert.equal(words(third.lease), '10.6.114.191/8');
  });

  it('keeps the address of a session over reconnects and take-overs, and adds a family that is asked for later', async () => {
    const leases = pool();
    const both = { ipv4: '10.77.0.0/24', ipv6: 'fd77::/64' };
    const first = await leases.acquire(request('s', 'alice', both, { wantsIpv6: false }));
    assert.equal(words(first.lease), '10.77.0.50/24');
    const again = await leases.acquire(request('s', 'alice', both));
    assert.equal(words(again.lease), '10.77.0.50/24 fd77::9a7c:c09f:b76e:58ef/128');
    const elsewhere = await leases.acquire(request('s', 'alice', { ipv4: '10.99.0.0/24', ipv6: 'fd99::/64' }));
    assert.deepEqual(elsewhere.lease, again.lease);
  });

  it('answers two requests of one session at once with the same address', async () => {
    const leases = pool({ isAnswering: async () => false });
    const [a, b] = await Promise.all([1, 2].map(() => leases.acquire(request('s', 'alice', { ipv4: '10.77.0.0/24' }))));
    assert.deepEqual(a, b);
    assert.equal(leases.entries.length, 1);
  });

  it('gives every address but the network, the broadcast and our own, then none', async () => {
    const leases = pool();
    const given = new Set<string>();
    for (let i = 0; i < 253; i++) given.add(words((await leases.acquire(request(`s${i}`, 'alice', { ipv4: '10.77.0.0/24' }))).lease));
    assert.equal(given.size, 253);
    for (const last of [0, 1, 255]) assert.ok(!given.has(`10.77.0.${last}/24`));
    await assert.rejects(leases.acquire(request('more', 'bob', { ipv4: '10.77.0.0/24' })), PeerRefusedError);
    leases.release('s7');
    await leases.acquire(request('more', 'bob', { ipv4: '10.77.0.0/24' }));
  });

  it('gives IPv6 clients subnets of their own, never the one with our end', async () => {
    const leases = pool();
    const subnets = { ipv6: 'fd77::/60', ipv6SubnetPrefix: 64 };
    const units = new Set<string>();
    for (let i = 0; i < 15; i++) {
      const { ipv6 } = (await leases.acquire(request(`s${i}`, `user${i}`, subnets))).lease;
      assert.ok(ipv6?.local !== undefined && ipv6.prefix === 64);
      assert.equal(formatCidr(networkOf({ address: ipv6.address, prefix: 64 })), formatCidr(ipv6.unit));
      assert.equal(formatIp(ipv6.local), 'fd77::1');
      units.add(formatCidr(ipv6.unit));
    }
    assert.equal(units.size, 15);
    assert.ok(!units.has('fd77::/64'));
    await assert.rejects(leases.acquire(request('more', 'x', subnets)), /fd77::\/60 has no free address/);
  });

  it('gives an explicit address, from the same user’s older session if need be, and from nobody else', async () => {
    const leases = pool();
    const explicit = { explicitIpv4: ip('10.99.0.7'), explicitIpv6: ip('fd88::7') };
    const home = { ipv4: '10.77.0.0/24', ipv6: 'fd77::/64' };
    const first = await leases.acquire(request('old', 'carol', home, explicit));
    assert.equal(words(first.lease), '10.99.0.7/24 fd88::7/128');
    const second = await leases.acquire(request('new', 'carol', home, explicit));
    assert.deepEqual([words(second.lease), second.displaced], [words(first.lease), ['old']]);
    assert.equal(leases.leaseOf('old'), undefined);
    await assert.rejects(leases.acquire(request('x', 'mallory', home, explicit)), /10\.99\.0\.7 of mallory is in use by carol/);
    assert.deepEqual(
      leases.entries.map(({ session }) => session),
      ['new'],
    );
  });

  it('does not give a pool address to others while someone has it explicitly', async () => {
    const leases = pool();
    await leases.acquire(request('a', 'carol', { ipv4: '10.77.0.0/24' }, { explicitIpv4: ip('10.77.0.50') }));
    assert.equal(words((await leases.acquire(request('b', 'alice', { ipv4: '10.77.0.0/24' }))).lease), '10.77.0.186/24');
  });

  it('passes over addresses at which a machine answers, and asks no more than so many', async () => {
    const asked: string[] = [];
    const leases = pool({
      isAnswering: async (address) => {
        asked.push(formatIp(address));
        return address.bytes[3] === 50;
      },
    });
    assert.equal(words((await leases.acquire(request('a', 'alice', { ipv4: '10.77.0.0/24' }))).lease), '10.77.0.186/24');
    assert.deepEqual(asked, ['10.77.0.50', '10.77.0.186']);
    let pings = 0;
    const hostile = pool({ isAnswering: async () => ++pings > 0 });
    await assert.rejects(hostile.acquire(request('a', 'alice', { ipv4: '10.0.0.0/8' })), PeerRefusedError);
    assert.equal(pings, MAX_PINGS);
    assert.equal(hostile.entries.length, 0);
  });

  it('reserves an address while it is pinged', async () => {
    const answers: ((isAnswering: boolean) => void)[] = [];
    const leases = pool({ isAnswering: () => new Promise((resolve) => answers.push(resolve)) });
    const both = ['a', 'b'].map((session) => leases.acquire(request(session, 'alice', { ipv4: '10.77.0.0/24' })));
    while (answers.length < 2) await new Promise(setImmediate);
    for (const answer of answers) answer(false);
    const [a, b] = await Promise.all(both);
    assert.ok(a?.lease.ipv4 && b?.lease.ipv4 && !sameIp(a.lease.ipv4.address, b.lease.ipv4.address));
  });

  it('goes on without a ping that cannot be sent', async () => {
    const leases = pool({ isAnswering: () => Promise.reject(new Error('no ping')) });
    assert.equal(words((await leases.acquire(request('a', 'alice', { ipv4: '10.77.0.0/24' }))).lease), '10.77.0.50/24');
  });

  it('refuses a client that wants a family without a pool, and gives back what it took on the way', async () => {
    const leases = pool();
    await assert.rejects(leases.acquire(request('a', 'alice', {}, { wantsIpv6: true })), /no address pool/);
    const full = request('b', 'alice', { ipv4: '10.77.0.0/24', ipv6: 'fd77::/127' });
    await assert.rejects(leases.acquire(full), /fd77::\/127 has no free address/);
    assert.equal(words((await leases.acquire(request('c', 'alice', { ipv4: '10.77.0.0/24' }))).lease), '10.77.0.50/24');
  });

  it('restores leases of sessions that are still known, and none twice', async () => {
    const before = pool();
    for (const user of ['alice', 'bob', 'carol']) await before.acquire(request(user, user, { ipv4: '10.77.0.0/24' }));
    const entries = [...before.entries, ...before.entries.map((entry) => ({ ...entry, session: `${entry.session}2` }))];
    const after = pool();
    after.restore(entries, (session) => session !== 'bob' && session !== 'bob2');
    assert.deepEqual(after.entries, [before.entries[0], before.entries[2]]);
    const fresh = await after.acquire(request('other', 'alice', { ipv4: '10.77.0.0/24' }));
    assert.notEqual(words(fresh.lease), '10.77.0.50/24');
  });

  it('never gives one address twice, nor one that nobody may have, whatever comes and goes', async () => {
    const steps = fc.array(fc.record({ user: fc.nat(20), session: fc.nat(30), leaves: fc.boolean() }), { maxLength: 120 });
    const networks = fc.constantFrom('10.1.2.0/29', '10.1.2.64/27', '10.1.2.4/30', '10.1.2.2/31', '10.1.2.2/32');
    await fc.assert(
      fc.asyncProperty(steps, networks, fc.boolean(), async (moves, network, isPredictable) => {
        const leases = pool();
        for (const { user, session, leaves } of moves) {
          if (leaves) leases.release(String(session));
          else await leases.acquire(request(String(session), `u${user}`, { ipv4: network, isPredictable })).catch(isFull);
          const held = leases.entries.map(({ lease }) => formatIp(lease.ipv4?.address ?? ip('0.0.0.0')));
          assert.equal(new Set(held).size, held.length);
          for (const address of held) assert.equal(formatCidr(networkOf({ ...cidr(network), address: ip(address) })), network);
        }
      }),
      { numRuns: 50 },
    );
  });
});

function isFull(error: unknown): void {
  assert.ok(error instanceof PeerRefusedError, String(error));
}
