/** Our terms beside what the real ocserv sends for the same configuration, field by field. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { HttpHeaders } from '../../../src/core/http/message.ts';
import { headerValue } from '../../../src/core/http/message.ts';
import { parseConnectResponse } from '../../../src/core/protocols/anyconnect/connect-response.ts';
import type { SessionPolicy } from '../../../src/gateway/config/gateway-config.ts';
import { sessionTerms, type TermsFacts } from '../../../src/gateway/network/policy-terms.ts';
import { Lab } from '../../support/lab.ts';
import { Ocserv } from '../../support/ocserv.ts';
import type { OcservSettings } from '../../support/ocserv-config.ts';
import { OpenConnect } from '../../support/openconnect.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT } from '../../support/size.ts';
import { cidr, ip } from './lease-requests.ts';
import { termsFacts } from './session-policies.ts';

interface Case {
  readonly name: string;
  readonly settings: OcservSettings;
  readonly perUser?: OcservSettings;
  readonly policy: Partial<SessionPolicy>;
  readonly facts?: Partial<TermsFacts>;
  readonly args?: readonly string[];
}

const { wishes } = termsFacts({});
const lists = {
  dns: ['10.77.0.1', 'fd77::1'],
  route: ['10.0.0.0/8', '192.168.1.0/255.255.255.0', 'fd99::/32'],
  'no-route': ['10.1.0.0/16', 'fd99:1::/48'],
};
const listed: Partial<SessionPolicy> = {
  dns: lists.dns.map(ip),
  routes: lists.route.map(cidr),
  noRoutes: lists['no-route'].map(cidr),
  searchDomains: ['inside.test'],
};

const CASES: readonly Case[] = [
  { name: 'defaults', settings: {}, policy: { searchDomains: ['inside.test'] } },
  { name: 'routes and name servers of both families', settings: lists, policy: listed },
  {
    name: 'a client without IPv6',
    settings: lists,
    policy: listed,
    facts: { wishes: { ...wishes, wantsIpv6: false } },
    args: ['--disable-ipv6'],
  },
  {
    name: 'the default route',
    settings: { ...lists, route: ['default'] },
    policy: { ...listed, routes: [] },
  },
  {
    name: 'names, texts and templates',
    settings: {
      'default-domain': 'a.test b.test',
      'split-dns': ['x.test', 'y.test'],
      nbns: ['10.77.0.9'],
      banner: 'Welcome home',
      'custom-header': ['X-CSTP-Test-A: a %{U} b %{G}', 'X-CSTP-Test-B: %{X}', 'X-CSTP-Test-C: 100%'],
      'tunnel-all-dns': true,
      'client-bypass-protocol': true,
      'listen-host-is-dyndns': true,
    },
    perUser: { hostname: 'fixed-name' },
    policy: {
      searchDomains: ['a.test', 'b.test'],
      splitDns: ['x.test', 'y.test'],
      nbns: [ip('10.77.0.9')],
      banner: 'Welcome home',
      headers: [
        ['X-CSTP-Test-A', 'a %{U} b %{G}'],
        ['X-CSTP-Test-B', '%{X}'],
        ['X-CSTP-Test-C', '100%'],
      ],
      tunnelAllDns: true,
      bypassesProtocols: true,
      gatewayMoves: true,
      hostname: 'fixed-name',
    },
  },
  {
    name: 'times of a client that stands',
    settings: {
      dpd: 77,
      keepalive: 555,
      'idle-timeout': 1000,
      'mobile-idle-timeout': 3000,
      'session-timeout': 5000,
      'rekey-time': 7200,
      'rekey-method': 'new-tunnel',
    },
    policy: {
      searchDomains: ['inside.test'],
      dpd: 77_000,
      keepalive: 555_000,
      idleTimeout: 1_000_000,
      mobileIdleTimeout: 3_000_000,
      sessionTimeout: 5_000_000,
      rekeyTime: 7_200_000,
      rekeyMethod: 'new-tunnel',
    },
  },
  {
    name: 'times and size of a mobile client, with compression',
    settings: { 'mobile-dpd': 500, 'idle-timeout': 1000, 'mobile-idle-timeout': 3000, 'rekey-time': 0, compression: true, mtu: 1400 },
    policy: {
      searchDomains: ['inside.test'],
      mobileDpd: 500_000,
      idleTimeout: 1_000_000,
      mobileIdleTimeout: 3_000_000,
      rekeyTime: 0,
      compression: ['oc-lz4', 'lzs'],
      mtu: 1400,
    },
    facts: { wishes: { ...wishes, isMobile: true } },
    args: ['--os=android'],
  },
  {
    name: 'no UDP for this user',
    settings: {},
    perUser: { 'no-udp': true },
    policy: { searchDomains: ['inside.test'], allowsUdp: false },
  },
];

const USER = { name: 'alice', password: 'pw', groups: ['staff'] };
const NOW = 1_000_000;

describe('terms beside ocserv’s', { skip: missing('root', 'netns', 'tun', 'ocserv', 'openconnect'), timeout: HANG_LIMIT }, () => {
  for (const { name, settings, perUser, policy, facts, args } of CASES) {
    it(`are the same: ${name}`, async () => {
      await using lab = await Lab.open();
      const ocserv = await Ocserv.start(lab, { users: [USER], settings, ...(perUser && { perUser: { alice: perUser } }) });
      const { gateway, pin } = ocserv;
      const client = await OpenConnect.start(lab.client, { gateway, pin, user: USER, script: 'true', ...(args && { args }) });
      await client.up();
      const headers = headersIn(client.program.output);
      const theirs = parseConnectResponse(headers, NOW);
      const moment = { now: NOW, date: 1_700_000_000_000, random: 0.5 };
      const ours = sessionTerms(termsFacts(policy, facts), moment);

      const { mtu: _, vendorOptions: __, ...config } = theirs.config;
      const { vendorOptions: ___, ...own } = ours.config;
      assert.deepEqual(own, config);
      assert.equal(ours.linkMtu, theirs.baseMtu);
      assertTimes(ours.times, theirs.stream.times);
      assert.equal(ours.times.rekey === undefined ? 'none' : ours.rekeyMethod, headerValue(headers, 'X-CSTP-Rekey-Method'));
      assert.equal(ours.compression[0], theirs.stream.compression);
      assert.equal(ours.datagram?.port, theirs.datagram?.port);
      assert.equal(ours.hostname ?? 'client', headerValue(headers, 'X-CSTP-Hostname'));
      assert.equal(String(ours.tunnelsAllDns), headerValue(headers, 'X-CSTP-Tunnel-All-DNS'));
      assert.equal(String(ours.bypassesProtocols), headerValue(headers, 'X-CSTP-Client-Bypass-Protocol'));
      assert.deepEqual(
        ours.headers,
        headers.filter(([header]) => header.startsWith('X-CSTP-Test-')),
      );
    });
  }
});

/** What openconnect -v shows of the answer to CONNECT: headers of these names only. */
function headersIn(output: string): HttpHeaders {
  return [...output.matchAll(/^(X-(?:CSTP|DTLS|DTLS12)-\S+): (.*)$/gm)].map(([, header = '', value = '']) => [header, value]);
}

/** 0 and absent are both "off". The time of a rekey is spread by chance on either side. */
function assertTimes(own: ReturnType<typeof sessionTerms>['times'], theirs: typeof own): void {
  assert.deepEqual([own.dpd ?? 0, own.keepalive ?? 0], [theirs.dpd ?? 0, theirs.keepalive ?? 0]);
  assert.ok(Math.abs((own.rekey ?? 0) - (theirs.rekey ?? 0)) <= 30_000, `${own.rekey} ${theirs.rekey}`);
}
