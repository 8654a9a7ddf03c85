/** Debian's openconnect 9.01 logs in at our gateway's Fortinet front, over real TLS on loopback. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { cookieOffWire } from '../../src/core/protocols/base64url-cookie.ts';
import { fortinetGateway } from '../../src/core/protocols/fortinet/gateway.ts';
import type { PlayedVisitor, VisitorOptions } from '../support/gateway-visitor.ts';
import { openFront, PEOPLE } from '../support/openconnect-front.ts';
import { type OpenconnectRun, printed } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

describe("openconnect 9.01 at our gateway's Fortinet front", { skip: missing('openconnect', 'openssl'), timeout: HANG_LIMIT }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  const start = (visitor?: VisitorOptions) => openFront(fortinetGateway, certificate, { ...(visitor && { visitor }) });

  function sessionOf(visitor: PlayedVisitor, run: OpenconnectRun) {
    assert.equal(run.exitCode, 0, run.stderr);
    const [, cookie] = /^SVPNCOOKIE=([\w-]{43})$/.exec(printed(run, 'COOKIE') ?? '') ?? assert.fail(run.stdout);
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
    assert.match(run.stderr, /Please enter your OTP password\./);
  });

  it('answers a question that is no code', async () => {
    await using gateway = await start();
    const run = await gateway.run({ args: ['--authenticate', '--user=carol'], stdin: 'right-one\nblue\n' });
    assert.equal(sessionOf(gateway.visitor, run).user, 'carol');
    assert.match(run.stderr, /Please say the colour\./);
  });

  it('brings its realm, which is a group or the default', async () => {
    await using gateway = await start({ users: PEOPLE, groups: [{ value: 'staff', label: 'Staff people' }] });
    const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n', path: '/staff' });
    assert.equal(sessionOf(gateway.visitor, run).group, 'staff');
    const unknown = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n', path: '/no%2Bsuch' });
    assert.equal(sessionOf(gateway.visitor, unknown).group, undefined);
  });

  it('is refused with status 2 where there is no lease', async () => {
    await using gateway = await start({ users: PEOPLE, noLease: 'There is no address.' });
    const run = await gateway.run({ args: ['--user=alice', '--script-tun', '--script=true'], stdin: 'right&one+%\n' });
    assert.equal(run.exitCode, 2, run.stderr);
  });
});
