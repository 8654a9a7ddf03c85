import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatCidr, formatIp } from '../../../src/core/wire/ip-address.ts';
import { sessionTerms } from '../../../src/gateway/network/policy-terms.ts';
import { cidr, ip } from './lease-requests.ts';
import { termsFacts } from './session-policies.ts';

const MOMENT = { now: 5_000, date: 1_700_000_000_000, random: 0.5 };
const wishes = (more: object) => ({ ...termsFacts({}).wishes, ...more });

describe('terms of a session', () => {
  it('are everything through the tunnel where no route is named, or one of them is the default', () => {
    const include = (...routes: string[]) => sessionTerms(termsFacts({ routes: routes.map(cidr) }), MOMENT).config.include.map(formatCidr);
    assert.deepEqual(include(), []);
    assert.deepEqual(include('10.0.0.0/8', '0.0.0.0/0', 'fd99::/32'), []);
    assert.deepEqual(include('10.0.0.0/8', 'fd99::/32'), ['10.0.0.0/8', 'fd99::/32']);
  });

  it('leave out name servers, routes and addresses of a family that the client does not ask for', () => {
    const policy = {
      dns: ['10.77.0.1', 'fd77::1'].map(ip),
      nbns: [ip('10.77.0.9')],
      routes: ['10.0.0.0/8', 'fd99::/32'].map(cidr),
      noRoutes: ['10.1.0.0/16', 'fd99:1::/48'].map(cidr),
    };
    const words = (more: object) => {
      const { config } = sessionTerms(termsFacts(policy, { wishes: wishes(more) }), MOMENT);
      const { ipv4, ipv6, dns, nbns, include, exclude } = config;
      return [...[ipv4, ipv6].flatMap((one) => (one ? [one.address] : [])), ...dns, ...nbns]
        .map(formatIp)
        .concat([...include, ...exclude].map(formatCidr));
    };
    assert.deepEqual(words({ wantsIpv6: false }), ['10.77.0.50', '10.77.0.1', '10.77.0.9', '10.0.0.0/8', '10.1.0.0/16']);
    assert.deepEqual(words({ wantsIpv4: false }), ['fd77::9a7c:c09f:b76e:58ef', 'fd77::1', 'fd99::/32', 'fd99:1::/48']);
  });

  it('tell of the networks behind other clients, where that is wanted and not everything goes through the tunnel anyway', () => {
    const clientNetworks = ['172.16.5.0/24', '172.17.0.0/16', 'fdaa::/48', '10.0.0.0/8'].map(cidr);
    const include = (policy: object) => sessionTerms(termsFacts(policy, { clientNetworks }), MOMENT).config.include.map(formatCidr);
    const [routes, iroutes] = [[cidr('10.0.0.0/8')], [cidr('172.17.0.0/16')]];
    assert.deepEqual(include({ routes, iroutes, exposesIroutes: true }), ['10.0.0.0/8', '172.16.5.0/24', 'fdaa::/48']);
    assert.deepEqual(include({ routes, iroutes }), ['10.0.0.0/8']);
    assert.deepEqual(include({ routes: [], exposesIroutes: true }), []);
  });

  it('let the client send from the networks behind it', () => {
    const iroutes = [cidr('172.17.0.0/16')];
    assert.deepEqual(sessionTerms(termsFacts({ iroutes }), MOMENT).clientNetworks, iroutes);
  });

  it('end so long after the log-in, not after the connection', () => {
    const expiresAt = (date: number) => sessionTerms(termsFacts({ sessionTimeout: 3_600_000 }), { ...MOMENT, date }).config.expiresAt;
    assert.equal(expiresAt(1_700_000_000_000), 5_000 + 3_600_000);
    assert.equal(expiresAt(1_700_000_000_000 + 3_000_000), 5_000 + 600_000);
    assert.ok((expiresAt(1_700_000_000_000 + 4_000_000) ?? 0) < 5_000, 'it is over');
    assert.equal(sessionTerms(termsFacts({ sessionTimeout: 3_600_000 }), MOMENT).sessionTimeout, 3_600_000, 'as a whole');
    assert.equal(sessionTerms(termsFacts({}), MOMENT).config.expiresAt, undefined);
  });

  it('have other times for mobile clients', () => {
    const policy = { dpd: 90_000, mobileDpd: 500_000, idleTimeout: 1_000_000, mobileIdleTimeout: 3_000_000 };
    const of = (isMobile: boolean, more: object = {}) => {
      const { times, config } = sessionTerms(termsFacts({ ...policy, ...more }, { wishes: wishes({ isMobile }) }), MOMENT);
      return [times.dpd, config.idleTimeout];
    };
    assert.deepEqual(of(false), [90_000, 1_000_000]);
    assert.deepEqual(of(true), [500_000, 3_000_000]);
    assert.deepEqual(of(true, { mobileIdleTimeout: undefined }), [500_000, 1_000_000]);
  });

  it('spread the rekeys of many clients, never by more than a tenth, in whole seconds', () => {
    const rekey = (rekeyTime: number, random: number) => sessionTerms(termsFacts({ rekeyTime }), { ...MOMENT, random }).times.rekey;
    assert.equal(rekey(172_800_000, 0), 172_770_000);
    assert.equal(rekey(172_800_000, 0.5), 172_800_000);
    assert.equal(rekey(172_800_000, 0.999_999), 172_830_000);
    assert.equal(rekey(0, 0.5), undefined);
    const times = fc.integer({ min: 1, max: 10_000_000 });
    fc.assert(
      fc.property(times, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (seconds, random) => {
        const chosen = rekey(seconds * 1000, random) ?? 0;
        assert.ok(chosen >= 1000 && chosen % 1000 === 0);
        assert.ok(Math.abs(chosen - seconds * 1000) <= Math.min(30_000, seconds * 100) + 500);
      }),
    );
  });

  it('fill user and group into headers and the proxy’s URL, and leave out what they cannot fill', () => {
    const headers = [
      ['X-A', 'a %{U} b %{G}%{U}'],
      ['X-B', '%{X}'],
      ['X-C', '100%'],
      ['X-D', 'plain'],
    ] as const;
    const of = (user: string, group?: string) => {
      const session = { user, createdAt: 0, ...(group !== undefined && { group }) };
      const terms = sessionTerms(termsFacts({ headers, proxyPac: 'http://p.test/%{U}/%{G}.pac' }, { session }), MOMENT);
      return [...terms.headers.map((header) => header.join(': ')), terms.config.proxyPac];
    };
    assert.deepEqual(of('alice', 'staff'), ['X-A: a alice b staffalice', 'X-D: plain', 'http://p.test/alice/staff.pac']);
    assert.deepEqual(of('alice'), ['X-A: a alice b alice', 'X-D: plain', 'http://p.test/alice/.pac']);
    assert.deepEqual(of('a/../b?', 'ü'), ['X-A: a a/../b? b üa/../b?', 'X-D: plain', 'http://p.test/a%2F..%2Fb%3F/%C3%BC.pac']);
    assert.deepEqual(of('a\r\nX-Evil: 1'), ['X-D: plain', 'http://p.test/a%0D%0AX-Evil%3A%201/.pac']);
    assert.deepEqual(of('%{G}', '%{U}'), ['X-A: a %{G} b %{U}%{G}', 'X-D: plain', 'http://p.test/%25%7BG%7D/%25%7BU%7D.pac']);
  });

  it('offer UDP where it is open and the user may use it', () => {
    const datagram = (policy: object, host: object = {}) =>
      sessionTerms(termsFacts(policy, { host: { mtu: 1500, ...host } }), MOMENT).datagram;
    assert.equal(datagram({}), undefined);
    assert.equal(datagram({ allowsUdp: false }, { udpPort: 443 }), undefined);
    const all = { allowsPsk: false, allowsLegacyDtls: true, matchesTlsCipher: true };
    assert.deepEqual(datagram(all, { udpPort: 4443 }), {
      port: 4443,
      certificate: true,
      allowsPsk: false,
      allowsLegacy: true,
      matchesTlsCipher: true,
    });
  });

  it('carry the rest over as it is', () => {
    const policy = {
      mtu: 1300,
      compression: ['oc-lz4', 'lzs'],
      minLengthToCompress: 64,
      switchToStreamAfter: 30_000,
      tunnelAllDns: true,
      bypassesProtocols: true,
      hostname: 'fixed',
      receiveRate: 1000,
      sendRate: 2000,
      banner: 'hello',
      gatewayMoves: true,
      searchDomains: ['a.test'],
      splitDns: ['b.test'],
      rekeyMethod: 'new-tunnel',
      keepalive: 77_000,
    } as const;
    const terms = sessionTerms(termsFacts(policy), MOMENT);
    assert.equal(terms.linkMtu, 1300);
    assert.equal(sessionTerms(termsFacts({}), MOMENT).linkMtu, 1500);
    assert.deepEqual([terms.compression, terms.minLengthToCompress, terms.switchToStreamAfter], [['oc-lz4', 'lzs'], 64, 30_000]);
    assert.deepEqual(
      [terms.tunnelsAllDns, terms.bypassesProtocols, terms.hostname, terms.rekeyMethod],
      [true, true, 'fixed', 'new-tunnel'],
    );
    assert.deepEqual(terms.rates, { receive: 1000, send: 2000 });
    assert.deepEqual([terms.config.banner, terms.config.gatewayMoves, terms.times.keepalive], ['hello', true, 77_000]);
    assert.deepEqual([terms.config.searchDomains, terms.config.splitDns], [['a.test'], ['b.test']]);
    assert.deepEqual(sessionTerms(termsFacts({}), MOMENT).rates, {});
  });
});
