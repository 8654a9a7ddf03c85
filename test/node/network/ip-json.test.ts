import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../../src/core/errors.ts';
import { formatCidr, formatIp } from '../../../src/core/wire/ip-address.ts';
import { parseLinks, parseRoutes } from '../../../src/node/network/ip-json.ts';
import { runProgram } from '../../../src/node/processes/run-program.ts';
import { missing } from '../../support/requirements.ts';

// As printed by iproute2 6.1.0.
const IPV4_ROUTES = `[
  {"dst":"default","flags":[],"nexthops":[{"gateway":"192.0.2.1","dev":"eth0","weight":2,"flags":["dead","linkdown"]},{"gateway":"192.0.3.1","dev":"eth1","weight":1,"flags":[]}]},
  {"dst":"10.0.0.0/8","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0","flags":[]},
  {"dst":"10.8.0.0/16","tos":"0x10","gateway":"172.16.0.1","dev":"eth0","metric":77,"flags":["onlink"]},
  {"dst":"10.8.0.0/16","gateway":"172.16.0.1","dev":"eth0","protocol":"dhcp","prefsrc":"192.0.3.10","metric":77,"flags":["onlink","linkdown"],"metrics":[{"mtu":1300,"advmss":1260}]},
  {"type":"unreachable","dst":"10.9.0.0/16","flags":[]},
  {},
  {"dst":"192.0.2.7","dev":"eth0","protocol":"kernel","scope":"link","prefsrc":"192.0.2.10","flags":[]}]`;
const IPV6_ROUTES = `[
  {"dst":"2001:db8:5::/48","gateway":"fe80::1","dev":"eth0","metric":1024,"flags":[],"expires":99,"pref":"high"},
  {"type":"unreachable","dst":"2001:db8:7::/48","dev":"lo","metric":1024,"flags":[],"pref":"medium"},
  {"dst":"default","metric":1024,"flags":[],"pref":"medium","nexthops":[{"gateway":"fe80::1","dev":"eth0","weight":1,"flags":[]}]}]`;
const LINKS = `[{"ifindex":3,"link":"up0","ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1500,"operstate":"UP","addr_info":[
  {"family":"inet","local":"192.0.2.10","prefixlen":24,"scope":"global","label":"eth0"},
  {"family":"inet6","local":"2001:db8:1::10","prefixlen":64,"scope":"global","nodad":true}]},
  {"ifindex":4,"ifname":"tun0","flags":["POINTOPOINT","NOARP"],"mtu":1400,"addr_info":[]}]`;

describe('the links that ip prints', () => {
  it('have a name, a number, an MTU and addresses', () => {
    const links = parseLinks(LINKS).map((link) => ({ ...link, addresses: link.addresses.map(formatCidr) }));
    assert.deepEqual(links, [
      { name: 'eth0', index: 3, mtu: 1500, isUp: true, addresses: ['192.0.2.10/24', '2001:db8:1::10/64'] },
      { name: 'tun0', index: 4, mtu: 1400, isUp: false, addresses: [] },
    ]);
  });
});

describe('the routes that ip prints', () => {
  const routes = parseRoutes(IPV4_ROUTES, 4);
  const words = routes.map((route) => route.words?.join(' '));

  it('are read with their hops', () => {
    const text = routes.map(({ destination, metric, hops, isSelective }) => {
      const ways = hops.map(
        ({ device, via, isOnlink, isDead }) =>
          `${device}${via === undefined ? '' : ` via ${formatIp(via)}`}${isOnlink ? ' onlink' : ''}${isDead ? ' dead' : ''}`,
      );
      return `${formatCidr(destination)} ${metric}${isSelective ? ' selective' : ''}: ${ways.join(', ')}`;
    });
    assert.deepEqual(text, [
      '0.0.0.0/0 0: eth0 via 192.0.2.1 dead, eth1 via 192.0.3.1',
      '10.0.0.0/8 0: eth0 via fe80::1',
      '10.8.0.0/16 77 selective: eth0 via 172.16.0.1 onlink',
      '10.8.0.0/16 77: eth0 via 172.16.0.1 onlink',
      '10.9.0.0/16 0: ',
      '192.0.2.7/32 0: eth0',
    ]);
    assert.equal(routes[3]?.mtu, 1300);
    assert.equal(routes[3]?.source === undefined ? '' : formatIp(routes[3].source), '192.0.3.10');
  });

  it('can be written again, where all of them is understood', () => {
    assert.deepEqual(words, [
      undefined, // several hops
      '10.0.0.0/8 via inet6 fe80::1 dev eth0',
      undefined, // type of service
      '10.8.0.0/16 via 172.16.0.1 dev eth0 proto dhcp src 192.0.3.10 metric 77 mtu 1300 advmss 1260 onlink',
      'unreachable 10.9.0.0/16',
      '192.0.2.7 dev eth0 proto kernel scope link src 192.0.2.10',
    ]);
    const ipv6 = parseRoutes(IPV6_ROUTES, 6).map((route) => route.words?.join(' '));
    assert.deepEqual(ipv6, [undefined, 'unreachable 2001:db8:7::/48 dev lo metric 1024 pref medium', undefined]);
  });

  it('may be none, in either way of saying so', () => {
    assert.deepEqual(parseRoutes('', 4), []);
    assert.deepEqual(parseRoutes('[]\n', 6), []);
  });

  it('are refused with our own error where they are something else', () => {
    for (const text of ['Option "-json" is unknown', '[{"dst":"nonsense"}]', '[{"dst":5}]'])
      assert.throws(() => parseRoutes(text, 4), SallyportError);
    assert.throws(() => parseLinks('[{"ifname":"x"}]'), SallyportError);
    const shapes = fc.array(
      fc.dictionary(
        fc.constantFrom('dst', 'dev', 'gateway', 'via', 'flags', 'metrics', 'nexthops', 'type', 'ifname', 'ifindex', 'mtu', 'addr_info'),
        fc.jsonValue(),
      ),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          shapes.map((shape) => JSON.stringify(shape)),
        ),
        (text) => {
          for (const parse of [() => parseRoutes(text, 4), () => parseLinks(text)]) {
            try {
              parse();
            } catch (error) {
              assert.ok(error instanceof SallyportError, String(error));
            }
          }
        },
      ),
    );
  });

  it('are what this machine prints', { skip: missing('ip') }, async () => {
    for (const family of [4, 6] as const) {
      const { stdout } = await runProgram('ip', ['-json', `-${family}`, 'route', 'show', 'table', 'main']);
      parseRoutes(stdout, family);
    }
    const { stdout } = await runProgram('ip', ['-json', 'address', 'show']);
    assert.ok(parseLinks(stdout).some(({ name }) => name === 'lo'));
  });
});
