/** `sallyport proxy` as a user that may do nothing, against the real ocserv: programs that know proxies reach the inside of the VPN. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { ProxyE2e } from './proxy-scene.ts';
import { INSIDE, skip } from './tunnel-scene.ts';

const WEB = 'http://web.corp.test:8080/';
const PROXY = '127.0.0.1:1080';

describe('sallyport proxy', { skip: skip || missing('setpriv', 'curl'), concurrency: 2, timeout: HANG_LIMIT }, () => {
  for (const transport of ['tls', 'dtls']) {
    it(`takes curl inside by SOCKS and HTTP, over ${transport}, with no rights at all, and changes nothing on the machine`, async () => {
      await using scene = await ProxyE2e.open();
      writeFileSync(path.join(scene.home, 'index.html'), 'by IPv6\n');
      await scene.site(scene.home);
      const proxy = await scene.proxy(transport === 'tls' ? ['--no-udp'] : []);
      const status = readFileSync(`/proc/${proxy.pid}/status`, 'utf8');
      assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
      assert.match(status, /^CapPrm:\t0{16}\nCapEff:\t0{16}\nCapBnd:\t0{16}$/m);
      assert.match(await scene.run('id', []), /^uid=65534\(nobody\) gid=65534\(nogroup\) groups=65534\(nogroup\)$/m);
      assert.equal(proxy.stdout, `Ready: proxy=${PROXY}\n`);
      const post = ['--data', 'hello', WEB];
      assert.equal(await scene.curl('--socks5-hostname', PROXY, ...post), 'hello');
      assert.equal(await scene.curl('--socks5', PROXY, '--data', 'hello', 'http://10.77.0.1:8080/'), 'hello');
      assert.equal(await scene.curl('--socks4a', PROXY, ...post), 'hello');
      assert.equal(await scene.curl('--proxy', `http://${PROXY}`, ...post), 'hello');
      assert.equal(await scene.curl('--proxy', `http://${PROXY}`, '--proxytunnel', ...post), 'hello');
      const tls = ['--cacert', scene.authority, '--data', 'with TLS', 'https://web.corp.test:8443/'];
      assert.equal(await scene.curl('--socks5-hostname', PROXY, ...tls), 'with TLS');
      assert.equal(await scene.curl('--proxy', `http://${PROXY}`, ...tls), 'with TLS');
      const six = `http://[${INSIDE.ipv6}]:9080/`;
      for (const way of [`socks5h://${PROXY}`, `socks5://${PROXY}`, `http://${PROXY}`]) {
        assert.equal(await scene.curl('--proxy', way, six), 'by IPv6\n');
      }
      assert.equal(await scene.curl(`http://${PROXY}/healthz`), 'up\n');
      await scene.end(proxy);
    });
  }
});
