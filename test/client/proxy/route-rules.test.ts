import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type GatewayNetworks, parseUserRule, RouteRules, unmapped } from '../../../src/client/proxy/route-rules.ts';
import { MisuseError } from '../../../src/core/errors.ts';
import { type Cidr, formatIp, type IpAddress, parseCidr, parseIp } from '../../../src/core/wire/ip-address.ts';
import { NO_NETWORKS } from './proxy-scene.ts';

const ip = (text: string): IpAddress => parseIp(text) ?? assert.fail(text);
const networks = (...texts: readonly string[]): Cidr[] => texts.map((text) => parseCidr(text) ?? assert.fail(text));

function rules(user: Readonly<Record<string, 'vpn' | 'direct'>>, gateway: Partial<GatewayNetworks> = {}): RouteRules {
  return new RouteRules(
    Object.entries(user).map(([text, way]) => parseUserRule(way, text)),
    { ...NO_NETWORKS, ...gateway },
  );
}

function waysOf(made: RouteRules, ...addresses: readonly string[]): string[] {
  return addresses.map((address) => made.ofAddress(ip(address)));
}

describe('the way of an address', () => {
  it('is the VPN for all, when nobody says anything', () => {
    assert.deepEqual(waysOf(rules({}), '10.0.0.1', '192.0.2.1', '2001:db8::1'), ['vpn', 'vpn', 'vpn']);
  });

  it('is as the gateway says: its networks by the VPN, its exceptions and all others direct', () => {
    const gateway = { include: networks('10.0.0.0/8', 'fd00::/8'), exclude: networks('10.9.0.0/16') };
    const made = rules({}, gateway);
    assert.deepEqual(waysOf(made, '10.0.0.1', '10.9.0.1', '192.0.2.1', 'fd00::1', '2001:db8::1'), [
      'vpn',
      'direct',
      'direct',
      'vpn',
      'direct',
    ]);
    const onlyExclude = rules({}, { exclude: networks('192.0.2.0/24') });
    assert.deepEqual(waysOf(onlyExclude, '192.0.2.1', '198.51.100.1'), ['direct', 'vpn']);
  });

  it('is as the user says, the longest network first, before the gateway of the same length', () => {
    const made = rules(
      { all: 'direct', '10.0.0.0/8': 'vpn', '10.1.0.0/16': 'direct', '10.1.2.3': 'vpn' },
      { exclude: networks('10.0.0.0/8') },
    );
    assert.deepEqual(waysOf(made, '10.0.0.1', '10.1.0.1', '10.1.2.3', '192.0.2.1', '2001:db8::1'), [
      'vpn',
      'direct',
      'vpn',
      'direct',
      'direct',
    ]);
  });

  it('compares networks by their bits', () => {
    const made = rules({ all: 'direct', '10.128.0.0/9': 'vpn', '192.0.2.128/25': 'vpn', 'fd00::/7': 'vpn' });
    assert.deepEqual(waysOf(made, '10.127.255.255', '10.128.0.0', '192.0.2.127', '192.0.2.128', 'fcff::1', 'fe00::1'), [
      'direct',
      'vpn',
      'direct',
      'vpn',
      'vpn',
      'direct',
    ]);
  });

  it('never leads to the machine itself, whatever is said', () => {
    const made = rules({ all: 'direct', '127.0.0.1': 'direct' });
    const own = ['127.0.0.1', '127.255.0.1', '0.0.0.0', '0.1.2.3', '::', '::1', '224.0.0.1', 'ff02::1', '255.255.255.255'];
    assert.deepEqual(new Set(waysOf(made, ...own)), new Set(['forbidden']));
    assert.equal(formatIp(unmapped(ip('::ffff:127.0.0.1'))), '127.0.0.1');
    assert.equal(formatIp(unmapped(ip('2001:db8::1'))), '2001:db8::1');
  });
});

describe('the way of a name', () => {
  it('is looked up in the VPN, and its addresses decide', () => {
    assert.deepEqual(rules({}).ofName('Web.Example.'), { resolver: 'vpn', way: undefined });
  });

  it('is looked up by the machine outside the domains of the gateway', () => {
    const made = rules({}, { splitDns: ['Corp.Test'] });
    assert.equal(made.ofName('web.corp.test').resolver, 'vpn');
    assert.equal(made.ofName('corp.test').resolver, 'vpn');
    assert.equal(made.ofName('notcorp.test').resolver, 'direct');
    assert.equal(made.ofName('web').resolver, 'vpn');
  });

  it('is as the user says, the longest domain first', () => {
    const made = rules({ 'corp.test': 'vpn', '*.out.corp.test': 'direct', '.example': 'direct' });
    assert.deepEqual(made.ofName('a.corp.test'), { resolver: 'vpn', way: 'vpn' });
    assert.deepEqual(made.ofName('a.out.corp.test'), { resolver: 'direct', way: 'direct' });
    assert.deepEqual(made.ofName('www.example'), { resolver: 'direct', way: 'direct' });
    assert.equal(rules({ all: 'direct' }).ofName('www.example').resolver, 'direct');
  });

  it('is looked up by the machine where the gateway has no name servers', () => {
    assert.equal(rules({ 'corp.test': 'vpn' }, { dns: [] }).ofName('web.corp.test').resolver, 'direct');
  });

  it('cannot be said by anything else', () => {
    for (const text of ['', '*', 'a b', '10.0.0.0/33', 'http://x', '-']) assert.throws(() => parseUserRule('vpn', text), MisuseError, text);
  });
});
