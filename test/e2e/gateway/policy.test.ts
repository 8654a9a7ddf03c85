/**
 * What the administrator of our gateway says of groups and users, and what comes of it: at openconnect, on the wire, at occtl.
 *
 * Read first: spec "Gateway contract", sections 2.3 to 2.5.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { OcservUser } from '../../support/ocserv.ts';
import { ALICE } from '../../support/ocserv.ts';
import type { OpenConnect } from '../../support/openconnect.ts';
import { missing } from '../../support/requirements.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { assertAnswers, ping } from '../../support/traffic.ts';
import { cipherOfDatagrams, INSIDE, logIn, skip, type TunnelScene } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(HANG_LIMIT, 900_000) };

const STAFF: readonly OcservUser[] = [
  { ...ALICE, groups: ['staff'] },
  { name: 'bob', password: 'sesame open', groups: ['guests'] },
];

/** Values of a header of the answer to the last CONNECT. */
function headers(client: OpenConnect, name: string): string[] {
  const answer = client.program.output.slice(client.program.output.lastIndexOf('HTTP/1.1 200 CONNECTED'));
  return [...answer.matchAll(new RegExp(`^${name}: (.*)$`, 'gm'))].map(([, value = '']) => value);
}

describe('a file of a group or a user at our gateway', OPTIONS, () => {
  it('gives routes, names and addresses, the user’s over the group’s, and is read at each log-in', async () => {
    await using scene = await openGateway({
      users: STAFF,
      settings: { dns: ['10.77.0.1'], banner: 'To all of us', 'custom-header': ['X-CSTP-Team: %{U} of %{G}'] },
      perGroup: {
        staff: {
          route: ['10.5.0.0/16'],
          dns: ['10.5.0.53'],
          'split-dns': ['staff.test'],
          'no-route': ['10.5.9.0/24'],
        },
        guests: { 'no-udp': true, mtu: 1300 },
      },
      perUser: { alice: { 'explicit-ipv4': '10.77.0.200', dns: ['10.5.0.54'], hostname: 'alices-own' } },
    });
    const alice = await scene.connect();
    assert.deepEqual(
      [
        'X-CSTP-Address',
        'X-CSTP-DNS',
        'X-CSTP-Split-Include',
        'X-CSTP-Split-Exclude',
        'X-CSTP-Split-DNS',
        'X-CSTP-Hostname',
        'X-CSTP-Banner',
        'X-CSTP-Team',
      ].map((name) => headers(alice, name)),
      [
        ['10.77.0.200'],
        ['10.5.0.53', '10.5.0.54'], // Observed: ocserv adds a user's list to the group's
        ['10.5.0.0/255.255.0.0'],
        ['10.5.9.0/255.255.255.0'],
        ['staff.test'],
        ['alices-own'],
        ['To all of us'],
        ['alice of staff'],
      ],
    );
    await scene.disconnect(alice);
    const bob = await scene.connect({ user: STAFF[1] ?? ALICE });
    assert.equal((await bob.configured()).dtls, 'disabled');
    assert.deepEqual(
      [headers(bob, 'X-CSTP-Base-MTU'), headers(bob, 'X-DTLS-Port'), headers(bob, 'X-CSTP-DNS')],
      [['1300'], [], ['10.77.0.1']],
    );
    await scene.disconnect(bob);
    writeFileSync(path.join(scene.ocserv.folder, 'groups', 'guests'), 'mtu = 1200\n');
    const again = await scene.connect({ user: STAFF[1] ?? ALICE });
    assert.deepEqual(headers(again, 'X-CSTP-Base-MTU'), ['1200']);
    await scene.disconnect(again);
  });

  it('keeps a user to the routes, or to ports of them', async () => {
    await using scene = await openGateway({
      users: STAFF,
      settings: { route: ['10.5.0.0/16'] },
      perGroup: { staff: { 'restrict-user-to-routes': true }, guests: { 'restrict-user-to-ports': 'tcp(443)' } },
    });
    // Two networks behind the gateway; the second is not for anybody.
    await scene.lab.router.ip(
      'address add 10.5.0.1/32 dev lo',
      'address add 10.6.0.1/32 dev lo',
      'route add 10.77.0.0/24 via 198.51.100.2',
    );
    const answers = async (host: string) => (await ping(scene.client, host, { count: 2 })).received > 0;
    const alice = await scene.connect();
    await scene.client.ip('route add 10.6.0.1 dev tun0');
    await scene.assertAnswers('10.5.0.1');
    assert.equal(await answers('10.6.0.1'), false);
    assert.equal((await scene.ocserv.control.users())[0]?.['Restricted to routes'], 'True');
    await alice.disconnect();
    const bob = await scene.connect({ user: STAFF[1] ?? ALICE });
    assert.equal(await answers('10.5.0.1'), false, 'not for ping');
    assert.deepEqual((await scene.ocserv.control.users())[0]?.['Restricted to ports'], ['tcp(443)']);
    await bob.disconnect();
    assert.doesNotMatch(await scene.lab.server.run('nft', ['list', 'ruleset']), /10\.5\.0\.0/, 'nothing is left of them');
  });

  it('has a network behind a client, and tells the others of it', async () => {
    const settings = { iroute: ['10.9.0.0/24'] };
    await using scene = await openGateway({
      users: STAFF,
      settings: { 'expose-iroutes': true },
      perUser: { alice: settings },
    });
    const alice = await scene.connect();
    await scene.client.ip('address add 10.9.0.1/32 dev lo');
    await assertAnswers(scene.lab.server, '10.9.0.1');
    const bob = await scene.connect({ user: STAFF[1] ?? ALICE, namespace: scene.lab.router });
    assert.ok(headers(bob, 'X-CSTP-Split-Include').includes('10.9.0.0/255.255.255.0'), bob.program.output);
    await assertAnswers(scene.lab.router, '10.9.0.1'); // client to client
    await Promise.all([alice.disconnect(), bob.disconnect()]);
    assert.doesNotMatch(await scene.lab.server.run('ip', ['route']), /10\.9\.0\.0/);
  });

  it('limits the rates, both ways', async () => {
    const rate = 600_000;
    await using scene = await openGateway({ settings: { 'rx-data-per-sec': rate, 'tx-data-per-sec': rate } });
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    const bytes = sized(3e6, 20e6);
    for (const amounts of [
      { up: bytes, down: 0 },
      { up: 0, down: bytes },
    ]) {
      let most = 0;
      // What a busy machine does not send in time is gone: the best of up to three comes near the limit, and none passes it.
      for (let i = 0; i < 3 && most <= 0.8 * rate; i++) {
        const seconds = await scene.transfer(INSIDE.ipv4, amounts);
        // The worth of the first second may go at once.
        most = Math.max(most, (bytes - rate) / seconds);
      }
      assert.ok(most > 0.8 * rate && most < 1.2 * rate, `${most} bytes a second of ${rate}, ${JSON.stringify(amounts)}`);
    }
    await scene.disconnect(client);
  });
});

