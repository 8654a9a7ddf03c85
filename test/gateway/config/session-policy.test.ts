import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { formatCidr, formatIp, parseIp } from '../../../src/core/wire/ip-address.ts';
import { ConfigError } from '../../../src/gateway/config/config-report.ts';
import type { HostConfig } from '../../../src/gateway/config/gateway-config.ts';
import { parseOcservConfig } from '../../../src/gateway/config/ocserv-conf.ts';
import { resolvePolicy } from '../../../src/gateway/config/session-policy.ts';

let folder: string;

before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'sallyport-policy-'));
  for (const name of ['users', 'groups', 'users/folder']) mkdirSync(path.join(folder, name));
});

after(() => rmSync(folder, { recursive: true }));

function write(name: string, ...lines: readonly string[]): void {
  writeFileSync(path.join(folder, name), `${lines.join('\n')}\n`);
}

function host(...lines: readonly string[]): HostConfig {
  const base = [
    'auth = pam',
    'tcp-port = 443',
    'socket-file = /s',
    'server-cert = /c',
    'server-key = /k',
    'device = vpns',
    'ipv4-network = 10.1.0.0/24',
    'route = 10.50.0.0/16',
    'no-route = 10.50.1.0/24',
    'dns = 9.9.9.9',
    'nbns = 9.9.9.8',
    'split-dns = host.test',
    'dpd = 77',
    'keepalive = 1234',
    'idle-timeout = 555',
    'mtu = 1300',
    `config-per-user = ${folder}/users`,
    `config-per-group = ${folder}/groups`,
  ];
  const [only] = parseOcservConfig([...base, ...lines].join('\n'), 'o.conf').config.hosts;
  assert.ok(only !== undefined);
  return only;
}

