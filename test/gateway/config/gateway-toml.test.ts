import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatCidr } from '../../../src/core/wire/ip-address.ts';
import { ConfigError, formatNotice } from '../../../src/gateway/config/config-report.ts';
import type { GatewayConfig } from '../../../src/gateway/config/gateway-config.ts';
import { loadGatewayToml, parseGatewayToml } from '../../../src/gateway/config/gateway-toml.ts';
import { ConfigFolder } from './config-folder.ts';

const DOCUMENTED = readFileSync(path.resolve(import.meta.dirname, '../../../docs/gateway.toml'), 'utf8');

const MINIMAL = `[tls]
certificates = [{ certificate = "/c.pem", key = "/k.pem" }]
[auth]
required = [{ method = "pam" }]
[pool]
ipv4 = "10.1.0.0/24"
`;

const NEXT_LINE = MINIMAL.split('\n').length;

function configOf(text: string): GatewayConfig {
  return parseGatewayToml(text, 'g.toml').config;
}

function errorsOf(text: string): string[] {
  try {
    parseGatewayToml(text, 'g.toml');
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.notices.map(formatNotice);
  }
  assert.fail('it was taken');
}

/** Of lines that follow a file which is good. */
function errorsAfter(lines: string): string[] {
  return errorsOf(MINIMAL + lines);
}

