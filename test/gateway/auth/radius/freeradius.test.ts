/** Our client against Debian's FreeRADIUS, which insists on Message-Authenticator here. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Secret } from '../../../../src/core/secret.ts';
import { formatCidr, formatIp } from '../../../../src/core/wire/ip-address.ts';
import { FreeRadius } from '../../../support/freeradius.ts';
import { missing } from '../../../support/requirements.ts';
import { sampleConfig, sampleHost } from '../../config-samples.ts';
import { AuthScene, cookieOf, formOf, ip } from '../auth-scene.ts';

const USERS = `
alice Cleartext-Password := "correct horse"
\tClass = "OU=staff;admins",
\tFramed-IP-Address = 10.77.0.9,
\tFramed-IP-Netmask = 255.255.255.0,
\tFramed-Route = "10.5.0.0/16 10.0.0.1 1",
\tFramed-IPv6-Address = fd77::9,
\tDelegated-IPv6-Prefix = fd77:0:1::/64,
\tMS-Primary-DNS-Server = 10.9.9.9,
\tMS-Secondary-DNS-Server = 10.9.9.10,
\tDNS-Server-IPv6-Address = fd77::53,
\tSession-Timeout = 3600,
\tAcct-Interim-Interval = 60

bob Cleartext-Password := "123456"
`;

/** bob's password is asked for with a challenge first, so that the one who is checked is the answer to it. */
const CHALLENGE = `
if (&User-Name == "bob" && !&State) {
  update control {
    &Response-Packet-Type := Access-Challenge
  }
  update reply {
    &Reply-Message := "Code from your token, please:"
    &State := 0x2a2b2c
  }
  handled
}
`;

async function scene(radius: FreeRadius, takesGroups = true, more = ''): Promise<AuthScene> {
  const auth = new AuthScene();
  const config = { file: radius.clientFile(more), nasIdentifier: 'gate-1' };
  const host = sampleHost({
    auth: { required: [{ method: 'radius', radius: config, takesGroups }], accounting: { method: 'radius', radius: config } },
  });
  await auth.open(sampleConfig(host));
  return auth;
}

