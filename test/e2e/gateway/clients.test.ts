/** Several clients at our gateway at once, on several machines, of several makes, at several of its names. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OUR_GATEWAY } from '../../support/gateway-program.ts';
import { Lab } from '../../support/lab.ts';
import { ALICE, Ocserv, type OcservUser } from '../../support/ocserv.ts';
import { OPENCONNECT, OpenConnect } from '../../support/openconnect.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { makeAuthority, makeServerCertificate, pinOf } from '../../support/throwaway-certificates.ts';
import { TrafficPeer } from '../../support/traffic.ts';
import { cipherOfDatagrams, INSIDE, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(HANG_LIMIT, 900_000) };

const BOB: OcservUser = { name: 'bob', password: 'sesame open' };

describe('clients of our gateway', OPTIONS, () => {
  for (const args of [[], ['--no-dtls']]) {
    it(`send to it and to each other at once, ${args.length === 0 ? 'over DTLS' : 'over TLS'}: openconnect and our own`, async () => {
      await using scene = await openGateway({ users: [ALICE, BOB] });
      // The router is a machine of its own.
      const [alice, bob] = await Promise.all([
        scene.connect({ args, command: OPENCONNECT }),
        scene.connect({ args, command: DROP_IN, user: BOB, namespace: scene.lab.router }),
      ]);
      if (args.length === 0) await Promise.all([alice, bob].map((client) => cipherOfDatagrams(client)));
      const bobsPeer = await TrafficPeer.start(scene.lab.router);
      const { near } = await scene.peers();
      const addresses = [(await bob.configured()).ipv4, (await bob.configured()).ipv6?.replace(/\/.*/, '')];
      const amounts = { up: sized(2e6, 50e6), down: sized(2e6, 50e6) };
      await Promise.all([
        scene.transfer(INSIDE.ipv4, amounts),
        scene.target(INSIDE.ipv6).then((target) => bobsPeer.transfer(target, amounts)),
        ...addresses.map(async (address = '') => near.transfer(await bobsPeer.listen(address), amounts)),
      ]);
      assert.equal((await scene.ocserv.control.users()).length, 2);
      await bobsPeer.stop();
      await bob.disconnect();
      await scene.disconnect(alice);
    });
  }

  it('take over from each other, and leave nothing behind, many times', async () => {
    await using scene = await openGateway();
    for (let i = 0; i < sized(3, 30); i++) {
      const client = await scene.connect({ command: i % 2 === 0 ? OPENCONNECT : DROP_IN });
      await scene.assertAnswers();
      await scene.disconnect(client);
    }
    await scene.assertLoggedOut();
  });

  it('over a link that carries less find out, and every byte passes', async () => {
    await using scene = await openGateway();
    await scene.client.ip('link set eth0 mtu 1400');
    await scene.lab.router.ip('link set eth0 mtu 1400');
    const client = await scene.connect();
    await cipherOfDatagrams(client);
    const [, mtu] = await client.program.waitFor(/^X-CSTP-MTU: (\d+)$/m);
    assert.ok(Number(mtu) < 1400, `${mtu}`);
    await scene.transfer(INSIDE.ipv4, { up: 2e6, down: 2e6 });
    await scene.transfer(INSIDE.ipv6, { up: 2e6, down: 2e6 });
    await client.disconnect();
  });
});

describe('a virtual host of our gateway', OPTIONS, () => {
  it('has a certificate, users and addresses of its own', async () => {
    await using lab = await Lab.open();
    const name = 'other.test';
    const certificate = await makeServerCertificate(lab.folder, await makeAuthority(lab.folder), [name]);
    const passwords = `${lab.folder}/other-passwords`;
    await lab.server.run('ocpasswd', ['--passwd', passwords, BOB.name], { input: `${BOB.password}\n${BOB.password}\n` });
    const gateway = await Ocserv.start(lab, {
      program: OUR_GATEWAY,
      virtualHosts: {
        [name]: {
          auth: [`plain[passwd=${passwords}]`],
          'server-cert': certificate.certificate,
          'server-key': certificate.key,
          'ipv4-network': '10.88.0.0/24',
          'ipv6-network': 'fd88::/64',
          'ipv6-subnet-prefix': 128,
        },
      },
    });
    const there = ['--resolve', `${name}:${gateway.gateway}`];
    const bob = await OpenConnect.start(lab.client, { gateway: name, pin: pinOf(certificate), user: BOB, args: there });
    assert.match((await bob.up()).ipv4 ?? '', /^10\.88\.0\./);
    const [user] = await gateway.control.users();
    assert.deepEqual([user?.Username, user?.vhost], ['bob', name]);
    await bob.disconnect();
    const wrong = await OpenConnect.start(lab.client, { gateway: name, pin: pinOf(certificate), user: ALICE, args: there });
    assert.equal((await wrong.program.finish()).code, 1, 'alice is a user of the default host');
    const alice = await OpenConnect.start(lab.client, { gateway: gateway.gateway, pin: gateway.pin, user: ALICE });
    assert.match((await alice.up()).ipv4 ?? '', /^10\.77\.0\./);
    await alice.disconnect();
  });
});