describe('the documented gateway.toml', () => {
  it('is taken', () => {
    const { hosts, listen } = configOf(DOCUMENTED);
    assert.deepEqual(
      hosts.map(({ name }) => name),
      [undefined, 'partners.example.com'],
    );
    assert.equal(listen.udpPort, 443);
  });

  it('is taken with every example in its comments', () => {
    const examples = DOCUMENTED.split('\n').map((line) => line.replace(/^# (?=[a-z][a-z0-9-]* = )/, ''));
    // Of a key that has several examples each is tried alone.
    const keysOf = (line: string) => /^([a-z][a-z0-9-]*) = /.exec(line)?.[1];
    let table = '';
    const seen = new Map<string, number>();
    for (const [i, line] of examples.entries()) {
      table = /^\[+.*?\]+/.exec(line)?.[0] ?? table;
      const key = keysOf(line);
      if (key === undefined) continue;
      const name = `${table} ${key}`;
      const earlier = seen.get(name);
      if (earlier !== undefined) examples[earlier] = '';
      seen.set(name, i);
      const whole = [...examples.slice(0, i + 1), ...DOCUMENTED.split('\n').slice(i + 1)].filter(
        (other, at, all) => at <= i || keysOf(other) !== key || all.slice(i, at).some((between) => between.startsWith('[')),
      );
      assert.doesNotThrow(() => configOf(whole.join('\n')), `line ${i + 1}: ${line}`);
    }
    assert.ok(seen.size > 80, `${seen.size} keys`);
  });

  it('says what is set where a key is left out', () => {
    const documented = configOf(DOCUMENTED);
    const bare = configOf(MINIMAL);
    const { hosts: _documented, ...server } = documented;
    const { hosts: _bare, ...defaults } = bare;
    assert.deepEqual(server, defaults);
    const [ours, theirs] = [documented.hosts[0], bare.hosts[0]];
    assert.ok(ours !== undefined && theirs !== undefined);
    const examples = ['dns', 'splitDns', 'searchDomains', 'routes', 'noRoutes', 'headers'];
    const without = (policy: object) => Object.fromEntries(Object.entries(policy).filter(([key]) => !examples.includes(key)));
    assert.deepEqual(without(ours.policy), without(theirs.policy));
    assert.deepEqual(ours.sessions, theirs.sessions);
    assert.deepEqual(ours.tls.policy, theirs.tls.policy);
    const withPortal = (text: string) => configOf(text).hosts[0]?.portal;
    assert.deepEqual([ours.portal, theirs.portal], [undefined, undefined]);
    const portal = withPortal(DOCUMENTED.replace(/(\[portal\].*\nenabled = )false/, '$1true'));
    assert.ok(portal !== undefined);
    assert.deepEqual(portal, withPortal(`${MINIMAL}[portal]\nenabled = true\n`));
  });
});

describe('gateway.toml', () => {
  it('gives virtual hosts what they do not set from the default host', () => {
    const host = `[login]\nbanner = "hi"\ngroups = ["a"]\n[policy]\ndpd = "10s"\nidle-timeout = "5m"\n[[host]]\nname = "Bücher.example"\n`;
    const own = MINIMAL.replaceAll('[', '[host.').replaceAll('[host.{', '[{').replace('10.1', '10.2');
    const { hosts } = configOf(`${MINIMAL}${host}${own}[host.policy]\nidle-timeout = "0s"\nkeepalive = "1m"\n`);
    assert.equal(hosts[1]?.name, 'xn--bcher-kva.example');
    assert.deepEqual([hosts[1]?.policy.dpd, hosts[1]?.policy.keepalive], [10_000, 60_000]);
    assert.deepEqual([hosts[0]?.policy.idleTimeout, hosts[1]?.policy.idleTimeout], [300_000, undefined]);
    assert.equal(hosts[1]?.login.preLoginBanner, 'hi');
    assert.equal(hosts[1]?.pools.ipv4 && formatCidr(hosts[1].pools.ipv4), '10.2.0.0/24');
  });

  it('lists a portal’s gateways, whose place is their priority where they have none', () => {
    const portal = `[portal]
enabled = true
gateways = ["a.example", { address = "[fd00::1]:4443", label = "Berlin", priority = 7, regions = { DE = 1 } }, "c.example"]
regions = { DE = ["192.0.2.0/24"] }
pass-time = "2h"
challenges = "script"
`;
    const written = configOf(MINIMAL + portal).hosts[0]?.portal;
    assert.deepEqual(written?.gateways, [
      { address: 'a.example', label: 'a.example', priority: 1, regions: [] },
      { address: '[fd00::1]:4443', label: 'Berlin', priority: 7, regions: [['DE', 1]] },
      { address: 'c.example', label: 'c.example', priority: 3, regions: [] },
    ]);
    assert.deepEqual([written?.regions[0]?.name, written?.passTime, written?.asksBy], ['DE', 7_200_000, 'script']);
    assert.deepEqual(errorsAfter('[portal]\ngateways = ["https://a.example/x", "b.example", "b.example"]\npass-time = "25h"\n'), [
      `error: g.toml:${NEXT_LINE + 1}:13: portal.gateways[0]: 'https://a.example/x' is no host or host:port`,
      `error: g.toml:${NEXT_LINE + 1}:49: portal.gateways[2]: there are two gateways called 'b.example', and people choose by that`,
      `error: g.toml:${NEXT_LINE + 2}:1: portal.pass-time: a day was expected at most`,
    ]);
  });

  it('gives a virtual host the default host’s portal, but not the key by which the users of one are let in at the other', () => {
    const portal = '[portal]\nenabled = true\npass-time = "1m"\npass-key = "/pass.key"\n[[host]]\nname = "guests.example"\n';
    const own = MINIMAL.replaceAll('[', '[host.').replaceAll('[host.{', '[{').replace('10.1', '10.2');
    const keysOf = (more: string) =>
      configOf(`${MINIMAL}${portal}${own}${more}`).hosts.map((host) => [host.portal?.passTime, host.portal?.passKey]);
    assert.deepEqual(keysOf(''), [
      [60_000, '/pass.key'],
      [60_000, undefined],
    ]);
    assert.deepEqual(keysOf('[host.portal]\npass-key = "/pass.key"\n')[1], [60_000, '/pass.key']);
  });

  it('names file, line, column and key of whatever is wrong, all at once', () => {
    assert.deepEqual(errorsAfter('[policy]\ndpd = 90\n  mtu = 9\ndns = ["10.0.0.1",\n  "x"]\n[bans]\ntime = "5 m"\n'), [
      `error: g.toml:${NEXT_LINE + 6}:1: bans.time: a time like "90s", "5m", "12h" or "7d" (24 days at most) was expected, not '5 m'`,
      `error: g.toml:${NEXT_LINE + 4}:3: policy.dns[1]: an IP address was expected, not 'x'`,
      `error: g.toml:${NEXT_LINE + 1}:1: policy.dpd: expected string, received number`,
      `error: g.toml:${NEXT_LINE + 2}:3: policy.mtu: Too small: expected number to be >=1280`,
    ]);
  });

  it('refuses unknown keys, and says which was meant', () => {
    assert.deepEqual(errorsAfter('[policy]\nmax-same-client = 3\n'), [
      `error: g.toml:${NEXT_LINE + 1}:1: policy.max-same-client: there is no such key; did you mean 'max-same-clients'?`,
    ]);
    assert.deepEqual(errorsAfter('[listen]\ntcp_port = 3\n'), [
      `error: g.toml:${NEXT_LINE + 1}:1: listen.tcp_port: there is no such key; did you mean 'tcp-port'?`,
    ]);
    assert.deepEqual(errorsAfter('[quux]\nx = 3\n'), [`error: g.toml:${NEXT_LINE}:1: quux: there is no such key`]);
  });

  it('says what is missing', () => {
    assert.deepEqual(errorsOf(''), [
      'error: g.toml: tls: it is missing',
      'error: g.toml: auth: it is missing',
      'error: g.toml: pool: it is missing',
    ]);
  });

  it('refuses what cannot be together', () => {
    const withAuth = (auth: string) => errorsOf(MINIMAL.replace('required = [{ method = "pam" }]', auth));
    assert.match(
      withAuth('required = [{ method = "pam" }]\nalternatives = [{ method = "plain", passwords = "/p" }]').join(),
      /:4:1: auth\.required: only one of/,
    );
    const certificate = withAuth('required = [{ method = "certificate" }]').join('\n');
    assert.match(certificate, /auth\.certificate-user: it is missing/);
    assert.match(
      withAuth('required = [{ method = "certificate" }]\ncertificate-user = "mail"').join(),
      /:1:1: tls\.client-authority: it is missing/,
    );
    assert.match(withAuth('required = [{ method = "gssapi" }]').join(), /:4:15: auth\.required\[0\]\.method: a method was expected/);
    assert.match(errorsAfter('ipv6 = "fd00::/64"\nipv6-per-client = 64\n').join(), /pool\.ipv6-per-client: it must be longer/);
    assert.match(
      errorsAfter('[policy]\nmatch-tls-cipher = true\ndtls-legacy = true\n').join(),
      /policy\.match-tls-cipher: it cannot be true together/,
    );
    assert.match(errorsAfter('[[host]]\nname = "a"\n[[host]]\nname = "A"\n').join(), /host\[1\]\.tls: it is missing/);
  });

  it('refuses priorities that cannot be done, with their line', () => {
    const text = MINIMAL.replace('[auth]', 'priorities = "NORMAL:+3DES-CBC"\n[auth]');
    assert.match(errorsOf(text).join(), /^error: g\.toml:3:1: tls\.priorities: .*'\+3DES-CBC' is unknown, or cannot be done with OpenSSL/);
  });

  it('points at mistakes of TOML itself, without showing the text', () => {
    assert.deepEqual(errorsOf('[tls]\nsecret = "hidden'), ['error: g.toml:2:10: no TOML: unfinished string']);
  });

  it('keeps the secret of a camouflage out of sight', () => {
    const config = configOf(`${MINIMAL}[login]\ncamouflage = { secret = "sesame" }\n`);
    assert.equal(config.hosts[0]?.login.camouflage?.secret.reveal(), 'sesame');
    assert.doesNotMatch(JSON.stringify(config), /sesame/);
    assert.doesNotMatch(errorsAfter('[login]\ncamouflage = { secret = "sesame", realm = 3 }\n').join(), /sesame/);
  });

  it('brings nothing but a ConfigError, whatever the text', () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(...DOCUMENTED.split('\n')),
      fc.constantFrom('[', ']', '"""', '[[host]]', '=', '{', '}', '\\'),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 15 }), fc.constantFrom('', '\n'), (pieces, glue) => {
        try {
          parseGatewayToml(pieces.join(glue), 'x');
        } catch (error) {
          assert.ok(error instanceof ConfigError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is read from a file, whose files are looked at', async () => {
    using folder = await ConfigFolder.make();
    const file = folder.write('g.toml', MINIMAL.replace('/c.pem', '@FOLDER@/server-cert.pem').replace('/k.pem', '@FOLDER@/server-key.pem'));
    const { config, notices } = await loadGatewayToml(file);
    assert.equal(config.hosts.length, 1);
    assert.deepEqual(notices, []);
    await assert.rejects(loadGatewayToml(folder.write('h.toml', MINIMAL)), /cannot open file '\/c\.pem'/);
  });
});