describe('RADIUS with FreeRADIUS', { skip: missing('freeradius') }, () => {
  it('admits by password, with groups and policy from the answer', async () => {
    await using radius = await FreeRadius.start({ users: USERS });
    await using auth = await scene(radius);
    const step = await auth.logInAs('alice', 'correct horse');
    assert.equal(step.type === 'admitted' && step.group, 'staff');
    const known = await auth.service.session(cookieOf(step), ip('192.0.2.7'));
    const { explicitIpv4, explicitIpv6, dns, routes, pools, sessionTimeout, statisticsInterval } = known?.policy ?? {};
    assert.deepEqual(
      [explicitIpv4, explicitIpv6].map((address) => address && formatIp(address)),
      ['10.77.0.9', 'fd77::9'],
    );
    assert.deepEqual(dns?.map(formatIp), ['10.9.9.9', '10.9.9.10', 'fd77::53']);
    assert.deepEqual(routes?.map(formatCidr), ['10.5.0.0/16']);
    assert.deepEqual(
      [pools?.ipv4, pools?.ipv6].map((network) => network && formatCidr(network)),
      ['10.77.0.9/24', 'fd77:0:1::/64'],
    );
    assert.deepEqual([sessionTimeout, statisticsInterval], [3_600_000, 60_000]);
  });

  it('sends what ocserv sends', async () => {
    await using radius = await FreeRadius.start({ users: USERS });
    await using auth = await scene(radius);
    await auth.logInAs('alice', 'correct horse');
    for (const attribute of [
      'User-Name = "alice"',
      'User-Password = "correct horse"',
      'NAS-IP-Address = 192.0.2.1',
      'NAS-Identifier = "gate-1"',
      'Calling-Station-Id = "192.0.2.7"',
      'Connect-Info = "test/1"',
      'Service-Type = Authenticate-Only',
      'NAS-Port-Type = Async',
    ]) {
      assert.ok(radius.log.includes(`(0)   ${attribute}`), attribute);
    }
  });

  it('leaves addresses and routes to the files without groupconfig, but not the limits', async () => {
    await using radius = await FreeRadius.start({ users: USERS });
    await using auth = await scene(radius, false);
    const step = await auth.logInAs('alice', 'correct horse');
    const known = await auth.service.session(cookieOf(step), ip('192.0.2.7'));
    assert.deepEqual(known?.policy, { sessionTimeout: 3_600_000, statisticsInterval: 60_000 });
    assert.equal(known?.group, 'staff');
  });

  it('takes the right password after a wrong one', async () => {
    await using radius = await FreeRadius.start({ users: USERS });
    await using auth = await scene(radius);
    assert.equal((await auth.logInAs('alice', 'wrong', 'correct horse')).type, 'admitted');
    assert.deepEqual(auth.failures, ['192.0.2.7']);
  });

  it('asks what a challenge asks, and answers with its state', async () => {
    await using radius = await FreeRadius.start({ users: USERS, authorize: CHALLENGE });
    await using auth = await scene(radius);
    const { dialogue } = await auth.service.begin(auth.hints());
    const answer = async (values: Record<string, string | Secret>) => {
      const step = await auth.service.answer(dialogue, values, ip('192.0.2.7'));
      assert.ok(step !== undefined);
      return step;
    };
    await answer({ username: 'bob' });
    const form = formOf(await answer({ password: 'first factor' }));
    assert.equal(form.message, 'Code from your token, please:');
    assert.deepEqual(form.fields, [{ kind: 'otp', name: 'secondary_password', label: 'Password1:' }]);
    assert.equal((await answer({ secondary_password: new Secret('123456') })).type, 'admitted');
    assert.match(radius.log, /\(1\) {3}State = 0x2a2b2c/);
  });

  it('does not believe an answer that is not signed, and says what to do', async () => {
    await using radius = await FreeRadius.start({ users: USERS, signsAnswers: false });
    await using auth = await scene(radius);
    assert.equal((await auth.logInAs('alice', 'correct horse')).type, 'refused');
    assert.match(String(auth.logged[0]?.fields?.reason), /without Message-Authenticator.*require-message-authenticator no/);
    assert.deepEqual(auth.failures, [], 'nobody has typed a wrong password');
  });

  it('believes it where the administrator says so', async () => {
    await using radius = await FreeRadius.start({ users: USERS, signsAnswers: false });
    await using auth = await scene(radius, true, 'require-message-authenticator no\n');
    assert.equal((await auth.logInAs('alice', 'correct horse')).type, 'admitted');
  });

  it('goes on to the next server when the first does not answer', async () => {
    await using radius = await FreeRadius.start({ users: USERS });
    await using auth = new AuthScene();
    const file = radius.clientFile();
    // Port 9 of loopback: nobody listens, and the kernel says so.
    writeFileSync(file, `authserver 127.0.0.1:9\n${readFileSync(file, 'utf8')}`);
    await auth.open(sampleConfig(sampleHost({ auth: { required: [{ method: 'radius', radius: { file }, takesGroups: true }] } })));
    assert.equal((await auth.logInAs('alice', 'correct horse')).type, 'admitted');
  });

  it('reports a session’s start, its figures and its end', async () => {
    await using radius = await FreeRadius.start({ users: USERS });
    await using auth = await scene(radius);
    const cookie = cookieOf(await auth.logInAs('alice', 'correct horse'));
    const { id = '' } = (await auth.service.session(cookie, ip('192.0.2.7'))) ?? {};
    await auth.service.opened(id, { remote: ip('192.0.2.7'), ipv4: ip('10.77.0.9'), ipv6: ip('fd77::9'), device: 'vpns0' });
    await radius.waitFor(/Acct-Status-Type = Start/);
    auth.now += 60_000;
    await auth.service.reported(id, { received: 5, sent: 2 ** 32 + 7, duration: 60_000 });
    await radius.waitFor(/Acct-Status-Type = Interim-Update/);
    auth.now += 5_000;
    await auth.service.closed(id, { received: 6, sent: 2 ** 32 + 8, duration: 65_000, reason: 'idle timeout', keepsCookie: false });
    const stopped = await radius.waitFor(/Acct-Status-Type = Stop/);
    await radius.waitFor(/Sent Accounting-Response/, { after: radius.log.lastIndexOf(stopped[0]) });
    const stop = radius.log.slice(radius.log.lastIndexOf('Received Accounting-Request'));
    for (const attribute of [
      'Acct-Terminate-Cause = Idle-Timeout',
      'Acct-Session-Time = 65',
      'Acct-Input-Octets = 6',
      'Acct-Output-Octets = 8',
      'Acct-Input-Gigawords = 0',
      'Acct-Output-Gigawords = 1',
      'Framed-IP-Address = 10.77.0.9',
      'Framed-IPv6-Address = fd77::9',
      'NAS-IP-Address = 192.0.2.1',
      'NAS-Identifier = "gate-1"',
      'Calling-Station-Id = "192.0.2.7"',
      'User-Name = "alice"',
      'Service-Type = Framed-User',
      'Framed-Protocol = PPP',
      'Acct-Authentic = RADIUS',
      `Acct-Session-Id = "${id}"`,
      'Class = 0x4f553d73746166663b61646d696e73',
    ]) {
      assert.ok(stop.includes(attribute), attribute);
    }
  });
});
