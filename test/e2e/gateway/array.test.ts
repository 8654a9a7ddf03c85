/**
 * Our gateway as an Array gateway, beside AnyConnect on the same port: Debian's openconnect 9.01 with `--protocol=array`, and our own client in its place.
 *
 * Read first: spec "Array", sections 4 to 7.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { HANG_LIMIT, sized } from '../../support/size.ts';
import { INSIDE, skip } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

/** Its UDP is DTLS 1.0, which an administrator has to allow. */
const SETTINGS = { 'vpn-protocols': 'anyconnect array', 'dtls-legacy': true };
/** A dead path is noticed within five seconds. */
const SOON = { dpd: 2 };
const LONG_TRANSFER = { up: sized(30e6, 100e6), down: sized(30e6, 100e6) };
const ARGS = ['--protocol=array', '--form-entry=form:method='];
const ESTABLISHED = /Established DTLS connection/;
const DEAD = /DTLS Dead Peer Detection detected dead peer|datagram down/;
const AMOUNTS = { up: sized(4e6, 100e6), down: sized(4e6, 100e6) };

for (const { name, command, ways } of [
  { name: 'openconnect', command: OPENCONNECT, ways: ['TLS', 'DTLS'] },
  { name: 'our client', command: DROP_IN, ways: sized(['DTLS'], ['TLS', 'DTLS']) },
]) {
  describe(`${name} with --protocol=array at our gateway`, { skip, concurrency: 2, timeout: sized(HANG_LIMIT, 1_800_000) }, () => {
    for (const way of ways) {
      it(`has a tunnel over ${way} by which every byte passes, also after a reconnect, beside AnyConnect, until it logs out`, async () => {
        await using scene = await openGateway({ settings: SETTINGS });
        const [client, anyconnect] = await Promise.all([
          scene.connect({ command, args: way === 'TLS' ? [...ARGS, '--no-dtls'] : ARGS }),
          scene.connect({ command, namespace: scene.lab.router }),
        ]);
        const { ipv4 } = await client.configured();
        await anyconnect.disconnect();
        if (way === 'DTLS') await client.program.waitFor(ESTABLISHED);
        await scene.assertAnswers(INSIDE.ipv4);
        await scene.transfer(INSIDE.ipv4, AMOUNTS);
        const [user] = await scene.ocserv.control.users();
        assert.deepEqual([user?.Username, user?.IPv4, user?.['DTLS cipher'] !== undefined], ['alice', ipv4, way === 'DTLS']);
        const before = client.program.output.length;
        client.program.signal('SIGUSR2');
        await client.program.waitFor(/^script reconnect ended with 0$/m, { after: before });
        await scene.assertAnswers(INSIDE.ipv4);
        await scene.disconnect(client);
        await scene.assertLoggedOut();
      });
    }

    // It takes as long as a dead path takes to be noticed.
    if (sized(false, true)) {
      it('loses UDP in the middle of a transfer, gets every byte by TLS, and the next ones by DTLS when it is back', async () => {
        await using scene = await openGateway({ settings: { ...SETTINGS, ...SOON } });
        const client = await scene.connect({ command, args: ARGS });
        await client.program.waitFor(ESTABLISHED);
        const mark = client.program.output.length;
        const transfer = scene.transfer(INSIDE.ipv4, LONG_TRANSFER);
        await scene.carried('tun0', 5e6);
        await scene.faults.block({ protocol: 'udp' });
        await client.program.waitFor(DEAD, { after: mark });
        await scene.carried('tun0', 2e6);
        await scene.faults.clear();
        await client.program.waitFor(ESTABLISHED, { after: mark });
        await transfer;
        await scene.transfer(INSIDE.ipv4, AMOUNTS);
        await scene.disconnect(client);
      });
    }

    // Everyday it is shown in memory.
    if (sized(false, true)) {
      it('keeps its DTLS when a NAT changes its port', async () => {
        await using scene = await openGateway({ settings: SETTINGS, relay: {} });
        const client = await scene.connect({ command, args: ARGS });
        await client.program.waitFor(ESTABLISHED);
        await scene.transfer(INSIDE.ipv4, { up: 1e6, down: 1e6 });
        const mark = client.program.output.length;
        for (let times = 0; times < 2; times++) {
          await scene.relay.rebindUdp();
          await scene.assertAnswers(INSIDE.ipv4);
          await scene.transfer(INSIDE.ipv4, AMOUNTS);
        }
        assert.doesNotMatch(client.program.output.slice(mark), DEAD);
        assert.equal(scene.ocserv.log.match(/datagram moved/g)?.length, 2);
        await scene.disconnect(client);
      });
    }

    // Between the two noes the client waits; openconnect takes none for an answer for 300 seconds.
    if (sized(false, command === DROP_IN)) {
      it('comes back when an administrator ends its session, and ends at the second no', async () => {
        await using scene = await openGateway({ settings: SETTINGS });
        const client = await scene.connect({ command, args: [...ARGS, '--no-dtls', '--reconnect-timeout=60'] });
        await scene.ocserv.control.disconnectUser('alice');
        assert.equal((await client.program.finish()).code, 2, client.program.describe());
        await scene.assertNoTrace();
      });
    }

    it('ends with status 1 if its cookie is dead', async () => {
      await using scene = await openGateway({ settings: SETTINGS });
      const client = await scene.start({
        command,
        args: ['--protocol=array', '--cookie-on-stdin'],
        input: `ANsession1=${'a'.repeat(64)}\n`,
      });
      assert.equal((await client.program.finish()).code, 1, client.program.describe());
    });
  });
}