describe('a limit of our gateway on clients', OPTIONS, () => {
  async function second(scene: TunnelScene): Promise<number | null> {
    const cookie = await logIn(scene);
    const other = await scene.start({ args: ['--cookie-on-stdin'], input: `${cookie}\n`, namespace: scene.lab.router });
    return await Promise.race([other.up().then(() => null), other.program.finish().then(({ code }) => code)]);
  }

  for (const [name, settings] of [
    ['of one user (max-same-clients)', { 'max-same-clients': 1 }],
    ['at all (max-clients)', { 'max-clients': 1 }],
  ] as const) {
    it(`${name} refuses one more, and lets the first come back`, async () => {
      await using scene = await openGateway({ relay: {}, settings });
      const client = await scene.connect();
      assert.equal(await second(scene), 2);
      await scene.relay.resetTcp();
      await client.program.waitFor(/script reconnect ended with 0/);
      await scene.assertAnswers();
      await scene.disconnect(client);
    });
  }

  it('keeps an address out after too many wrong passwords, until occtl lets it in', async () => {
    const settings = { 'max-ban-score': 25, 'ban-points-wrong-password': 10, 'ban-points-connection': 0, 'min-reauth-time': 600 };
    await using scene = await openGateway({ settings });
    const wrong = await scene.start({ user: { ...ALICE, password: 'a guess' }, input: 'a guess\n'.repeat(3) });
    await wrong.program.finish();
    const refused = await scene.start();
    assert.equal((await refused.program.finish()).code, 1, refused.program.describe());
    const { client } = scene.lab.addresses;
    assert.deepEqual(
      ((await scene.ocserv.control.show('ip', 'bans')) as { IP: string; Score: number }[]).map(({ IP, Score }) => [IP, Score]),
      [[client.ipv4, 30]],
    );
    const { code, stdout } = await scene.ocserv.control.run('unban', 'ip', client.ipv4);
    assert.deepEqual([code, stdout], [0, `IP '${client.ipv4}' was unbanned\n`]);
    await scene.disconnect(await scene.connect());
  });

  it('is not the clients’ when an administrator keeps the gateway for himself: those who are there stay', async () => {
    await using scene = await openGateway();
    const client = await scene.connect();
    assert.equal((await scene.ocserv.control.run('maintenance', 'on')).code, 0);
    const other = await scene.start({ namespace: scene.lab.router });
    assert.equal((await other.program.finish()).code, 1, other.program.describe());
    await scene.assertAnswers();
    assert.equal((await scene.ocserv.control.run('maintenance', 'off')).code, 0);
    const third = await scene.connect({ namespace: scene.lab.router });
    await third.disconnect();
    await scene.disconnect(client);
  });
});