// What is expected here was seen in the answers of ocserv 1.1.6 to the same files.
describe('files of groups and users', () => {
  it('are put over each other: single values of the user first, lists of both together', async () => {
    write(
      'groups/g1',
      'route = 10.61.0.0/16',
      'dns = 9.1.1.1',
      'no-route = 10.61.1.0/24',
      'dpd = 61',
      'keepalive = 61',
      'split-dns = g1.test',
      'mtu = 1310',
    );
    write('users/bob', 'route = 10.62.0.0/16', 'keepalive = 62', 'split-dns = bob.test', 'hostname = bobhost', 'idle-timeout = 0');
    const { policy, notices } = await resolvePolicy(host(), { user: 'bob', groups: ['g1'] });
    assert.deepEqual(policy.routes.map(formatCidr), ['10.61.0.0/16', '10.62.0.0/16']);
    assert.deepEqual(policy.noRoutes.map(formatCidr), ['10.61.1.0/24']);
    assert.deepEqual(policy.dns.map(formatIp), ['9.1.1.1']);
    assert.deepEqual(policy.nbns.map(formatIp), ['9.9.9.8']);
    assert.deepEqual(policy.splitDns, ['g1.test', 'bob.test']);
    assert.deepEqual([policy.dpd, policy.keepalive, policy.mtu, policy.hostname], [61_000, 62_000, 1310, 'bobhost']);
    assert.equal(policy.idleTimeout, 555_000, '0 in a file is no value');
    assert.deepEqual(notices, []);
  });

  it('append routes where the host says so, and nothing else', async () => {
    write('groups/g2', 'route = 10.61.0.0/16', 'no-route = 10.61.1.0/24', 'dns = 9.1.1.1');
    const { policy } = await resolvePolicy(host('append-routes = true'), { user: 'nobody', groups: ['g2'] });
    assert.deepEqual(policy.routes.map(formatCidr), ['10.61.0.0/16', '10.50.0.0/16']);
    assert.deepEqual(policy.noRoutes.map(formatCidr), ['10.61.1.0/24', '10.50.1.0/24']);
    assert.deepEqual(policy.dns.map(formatIp), ['9.1.1.1']);
  });

  it('are the default ones only where there is no other, and for groups only where there is a group', async () => {
    write('default-user', 'keepalive = 63');
    write('default-group', 'dpd = 64');
    write('groups/g3', 'keepalive = 1');
    write('users/carol', 'mtu = 1400');
    const both = host(`default-user-config = ${folder}/default-user`, `default-group-config = ${folder}/default-group`);
    const times = async (user: string, groups: readonly string[]) => {
      const { policy } = await resolvePolicy(both, { user, groups });
      return [policy.dpd, policy.keepalive];
    };
    assert.deepEqual(await times('alice', []), [77_000, 63_000]);
    assert.deepEqual(await times('alice', ['other']), [64_000, 63_000]);
    assert.deepEqual(await times('carol', ['g3']), [77_000, 1000]);
  });

  it('send everything through the tunnel by default, beside the host’s exceptions', async () => {
    write(
      'users/dave',
      'route = default',
      'dpd = 0',
      'no-udp = true',
      'explicit-ipv4 = 10.1.0.9',
      'ipv4-network = 10.8.0.0',
      'ipv4-netmask = 255.255.0.0',
    );
    const { policy } = await resolvePolicy(host(), { user: 'dave', groups: [] });
    assert.deepEqual(policy.routes, []);
    assert.deepEqual(policy.noRoutes.map(formatCidr), ['10.50.1.0/24']);
    assert.deepEqual([policy.dpd, policy.allowsUdp], [0, false]);
    assert.equal(policy.explicitIpv4 && formatIp(policy.explicitIpv4), '10.1.0.9');
    assert.equal(policy.pools?.ipv4 && formatCidr(policy.pools.ipv4), '10.8.0.0/16');
  });

  it('restrict to ports, and with it to routes', async () => {
    write('users/erin', 'restrict-user-to-ports = "tcp(443)"', 'iroute = 10.99.0.0/24');
    const { policy } = await resolvePolicy(host(), { user: 'erin', groups: [] });
    assert.deepEqual(policy.restrictsToPorts, { isNegated: false, ports: [{ protocol: 'tcp', port: 443 }] });
    assert.equal(policy.restrictsToRoutes, true);
    assert.deepEqual(policy.iroutes.map(formatCidr), ['10.99.0.0/24']);
  });

  it('skip what may not stand in them, and say so with their own lines', async () => {
    write('users/frank', 'banner = x', 'foo = y', 'dpd = 5', '[x]', 'keepalive = 7');
    const { policy, notices } = await resolvePolicy(host(), { user: 'frank', groups: [] });
    assert.deepEqual([policy.dpd, policy.keepalive], [5000, 1_234_000]);
    assert.deepEqual(
      notices.map(({ file, line, message }) => [path.basename(file), line, message]),
      [
        ['frank', 1, "skipping unknown option 'banner'"],
        ['frank', 2, "skipping unknown option 'foo'"],
        ['frank', 5, "skipping unknown section 'x'"],
      ],
    );
  });

  it('yield to the back end', async () => {
    write('users/grace', 'dns = 9.1.1.1', 'route = 10.62.0.0/16');
    const address = parseIp('10.1.0.7');
    assert.ok(address !== undefined);
    const { policy } = await resolvePolicy(host(), { user: 'grace', groups: [], backEnd: { dns: [address], explicitIpv4: address } });
    assert.deepEqual(policy.dns.map(formatIp), ['10.1.0.7']);
    assert.deepEqual(policy.routes.map(formatCidr), ['10.62.0.0/16']);
  });

  it('are looked for in their folder only, whatever a user is called', async () => {
    write('secret', 'dpd = 1');
    write('default-user', 'dpd = 2');
    const guarded = host(`default-user-config = ${folder}/default-user`);
    for (const user of [
      '../secret',
      '..',
      '.',
      '',
      '/etc/passwd',
      'a/../../secret',
      `${folder}/secret`,
      '..\\secret',
      'a\0b',
      'x'.repeat(300),
    ]) {
      const { policy } = await resolvePolicy(guarded, { user, groups: ['../secret'] });
      assert.equal(policy.dpd, 2000, JSON.stringify(user));
    }
  });

  it('refuse the session where they cannot be used', async () => {
    write('users/broken', 'route = 10.0.0.0');
    await assert.rejects(resolvePolicy(host(), { user: 'broken', groups: [] }), /broken:1: route '10\.0\.0\.0' in wrong format/);
    await assert.rejects(resolvePolicy(host(), { user: 'folder', groups: [] }), ConfigError);
    write('users/large', 'x'.repeat(300_000));
    await assert.rejects(resolvePolicy(host(), { user: 'large', groups: [] }), /larger than/);
  });
});
