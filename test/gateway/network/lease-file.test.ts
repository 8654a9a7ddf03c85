import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { SallyportError } from '../../../src/core/errors.ts';
import { LeaseWriter, readLeases } from '../../../src/gateway/network/lease-file.ts';
import { LeasePool } from '../../../src/gateway/network/lease-pool.ts';
import { NodeCrypto } from '../../../src/node/crypto/node-crypto.ts';
import { ip, request } from './lease-requests.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'sallyport-leases-'));
after(() => rmSync(folder, { recursive: true }));

const fail = (error: SallyportError) => assert.fail(error);

describe('lease file', () => {
  it('brings back what was written, for its owner only', async () => {
    const file = path.join(folder, 'leases.json');
    const writer: LeaseWriter = new LeaseWriter(file, { entries: () => leases.entries, onError: fail });
    const leases = new LeasePool({ crypto: new NodeCrypto(), onChange: () => writer.changed() });
    await leases.acquire(request('one', 'alice', { ipv4: '10.77.0.0/24', ipv6: 'fd77::/48', ipv6SubnetPrefix: 64 }));
    await leases.acquire(request('two', 'böb "x"\n', { ipv4: '10.77.0.0/24' }));
    await leases.acquire(request('three', 'carol', {}, { explicitIpv4: ip('10.9.9.9'), wantsIpv4: true }));
    leases.release('two');
    await writer.flush();
    assert.deepEqual(await readLeases(file), leases.entries);
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });

  it('writes the last state, however often it changes meanwhile', async () => {
    const file = path.join(folder, 'busy.json');
    const writer: LeaseWriter = new LeaseWriter(file, { entries: () => leases.entries, onError: fail });
    const leases = new LeasePool({ crypto: new NodeCrypto(), onChange: () => writer.changed() });
    for (let i = 0; i < 200; i++) await leases.acquire(request(`s${i}`, `u${i}`, { ipv4: '10.0.0.0/8' }));
    for (let i = 0; i < 199; i++) leases.release(`s${i}`);
    await writer.flush();
    assert.deepEqual(
      (await readLeases(file)).map(({ session }) => session),
      ['s199'],
    );
  });

  it('takes a missing file for no leases, and refuses what is not one of its own', async () => {
    assert.deepEqual(await readLeases(path.join(folder, 'none.json')), []);
    const file = path.join(folder, 'bad.json');
    const entry = { session: 's', user: 'u', ipv4: { address: '10.0.0.2', prefix: 24, unit: '10.0.0.2/32' } };
    const changed = (ipv4: object) => JSON.stringify({ version: 1, leases: [{ ...entry, ipv4: { ...entry.ipv4, ...ipv4 } }] });
    writeFileSync(file, changed({}));
    assert.equal((await readLeases(file)).length, 1);
    const bad = [
      '',
      '{',
      '[]',
      '{"version":2,"leases":[]}',
      changed({ unit: '10.0.0.3/32' }),
      changed({ address: 'x; rm -rf /' }),
      changed({ prefix: 33 }),
    ];
    for (const text of [...bad, changed({ address: 'fd00::1', unit: 'fd00::1/128' }), changed({ more: 1 })]) {
      writeFileSync(file, text);
      await assert.rejects(readLeases(file), (error) => error instanceof SallyportError && error.code === 'ERR_LEASE_FILE', text);
    }
  });

  it('says when it cannot write, and goes on', async () => {
    const errors: string[] = [];
    const writer = new LeaseWriter(path.join(folder, 'no', 'such', 'folder'), {
      entries: () => [],
      onError: ({ code }) => errors.push(code),
    });
    writer.changed();
    await writer.flush();
    assert.deepEqual(errors, ['ERR_LEASE_FILE']);
    assert.throws(() => readFileSync(path.join(folder, 'no')));
  });
});
