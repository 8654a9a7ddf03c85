/** Debian's openconnect 9.01 logs in at our gateway's Array front, over real TLS on loopback, and has its tunnel. */
import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { arrayGateway } from '../../src/core/protocols/array/gateway.ts';
import { cookieOffWire } from '../../src/core/protocols/hex-cookie.ts';
import type { VisitorOptions } from '../support/gateway-visitor.ts';
import { openFront, PEOPLE } from '../support/openconnect-front.ts';
import { type OpenconnectOptions, printed } from '../support/openconnect-run.ts';
import { missing } from '../support/requirements.ts';
import { HANG_LIMIT } from '../support/size.ts';
import { type ThrowawayCertificate, throwawayCertificate } from '../support/throwaway-certificate.ts';

describe("openconnect 9.01 at our gateway's Array front", { skip: missing('openconnect', 'openssl'), timeout: HANG_LIMIT }, () => {
  let certificate: ThrowawayCertificate;
  before(() => {
    certificate = throwawayCertificate();
  });

  const start = async (visitor?: VisitorOptions) => {
    const front = await openFront(arrayGateway, certificate, { ...(visitor && { visitor }) });
    const run = ({ args = [], method = '', ...more }: OpenconnectOptions & { readonly method?: string }) =>
      front.run({ ...more, args: [`--form-entry=form:method=${method}`, ...args] });
    return { ...front, run };
  };

  it('logs in with a password, and brings its method, which is a group or the default', async () => {
    await using gateway = await start({ users: PEOPLE, groups: [{ value: 'staff', label: 'Staff people' }] });
    for (const method of ['staff', 'no such']) {
      const run = await gateway.run({ args: ['--authenticate', '--user=alice'], stdin: 'right&one+%\n', method });
      assert.equal(run.exitCode, 0, run.stderr);
      const [, cookie = ''] = /^ANsession1=([0-9a-f]{64})$/.exec(printed(run, 'COOKIE') ?? '') ?? assert.fail(run.stdout);
      const session = gateway.visitor.sessions.get(cookieOffWire(cookie)?.reveal() ?? '') ?? assert.fail('no session has this cookie');
      assert.deepEqual([session.user, session.group], ['alice', method === 'staff' ? 'staff' : undefined]);
    }
  });

  it('is refused for a wrong password, and for a second factor, which it has no way to be asked for', async () => {
    await using gateway = await start();
    for (const [user, password] of [
      ['alice', 'wrong'],
      ['nobody', 'wrong'],
      ['bob', 'right-one'],
    ] as const) {
      const run = await gateway.run({ args: ['--authenticate', `--user=${user}`], stdin: `${password}\n` });
      assert.equal(run.exitCode, 1, run.stderr);
    }
    assert.equal(gateway.visitor.sessions.size, 0);
  });

  it('fails with status 1 where there is no lease', async () => {
    await using gateway = await start({ users: PEOPLE, noLease: 'There is no address.' });
    const run = await gateway.run({ args: ['--user=alice', '--script-tun', '--script=true'], stdin: 'right&one+%\n' });
    assert.equal(run.exitCode, 1, run.stderr);
    assert.equal(gateway.server.handOvers.length, 0);
  });
});
