/**
 * Our gateway as an F5 one, beside AnyConnect on the same port: Debian's openconnect 9.01 with `--protocol=f5`, and our own client in its place.
 *
 * Read first: spec "F5"; spec "Client command line", sections 7 and 8.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DROP_IN } from '../../support/drop-in.ts';
import { OPENCONNECT } from '../../support/openconnect.ts';
import { sized } from '../../support/size.ts';
import { INSIDE, skip, type TunnelScene } from '../tunnel-scene.ts';
import { openGateway } from './gateway-scene.ts';

const OPTIONS = { skip, concurrency: 2, timeout: sized(240_000, 1_800_000) };

const F5 = '--protocol=f5';

/** The first request of openconnect says nothing of what it speaks: the host's default decides. */
const BOTH = { 'vpn-protocols': 'f5 anyconnect' };

const AMOUNTS = { up: sized(4e6, 100e6), down: sized(4e6, 100e6) };

const CLIENTS = [
  { name: 'openconnect', command: OPENCONNECT },
  { name: 'our client', command: DROP_IN },
] as const;

for (const { name, command } of CLIENTS) {
  describe(`${name} with --protocol=f5 at our gateway`, OPTIONS, () => {
    it('has a tunnel over TLS of both families, by which every byte passes, until it logs out', async () => {
      await using scene = await openGateway({ settings: BOTH });
      const client = await scene.connect({ command, args: [F5, '--no-dtls'] });
      await scene.assertAnswers(INSIDE.ipv4);
      await scene.assertAnswers(INSIDE.ipv6);
      await scene.transfer(INSIDE.ipv4, AMOUNTS);
      await scene.transfer(INSIDE.ipv6, AMOUNTS);
      const [user] = await scene.ocserv.control.users();
      assert.equal(user?.Username, 'alice');
      await scene.disconnect(client);
      await assertLoggedOut(scene);
    });
  });
}

async function assertLoggedOut(scene: TunnelScene): Promise<void> {
  assert.deepEqual(await scene.ocserv.control.users(), []);
  assert.deepEqual(await scene.ocserv.control.sessions(), []);
}
