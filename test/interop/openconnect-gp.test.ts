/** Debian's openconnect 9.01 logs in at our gateway's GlobalProtect front, over real TLS on loopback. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import type { ListedGateway, PortalPage } from '../../src/core/protocols/gateway-protocol.ts';
import { gpGateway } from '../../src/core/protocols/gp/gateway.ts';
import { cookieOffWire } from '../../src/core/protocols/hex-cookie.ts';
import type { PlayedVisitor, VisitorOptions } from '../support/gateway-visitor.ts';
import { openFront, PEOPLE } from '../support/openconnect-front.ts';
import { type OpenconnectRun, printed } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

const PORTAL: PortalPage = { name: 'Corp', gateways: [], regions: [], reportInterval: 3_600_000, asksBy: 'xml' };
const LOOPBACK = { family: 4, bytes: Uint8Array.of(127, 0, 0, 0) } as const;

describe("openconnect 9.01 at our gateway's GlobalProtect front", { skip: missing('openconnect', 'openssl'), timeout: HANG_LIMIT }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  const start = (visitor?: VisitorOptions) => openFront(gpGateway, certificate, { ...(visitor && { visitor }) });

  function sessionOf(visitor: PlayedVisitor, run: OpenconnectRun) {
    assert.equal(run.exitCode, 0, run.stderr);
    const cookie = printed(run, 'COOKIE') ?? '';
    assert.match(cookie, /^authcookie=[0-9a-f]{64}&portal=sallyport&user=\w+&domain=%28empty_domain%29&computer=/);
    const [, authcookie = ''] = /authcookie=(\w+)/.exec(cookie) ?? [];
    return visitor.sessions.get(cookieOffWire(authcookie)?.reveal() ?? '') ?? assert.fail('no session has this cookie');
  }

  it('comes from the portal, which there is not, to the gateway, and logs in', async () => {
    await using gateway = await start();
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
  });

  it('is asked again after a wrong password, and may be right then', async () => {
    await using gateway = await start();
    const args = ['--authenticate', '--user=alice', '--usergroup=gateway'];
    assert.equal(sessionOf(gateway.visitor, await gateway.run({ args, stdin: 'wrong-one\nright&one+%\n' })).user, 'alice');
    assert.notEqual((await gateway.run({ args: ['--authenticate', '--user=nobody'], stdin: 'wrong-one\n' })).exitCode, 0);
  });

  it('answers for a code, and a question that is none, after the password', async () => {
    await using gateway = await start();
    const bob = await gateway.run({ args: ['--authenticate', '--user=bob'], stdin: 'right-one\n123456\n' });
    assert.equal(sessionOf(gateway.visitor, bob).user, 'bob');
    assert.match(bob.stderr, /Please enter your OTP password\./);
    const carol = await gateway.run({ args: ['--authenticate', '--user=carol'], stdin: 'right-one\nblue\n' });
    assert.equal(sessionOf(gateway.visitor, carol).user, 'carol');
  });

  it('logs in at a portal with a password and a code, and is asked for nothing at the gateway, in either syntax', async () => {
    for (const asksBy of ['xml', 'script'] as const) {
      await using gateway = await start({ users: PEOPLE, page: { portal: { ...PORTAL, asksBy } } });
      const run = await gateway.run({ args: ['--authenticate', '--user=bob'], stdin: 'right-one\n123456\n' });
      assert.equal(sessionOf(gateway.visitor, run).user, 'bob');
      const [portal, own, ...others] = gateway.visitor.hints;
      assert.deepEqual([portal?.wantsPass, own?.wantsPass, own?.pass?.username, others], [true, undefined, 'bob', []]);
      const told = gateway.visitor.log.lines.filter((line) => /pass given|logged in/.test(line));
      assert.equal(told.length, 2, 'of each once');
    }
  });

  it('chooses one of the portal’s gateways by its label, of those that are best where it is', async () => {
    const gateways: ListedGateway[] = [];
    const regions = [{ name: 'Here', networks: [{ address: LOOPBACK, prefix: 8 }] }];
    await using gateway = await start({ users: PEOPLE, page: { portal: { ...PORTAL, gateways, regions } } });
    // Nobody is at the others: who is sent there does not come back.
    gateways.push(
      { address: '127.0.0.1:9', label: 'Nowhere', priority: 1, regions: [['Here', 5]] },
      { address: gateway.server.authority, label: 'Berlin', priority: 3, regions: [] },
      { address: '127.0.0.1:10', label: 'Nowhere too', priority: 2, regions: [] },
    );
    const run = await gateway.run({ args: ['--authenticate', '--user=alice', '--authgroup=Berlin'], stdin: 'right&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
    assert.match(run.stderr, /Nowhere too \(.*\n +Berlin \(.*\n +Nowhere \(/);
  });

  it('takes a portal’s cookie to the gateway later, and is asked for a password when that is over', async () => {
    await using gateway = await start({ users: PEOPLE, page: { portal: PORTAL } });
    const step = gateway.visitor.admit('alice', { wantsPass: true });
    const pass = step.type === 'admitted' ? step.cookie.reveal() : '';
    const args = ['--authenticate', '--user=alice', '--usergroup=gateway:portal-userauthcookie'];
    assert.equal(sessionOf(gateway.visitor, await gateway.run({ args, stdin: `${pass}\n` })).user, 'alice');
    gateway.visitor.passes.clear();
    assert.notEqual((await gateway.run({ args, stdin: `${pass}\n` })).exitCode, 0);
  });

  it('is told where a browser is to begin, and goes on with what that brings', async () => {
    await using gateway = await start({ users: PEOPLE, page: { portal: PORTAL, browserLogin: 'redirect' } });
    const told = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.notEqual(told.exitCode, 0);
    assert.ok(told.stderr.includes(`https://${gateway.server.authority}/SAML20/SP/login`), told.stderr);
    const step = gateway.visitor.admit('alice', { wantsPass: true });
    const brought = step.type === 'admitted' ? step.cookie.reveal() : '';
    for (const group of ['portal:prelogin-cookie', 'gateway:prelogin-cookie']) {
      const run = await gateway.run({ args: ['--authenticate', '--user=alice', `--usergroup=${group}`], stdin: `${brought}\n` });
      assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
    }
  });

  it('needs a certificate where the host wants one', async () => {
    await using gateway = await start({ users: PEOPLE, page: { needsCertificate: true } });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.notEqual(run.exitCode, 0);
    assert.equal(gateway.visitor.sessions.size, 0);
  });

  it('sends what its wrapper writes of its machine where the gateway wants that, and nothing where not', async () => {
    const report = `<hip-report name="hip-report"><categories><entry name="host-info"><os>Debian 12</os><host-name>vm</host-name></entry></categories></hip-report>`;
    const folder = await mkdtemp(path.join(tmpdir(), 'sallyport-'));
    const wrapper = path.join(folder, 'report');
    // Some 900 KB, escaped as it is sent: longer than a request may be without a session.
    await writeFile(wrapper, `#!/bin/sh\nprintf '%s' '${report}'; printf '<!--%300000s-->' ''\n`, { mode: 0o755 });
    try {
      for (const wantsHostReports of [true, false]) {
        await using gateway = await start({ users: PEOPLE, page: { wantsHostReports } });
        const args = ['--user=alice', '--usergroup=gateway', `--csd-wrapper=${wrapper}`, '--script-tun', '--script=kill -INT $PPID'];
        await gateway.run({ args, stdin: 'right&one+%\n' });
        const line = gateway.visitor.log.lines.find((each) => each.includes('host report'));
        assert.equal(line?.includes('Debian 12') === true, wantsHostReports, gateway.visitor.log.lines.join('\n'));
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('ends without a lease, and with status 2 for a cookie that is dead', async () => {
    await using gateway = await start({ users: PEOPLE, noLease: 'There is no address.' });
    const tunnel = ['--script-tun', '--script=true'];
    const none = await gateway.run({ args: ['--user=alice', ...tunnel], stdin: 'right&one+%\n' });
    assert.notEqual(none.exitCode, 0);
    assert.match(none.stdout + none.stderr, /Assign private IP address failed/);
    const dead = `--cookie=authcookie=${'0'.repeat(64)}&portal=sallyport&user=alice&domain=%28empty_domain%29&computer=vm`;
    assert.equal((await gateway.run({ args: [dead, '--usergroup=gateway', ...tunnel], stdin: 'none\n' })).exitCode, 2);
  });
});
