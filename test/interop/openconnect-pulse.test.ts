/** Debian's openconnect 9.01 logs in at our gateway's Pulse front, over real TLS on loopback. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import { cookieOffWire } from '../../src/core/protocols/base64url-cookie.ts';
import { pulseGateway } from '../../src/core/protocols/pulse/gateway.ts';
import type { PlayedVisitor, VisitorOptions } from '../support/gateway-visitor.ts';
import { openFront, PEOPLE } from '../support/openconnect-front.ts';
import { type OpenconnectRun, printed } from '../support/openconnect-run.ts';
import { Pki } from '../support/pki.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT, sized } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

describe("openconnect 9.01 at our gateway's Pulse front", { skip: missing('openconnect', 'openssl'), timeout: HANG_LIMIT }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  const start = async (visitor?: VisitorOptions) => {
    const front = await openFront(pulseGateway, certificate, { ...(visitor && { visitor }) });
    return { ...front, onHandOver: (told: () => void) => Object.assign(front.server, { onHandOver: told }) };
  };

  function sessionOf(visitor: PlayedVisitor, run: OpenconnectRun) {
    assert.equal(run.exitCode, 0, run.stderr);
    const [, cookie] = /^([\w-]{43})$/.exec(printed(run, 'COOKIE') ?? '') ?? assert.fail(run.stdout);
    return visitor.sessions.get(cookieOffWire(cookie ?? '').reveal()) ?? assert.fail('no session has this cookie');
  }

  it('logs in with a password', async () => {
    await using gateway = await start();
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
  });

  it('is asked again after a wrong password, and may be right then', async () => {
    await using gateway = await start();
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'wrong-one\nright&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
    assert.notEqual((await gateway.run({ args: ['--authenticate', '--user=nobody'], stdin: 'wrong-one\n' })).exitCode, 0);
  });

  it('answers for a code after the password', async () => {
    await using gateway = await start();
    const run = await gateway.run({ args: ['--authenticate', '--user=bob'], stdin: 'right-one\n123456\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'bob');
    assert.match(run.stderr, /Token code request:/); // a first code's prompt is the client's own (spec 6.6)
  });

  it('answers a question that is no code', async () => {
    await using gateway = await start();
    const run = await gateway.run({ args: ['--authenticate', '--user=carol'], stdin: 'right-one\nblue\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'carol');
    assert.match(run.stderr, /Please say the colour\./);
  });

  it('brings its realm in the path, or chooses one', async () => {
    const groups = [
      { value: 'staff', label: 'Staff people' },
      { value: 'guests', label: 'Guests' },
    ];
    await using gateway = await start({ users: PEOPLE, groups });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n', path: '/staff' });
    assert.equal(sessionOf(gateway.visitor, run).group, 'staff');
    const chosen = await gateway.run({ args: ['--authenticate', '--user=alice', '--authgroup=Guests'], stdin: 'right&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, chosen).group, 'guests');
  });

  it('is known by the certificate that it shows in TLS, and told so where one is wanted', async () => {
    using pki = new Pki();
    const own = pki.issueClient({ commonName: 'dora' });
    const host = { clientAuthority: pki.root.certificatePem, clientCertificates: 'optional' } as const;
    const visitor = { certificate: { user: 'dora', groups: [] }, page: { needsCertificate: true } };
    await using gateway = await openFront(pulseGateway, certificate, { host, visitor });
    const run = await gateway.run({ args: ['--authenticate', '-c', own.certificatePath, '-k', own.keyPath], stdin: '\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'dora');
    const refused = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.notEqual(refused.exitCode, 0);
    assert.match(refused.stderr, /certificate/i);
  });

  for (const keyType of sized(['ec'], ['ec', 'rsa']) as ('ec' | 'rsa')[]) {
    it(`shows its certificate (${keyType}) inside of EAP-TTLS where TLS does not ask for it`, async () => {
      using pki = new Pki();
      const issuer = pki.issueAuthority({ keyType });
      const own = pki.issueClient({ commonName: 'dora', keyType, issuer });
      const chain = pki.file('chain.pem');
      writeFileSync(chain, `${own.certificatePem}${issuer.certificatePem}`);
      const host = { clientAuthority: pki.root.certificatePem, clientCertificates: 'no' } as const;
      await using gateway = await openFront(pulseGateway, throwawayCertificate(keyType), {
        ...{ host, visitor: { users: PEOPLE, certificate: { user: 'dora', groups: [] }, page: { needsCertificate: true } } },
      });
      const shown = ['-c', chain, '-k', own.keyPath];
      const run = await gateway.run({ args: ['--authenticate', ...shown], stdin: '\n' });
      assert.equal(sessionOf(gateway.visitor, run).user, 'dora');
      assert.deepEqual(
        gateway.visitor.hints.map(({ certificateChain }) => certificateChain?.length),
        [2],
      );
      const leave = new AbortController();
      gateway.server.onHandOver = () => setImmediate(() => leave.abort());
      // Its cookie needs no certificate; without one it says so only inside.
      const again = await gateway.run({
        args: [`--cookie=${printed(run, 'COOKIE')}`, '--script-tun', '--script=true', ...shown],
        ...{ stdin: '\n', leave: leave.signal },
      });
      assert.match(again.stdout, /^Configured as/m, again.stderr);
      const refused = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
      assert.notEqual(refused.exitCode, 0);
      assert.match(refused.stderr, /certificate/i);
    });
  }

  it('goes on inside of EAP-TTLS with a password where a certificate is one of several ways, and it has none', async () => {
    await using gateway = await start({ users: PEOPLE, page: { takesCertificate: true } });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
    assert.equal(gateway.visitor.hints[0]?.certificateChain, undefined);
  });

  it('reads a notice before it logs in', async () => {
    await using gateway = await start({ users: PEOPLE, page: { preLoginBanner: 'Be careful.' } });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'alice');
  });

  it('takes its configuration', async () => {
    await using gateway = await start();
    const leave = new AbortController();
    gateway.onHandOver(() => setImmediate(() => leave.abort()));
    const run = await gateway.run({
      args: ['--user=alice', '--script-tun', '--script=true'],
      ...{ stdin: 'right&one+%\n', leave: leave.signal },
    });
    assert.match(run.stdout, /^Configured as 10\.77\.0\.50, with SSL connected/m);
  });

  it('is told that there is no lease, and with status 2 that a cookie is dead', async () => {
    await using gateway = await start({ users: PEOPLE, noLease: 'There is no address.' });
    const run = await gateway.run({ args: ['--user=alice', '--script-tun', '--script=true'], stdin: 'right&one+%\n' });
    assert.equal(run.exitCode, 1, run.stderr);
    const dead = await gateway.run({ args: ['--cookie=abcdefgh', '--script-tun', '--script=true'], stdin: '\n' });
    assert.equal(dead.exitCode, 2, dead.stderr);
  });
});
