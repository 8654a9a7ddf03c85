/** `sallyport exec --netns`: a program that knows no proxies, in a network of its own that an ordinary user has made, against the real ocserv. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ProxyE2e } from './proxy-scene.ts';
import { skip } from './tunnel-scene.ts';

const NONE = '0000000000000000';

describe('sallyport exec --netns', {
  skip: skip || missing('setpriv', 'curl', 'unshare', 'nsenter'),
  concurrency: 2,
  timeout: HANG_LIMIT,
}, () => {
  for (const transport of ['tls', 'dtls']) {
    it(`gives any program the VPN and nothing else, with no rights at all, over ${transport}`, async () => {
      await using scene = await ProxyE2e.open();
      const { lab } = scene.tunnel;
      const watch = await scene.watch();
      const script = [
        'id -u; id -g; grep -E "^Cap(Eff|Prm)" /proc/self/status',
        'curl --silent --show-error --max-time 20 --data inside http://web.corp.test:8080/; echo',
        'ping -c 1 -W 5 10.77.0.1 > /dev/null && echo answered',
        'cat /etc/resolv.conf',
        `curl --silent --max-time 5 http://${lab.addresses.server.ipv4}:8080/ || echo "outside: $?"`,
        'ip -4 route; ip link set tun0 down || echo may not',
        'echo "proxy=$ALL_PROXY"; exit 9',
      ];
      const { code, stdout, output } = await scene.exec(
        ['--netns', ...(transport === 'tls' ? ['--no-udp'] : [])],
        ['sh', '-c', script.join('\n')],
      );
      assert.equal(code, 9, output);
      assert.deepEqual(
        stdout
          .trimEnd()
          .split('\n')
          .map((line) => line.replace(/\s+/g, ' ').trim()),
        [
          '65534',
          '65534',
          `CapPrm: ${NONE}`,
          `CapEff: ${NONE}`,
          'inside',
          'answered',
          'nameserver 10.77.0.1',
          'search corp.test',
          'outside: 7',
          '10.77.0.0/16 dev tun0 scope link',
          'may not',
          'proxy=',
        ],
        output,
      );
      assert.deepEqual(await watch.strangers(), []);
      await scene.tunnel.ocserv.control.assertNoSessions();
      await scene.tunnel.assertNoTrace();
    });
  }
});