describe('a new configuration of our gateway', OPTIONS, () => {
  it('leaves sessions as they are and is for those that come', async () => {
    await using scene = await openGateway({ settings: { dns: ['10.77.0.1'] } });
    const client = await scene.connect();
    const file = path.join(scene.ocserv.folder, 'ocserv.conf');
    await scene.lab.server.run('sed', ['-i', 's/^dns = .*/dns = 10.77.0.99/', file]);
    scene.ocserv.program.signal('SIGHUP');
    await scene.ocserv.program.waitFor(/configuration reloaded/);
    await scene.assertAnswers();
    assert.deepEqual((await scene.ocserv.control.users())[0]?.DNS, ['10.77.0.1']);
    const other = await scene.connect({ namespace: scene.lab.router });
    assert.deepEqual(headers(other, 'X-CSTP-DNS'), ['10.77.0.99']);
    await other.disconnect();
    await scene.disconnect(client);
  });

  it('that is wrong changes nothing, and says what is wrong', async () => {
    await using scene = await openGateway();
    const client = await scene.connect();
    await scene.lab.server.run('sh', ['-c', `echo 'ipv4-network = 10.400.0.0/24' >> ${path.join(scene.ocserv.folder, 'ocserv.conf')}`]);
    const { code, output } = await scene.ocserv.control.run('reload');
    assert.notEqual(code, 0);
    assert.match(output, /ocserv\.conf:\d+: '10\.400\.0\.0' is no IPv4 network/);
    await scene.assertAnswers();
    await scene.disconnect(client);
  });
});

describe('our gateway out of sight', OPTIONS, () => {
  it('lets in who brings the secret in the address, and looks like an empty web site to others', async () => {
    await using scene = await openGateway({ settings: { camouflage: true, camouflage_secret: 'open-sesame' } });
    const blind = await scene.start();
    const { code, output } = await blind.program.finish();
    assert.equal(code, 1, output);
    assert.match(output, /404/);
    const client = await scene.connect({ gateway: `https://${scene.gateway}/?open-sesame` });
    await scene.assertAnswers();
    await scene.disconnect(client);
  });

  it('knows its clients behind HAProxy', { skip: missing('haproxy') }, async () => {
    await using scene = await openGateway({ settings: { 'listen-proxy-proto': true } });
    const { router, server, client: own } = scene.lab.addresses;
    const file = path.join(scene.lab.folder, 'haproxy.cfg');
    const times = ['connect 5s', 'client 300s', 'server 300s'].map((time) => `  timeout ${time}`);
    const target = `  server gateway ${server.ipv4}:443 send-proxy-v2`;
    writeFileSync(file, ['defaults', '  mode tcp', ...times, 'listen gateway', `  bind ${router.ipv4}:443`, target, ''].join('\n'));
    const haproxy = await scene.lab.router.start('haproxy', ['-W', '-f', file]);
    await haproxy.waitFor(/Loading success/);
    const client = await scene.connect({ gateway: router.ipv4 });
    const [user] = await scene.ocserv.control.users();
    assert.equal(user?.['Remote IP'], own.ipv4);
    await scene.assertAnswers();
    await client.disconnect();
    await haproxy.stop();
  });
});
